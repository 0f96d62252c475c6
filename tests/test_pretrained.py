"""The trained generators that come along: they sample, and have a card."""

import shutil

import numpy as np
import pytest
from helpers.environment import ROOT

from jaxgan.errors import InputError
from jaxgan.evaluation import restored, sampling
from jaxgan.game import sampling_variables

FOLDERS = sorted(x.parent for x in ROOT.glob("pretrained/*/run.json"))


def test_there_are_some_and_they_are_small():
  assert FOLDERS
  # FaceNet, once imported, lies in the folder of DTN.
  files = [x for x in (ROOT / "pretrained").glob("*/*") if x.is_file()]
  assert sum(x.stat().st_size for x in files) < 25e6
  names = {x.name for x in files} - {"evaluation.json"}  # once evaluated
  assert names == {"README.md", "run.json", "weights.npz"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda x: x.name)
def test_each_has_a_card(folder):
  card = (folder / "README.md").read_text()
  for word in (
    "Data:",
    "Command:",
    "Figures",
    f"--workdir=pretrained/{folder.name}",
  ):
    assert word in card


def test_dtn_asks_for_facenet(tmp_path):
  folder = shutil.copytree(
    ROOT / "pretrained/dtn",
    tmp_path / "dtn",
    ignore=shutil.ignore_patterns("features"),
  )
  with pytest.raises(InputError, match="import_torch --features=FILE"):
    restored.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faces", "avatars"])
def test_a_generator_samples(name, monkeypatch):
  monkeypatch.setattr(sampling, "BATCH_SIZE", 16)
  run = restored.load(ROOT / "pretrained" / name)
  (images,) = sampling.sampler(run.game, 0)(sampling_variables(run.state), 16)
  images = np.asarray(images).astype(float)
  assert images.shape[1:] == (64, 64, 3)
  # Each has light and dark, and none is like another.
  assert (images.std((1, 2, 3)) > 20).all()
  distances = abs(images[:, None] - images[None]).mean((2, 3, 4))
  assert distances[~np.eye(16, dtype=bool)].min() > 8
