import pytest
from helpers.environment import CONFIGS, ROOT

from jaxgan import config_files, packaged
from jaxgan.errors import InputError

TEXT = """
from ml_collections import ConfigDict
def get_config(preset="none"):
  return ConfigDict({"preset": preset})
"""


@pytest.mark.parametrize(
  ("text", "name"),
  [
    ("wgan_gp", "wgan_gp"),
    ("wgan_gp:mnist", "wgan_gp_mnist"),
    ("wgan_gp.py", "wgan_gp"),
    ("configs/wgan_gp.py", "wgan_gp"),
    ("configs/wgan_gp.py:mnist", "wgan_gp_mnist"),
    (f"{ROOT}/configs/wgan_gp.py:mnist", "wgan_gp_mnist"),
  ],
)
def test_configs_of_jaxgan_from_any_folder(text, name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  file = config_files.find(text)
  assert file.path == ROOT / "configs" / "wgan_gp.py"
  assert file.name == name


@pytest.mark.parametrize(
  "name", ["mine.py", "a b.py", "12:30.py", "x.py:y/z.py", "configs/gan.py"]
)
@pytest.mark.parametrize("preset", ["", ":digits", ":a b"])
def test_files_with_any_name(name, preset, tmp_path, monkeypatch):
  path = tmp_path / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(TEXT)
  monkeypatch.chdir(tmp_path)
  for text in (name, f"{path}", f"./{name}"):
    config = config_files.load(text + preset)
    assert config.preset == (preset[1:] or "none")


def test_a_file_in_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "mine.py").write_text(TEXT)
  assert config_files.load("~/mine.py:x").preset == "x"


def test_a_file_goes_before_a_config_of_jaxgan(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "gan.py").write_text(TEXT)
  assert config_files.find("gan.py").path.samefile(tmp_path / "gan.py")
  assert config_files.find("gan").path == ROOT / "configs" / "gan.py"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "no config ''"),
    ("wgan-gp", f"one of .*{CONFIGS[0].stem}.*, wgan_gp$"),
    ("none.py:mnist", "no config 'none.py'"),
    ("configs", "no config 'configs'"),
    ("empty.py", r"defines no get_config\(\)"),
    ("other.py:x", r"defines no get_config\(x\)"),
    ("other.py", "returns no ConfigDict"),
    ("wgan_gp:minst", "preset='minst': choose one of"),
  ],
)
def test_what_is_no_config_is_refused(text, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "configs").mkdir()
  (tmp_path / "empty.py").touch()
  (tmp_path / "other.py").write_text("def get_config():\n  return {}")
  with pytest.raises(InputError, match=message):
    config_files.load(text)


def test_a_missing_folder_is_named(monkeypatch, tmp_path):
  monkeypatch.setattr(packaged, "PACKAGE", tmp_path / "jaxgan")
  with pytest.raises(InputError, match="has no configs: install jaxgan again"):
    packaged.folder("configs")
