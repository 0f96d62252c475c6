"""How a command ends: one line or a traceback, its status, and a log."""

import os
import subprocess
import sys

import pytest
from helpers.configs import load_config
from helpers.environment import ROOT

from jaxgan import cli, errors

pytestmark = pytest.mark.slow

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

SCRIPT = """
import atexit, pathlib
from jaxgan import cli, errors

atexit.register(print, "taken down")
{define}

def command():
  {body}

cli.main(command, workdir=lambda: pathlib.Path("run"))
"""


def run(body, *arguments, cwd, define=""):
  script = SCRIPT.format(body=body, define=define)
  return subprocess.run(
    [sys.executable, "-c", script, *arguments],
    capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT,
  )  # fmt: skip


def test_an_interrupt_is_one_line_and_ends_at_once(tmp_path):
  result = run('raise KeyboardInterrupt("stopped")', cwd=tmp_path)
  assert result.returncode == 130
  assert result.stderr == "error: stopped\n"
  assert not result.stdout  # taken down in a compilation, it would crash


@pytest.mark.parametrize(
  ("error", "status", "line"),
  [
    ("InputError", 1, "error: why"),
    ("GameError", 1, "error: why"),
    ("Preempted", 75, "why"),
    ("Interrupted", 130, "why"),
    ("NonFiniteError", 1, "error: why"),
  ],
)
def test_what_ends_in_one_line(error, status, line, tmp_path):
  result = run(f'raise errors.{error}("why")', cwd=tmp_path)
  assert (result.returncode, result.stderr) == (status, f"{line}\n")
  assert result.stdout == "taken down\n"


def test_traceback(tmp_path):
  body = 'raise errors.InputError("why")'
  result = run(body, "--traceback", cwd=tmp_path)
  first, *_, last = result.stderr.splitlines()
  assert (first, last) == ("Traceback (most recent call last):", "error: why")
  assert "in command" in result.stderr
  assert result.returncode == 1


def test_an_unforeseen_error_is_shown_and_logged(tmp_path):
  run("{}[3]", cwd=tmp_path)
  assert not (tmp_path / "run").exists()  # there is no run
  (tmp_path / "run").mkdir()
  (tmp_path / "run" / "config.json").touch()
  run('raise errors.InputError("why")', cwd=tmp_path)
  assert not (tmp_path / "run" / "error.log").exists()
  assert "ZeroDivisionError: " in run("1 / 0", cwd=tmp_path).stderr
  result = run("{}[3]", cwd=tmp_path)
  log = (tmp_path / "run" / "error.log").read_text()
  assert result.returncode == 1
  for text in (result.stderr, log):
    assert text.splitlines()[-1] == "KeyError: 3"
    assert "in command" in text


CONFIG = """
from ml_collections import ConfigDict
from jaxgan.errors import InputError

def get_config(preset="good"):
  config = ConfigDict({{"algorithm": "gan", "steps": 1}})
  {body}
  return config
"""


@pytest.mark.parametrize(
  ("body", "argument", "message"),
  [
    ("", "steps=1", ""),
    ("", "stps=1", "error: the config has no key 'stps'; did you mean 'steps'"),
    ("", "x.y=1", "error: the config has no key 'x'"),
    (
      'config.loss = ConfigDict({"name": "hinge"})',
      "loss=minimax",
      "error: config.loss has keys: give --config.loss.KEY=VALUE",
    ),
    ("", "steps=a", "error: flag --config.steps=a: invalid literal for int()"),
    ("", "steps.x=1", "error: "),
    ('raise InputError("no such preset")', "steps=1", "error: no such preset"),
    # The file's mistakes come with the place.
    ("config.lock(); config.stps = 1", "steps=1", "config.py"),
    ("{}[3]", "steps=1", "config.py"),
    ("int('a')", "steps=1", "config.py"),
  ],
)  # fmt: skip
def test_config(body, argument, message, tmp_path):
  (tmp_path / "config.py").write_text(CONFIG.format(body=body))
  arguments = "--config=config.py", f"--config.{argument}"
  define = "cli.config_flag()"
  result = run("pass", *arguments, cwd=tmp_path, define=define)
  assert result.returncode == bool(message), result.stderr
  assert message in result.stderr
  if message != "config.py":
    assert result.stderr.count("\n") == bool(message)
  else:
    assert result.stderr.startswith("Traceback")


def test_commands_are_imported_together_and_list_their_flags():
  names = [path.stem for path in sorted((ROOT / "jaxgan").glob("*.py"))]
  script = f"""
from absl import flags
from importlib import import_module
for name in {names}:
  import_module("jaxgan." + name)
for flag in flags.FLAGS.get_key_flags_for_module("jaxgan.translate"):
  print(flag.name)
"""
  result = subprocess.run(
    [sys.executable, "-c", script],
    capture_output=True, text=True, env=ENVIRONMENT,
  )  # fmt: skip
  assert result.returncode == 0, result.stderr
  assert {"workdir", "seed", "output", "native"} <= set(result.stdout.split())


def test_data_that_moved(trained):
  """One folder for all, and one for each of two domains of images."""
  run = cli.restore(trained("dcgan"), data_path="there")
  assert run.config.data.path == "there"
  run = cli.restore(trained("cyclegan"), data_path="there")  # sets with names
  assert run.config.data.path == "there"
  config = load_config("cyclegan", "folders").data
  cli._move(config, "a,b")
  assert (config.source.path, config.target.path) == ("a", "b")
  # Of a set with a name and of a folder, and of pairs in two folders.
  usps = load_config("cyclegan", "mnist_usps").data
  pairs = load_config("pix2pix", "pairs").data
  usps.target.path = pairs.source.path = pairs.target.path = "old"
  for moved in (usps, pairs):
    cli._move(moved, "a,b")
    assert (moved.source.path, moved.target.path) == ("a", "b")
  message = "give --data_path=SOURCE,TARGET"
  for moved in (config, usps, pairs):
    with pytest.raises(errors.InputError, match=message):
      cli._move(moved, "a")
