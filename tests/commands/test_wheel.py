"""What `pip install .` brings: the commands, the configs and the types."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile

import pytest
from helpers.environment import CONFIGS, ONE_DEVICE, ROOT
from helpers.session import once

pytestmark = pytest.mark.processes


def build(folder):
  """Builds the wheel from a copy, as it leaves files in the source."""
  source = folder.with_name(f"{folder.name}_source")
  names = ("jaxgan", "configs", "launch", "setup.py", "pyproject.toml")
  for name in (*names, "README.md", "LICENSE"):
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-r", ROOT / name, source / name], check=True)
  subprocess.run(
    [
      sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
      "--no-build-isolation", f"--wheel-dir={folder}", source,
    ],
    check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1600000000"},
  )  # fmt: skip


@pytest.fixture(scope="module")
def wheel():
  (path,) = once("wheel", build).glob("*.whl")
  return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
  folder = tmp_path_factory.mktemp("installed")
  zipfile.ZipFile(wheel).extractall(folder)
  return folder


def jaxgan(installed, *arguments, cwd):
  return subprocess.run(
    [sys.executable, "-m", "jaxgan", *arguments],
    capture_output=True, text=True, cwd=cwd,
    env=os.environ | {"PYTHONPATH": str(installed), "XLA_FLAGS": ONE_DEVICE},
  )  # fmt: skip


def test_the_wheel_has_all_that_commands_need(wheel):
  names = set(zipfile.ZipFile(wheel).namelist())
  assert {f"jaxgan/configs/{x.name}" for x in CONFIGS} <= names
  for file in ("app.py", "requirements.txt", "README.md"):
    assert f"jaxgan/launch/space/{file}" in names
  assert "jaxgan/py.typed" in names
  assert not [x for x in names if x.startswith(("tests", "build", "configs"))]


def test_the_wheel_is_the_same_when_built_again(wheel, tmp_path):
  build(tmp_path / "again")
  (again,) = (tmp_path / "again").glob("*.whl")
  assert again.read_bytes() == wheel.read_bytes()


def test_training_away_from_a_checkout(installed, tmp_path):
  small = ("--config.steps=1", "--config.generator.hidden=(8,)")
  result = jaxgan(installed, "train", "--config=gan:ring", *small, cwd=tmp_path)
  assert result.returncode == 0, result.stderr
  assert (tmp_path / "runs" / "gan_ring" / "samples" / "00000001.png").is_file()


def test_help_lists_each_command(installed, tmp_path):
  tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
  row = tools["importlinter"]["contracts"][0]["layers"][0]
  commands = set(row.split(" | ")) - {"__main__", "main"} | {"train"}
  result = jaxgan(installed, "--help", cwd=tmp_path)
  _, *lines = result.stdout.splitlines()
  assert {line.split()[0] for line in lines} == commands
  assert all(len(line.split()) > 2 and len(line) <= 80 for line in lines)


def test_the_flags_of_a_command(installed, tmp_path):
  result = jaxgan(installed, "evaluate", "--help", cwd=tmp_path)
  assert "--workdir" in result.stdout
  result = jaxgan(installed, "evaluat", cwd=tmp_path)
  assert result.returncode == 1
  assert result.stderr.startswith("error: no command 'evaluat': choose one of")


def test_the_console_command(monkeypatch, capsys):
  (entry,) = importlib.metadata.distribution("jaxgan").entry_points
  assert (entry.group, entry.name) == ("console_scripts", "jaxgan")
  monkeypatch.setattr(sys, "argv", ["jaxgan", "--help"])
  entry.load()()
  assert "evaluate" in capsys.readouterr().out
