"""The folder of a run: its lock, and files that are whole."""

import pytest

from jaxgan.engine import workdir as workdir_lib
from jaxgan.engine.processes import ALONE
from jaxgan.errors import InputError


def test_one_run_at_a_time(tmp_path):
  folder = tmp_path / "deep" / "run"
  with workdir_lib.locked(folder, ALONE):
    with (
      pytest.raises(InputError, match="in use"),
      workdir_lib.locked(folder, ALONE),
    ):
      pass
  with workdir_lib.locked(folder, ALONE):
    pass  # free again, and the folder is known as a run's


def test_a_file_is_the_old_or_the_new_one(tmp_path, monkeypatch):
  path = tmp_path / "scores.json"
  workdir_lib.write_atomically(path, "old")

  def fail(self, target):
    raise OSError("disk full")

  monkeypatch.setattr(type(path), "replace", fail)
  with pytest.raises(OSError, match="disk full"):
    workdir_lib.write_atomically(path, "new")
  assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]
  assert path.read_text() == "old"


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path):
  for content in ("a – b\n", "a – b\n".encode()):
    workdir_lib.write_atomically(tmp_path / "x", content)
    assert (tmp_path / "x").read_bytes() == b"a \xe2\x80\x93 b\n"


def test_an_error_keeps_its_traceback(tmp_path):
  error = None
  try:
    (tmp_path / "none").read_text()
  except OSError as e:
    error = e
  workdir_lib.write_error(tmp_path, error)  # no run's folder
  assert not list(tmp_path.iterdir())
  (tmp_path / "config.json").touch()
  workdir_lib.write_error(tmp_path, error)
  log = tmp_path / "error.log"
  assert "test_workdir.py" in log.read_text()
  assert "No such file" in log.read_text().splitlines()[-1]
