"""Runs as they are read back, whole or damaged."""

import json
import shutil

import pytest
from helpers.checkpoints import data_file, flip
from helpers.configs import small
from helpers.environment import ROOT
from helpers.runs import command

from jaxgan import train
from jaxgan.engine import checkpoint
from jaxgan.errors import InputError
from jaxgan.evaluation import restored

pytestmark = pytest.mark.slow


def test_no_run_no_checkpoint_no_best(tmp_path):
  with pytest.raises(InputError, match="holds no checkpoints"):
    restored.load(tmp_path / "none")
  assert not (tmp_path / "none").exists()
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(InputError, match="no checkpoint yet"):
    restored.load(tmp_path)
  train(small("nsgan", steps=1), tmp_path / "run")
  with pytest.raises(InputError, match="eval_every"):
    restored.load(tmp_path / "run", "best")


def test_a_damaged_checkpoint_is_not_restored(tmp_path):
  train(small("nsgan", steps=2, checkpoint_every=1), tmp_path)
  flip(data_file(tmp_path, 2))
  with pytest.raises(InputError, match="none of the checkpoints"):
    restored.load(tmp_path, 2)
  with pytest.warns(UserWarning, match="checkpoint 2 is damaged"):
    assert restored.load(tmp_path).state.step == 1
  # Only the training moves what is damaged.
  assert not (tmp_path / "damaged").exists()


def as_older(workdir, step):
  """Rewrites a checkpoint's description as versions without a format did."""
  (file,) = (workdir / "checkpoints" / str(step) / "meta").glob("metadata*")
  meta = json.loads(file.read_text())
  del meta["format"]
  meta["config"]["loss"] = "hinge"  # once a string
  file.write_text(json.dumps(meta))


@pytest.mark.parametrize("step", [None, 1])
def test_an_older_version_is_refused(tmp_path, step):
  config = small("nsgan", steps=1)
  train(config, tmp_path)
  as_older(tmp_path, 1)
  with pytest.raises(InputError, match="a run of an older version of jaxgan"):
    restored.load(tmp_path, step)
  with pytest.raises(InputError, match="a run of an older version of jaxgan"):
    train(config, tmp_path)  # which sets nothing aside
  assert not (tmp_path / "damaged").exists()


def test_a_newer_version_is_refused(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    train(small("nsgan", steps=1), tmp_path)
  with pytest.raises(InputError, match="newer version"):
    restored.load(tmp_path)


@pytest.mark.parametrize(
  "arguments",
  [
    ("evaluate",),
    ("sample", "--output=samples.png"),
    ("main", f"--config={ROOT}/configs/nsgan.py", "--config.steps=4"),
  ],
)
def test_commands_refuse_an_older_version(tmp_path, trained, arguments):
  shutil.copytree(trained("nsgan"), tmp_path / "run")
  as_older(tmp_path / "run", 2)
  result = command(*arguments, f"--workdir={tmp_path}/run", cwd=tmp_path)
  assert result.returncode == 1
  assert "run of an older version" in result.stderr.splitlines()[-1]
  assert "Traceback" not in result.stderr
