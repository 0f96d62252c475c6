"""Runs as they are read back, whole or damaged."""

import pytest
from helpers.checkpoints import data_file, flip
from helpers.configs import small

from jaxgan import train
from jaxgan.engine import checkpoint
from jaxgan.errors import InputError
from jaxgan.evaluation import (
  restored,
)

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


def test_an_older_version_is_refused(tmp_path, monkeypatch):
  train(small("nsgan", steps=1), tmp_path)
  stored = checkpoint.stored_config

  def older(*args):
    config = stored(*args)
    del config.best_metric
    return config

  monkeypatch.setattr(checkpoint, "stored_config", older)
  with pytest.raises(InputError, match="older version .* no best_metric; tr"):
    restored.load(tmp_path)
