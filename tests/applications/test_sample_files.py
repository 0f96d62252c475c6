"""Pictures and files of a run's samples."""

from functools import partial

import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.runs import command
from PIL import Image
from tqdm import tqdm

from jaxgan import data, train
from jaxgan.applications import latent_walks, sample_files
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, restored, sampling
from jaxgan.game import sampling_variables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Two rounds of a GAN of the digits, and of one on points."""
  workdir = tmp_path_factory.mktemp("runs")
  for folder, config in (
    ("digits", load_config("nsgan")),
    ("ring", load_config("mixture", "ring_nsgan")),
  ):
    shrink(config).steps = 2
    train(config, workdir / folder)
  return workdir


@pytest.fixture(scope="module")
def found(workdir):
  loaded = restored.load(workdir / "digits")
  return loaded, sampling_variables(loaded.state)


def draw(found, seed, count):
  loaded, variables = found
  sample = sampling.sampler(loaded.game, seed)
  return np.concatenate(list(map(np.asarray, sample(variables, count))))


def test_draws_are_numbered(found):
  first, again = (draw(found, 0, n) for n in (300, 20))
  assert first.shape == (300, 16, 16, 1)
  np.testing.assert_array_equal(first[:20], again)
  assert (draw(found, 1, 20) != again).any()


def test_interpolations_lead_from_sample_to_sample(found):
  ends = draw(found, 0, 6)
  rows = latent_walks.interpolations(*found, 0, 3, 5)
  assert rows.shape == (3, 5, 16, 16, 1)
  for i in range(3):
    np.testing.assert_allclose(rows[i, 0].astype(int), ends[2 * i], atol=1)
    np.testing.assert_allclose(rows[i, -1].astype(int), ends[2 * i + 1], atol=1)


def test_walks_are_closed(found):
  ways = latent_walks.walks(*found, 0, 3, 4)
  assert ways.shape == (16, 12, 16, 16, 1)
  ends = draw(found, 0, 48).reshape(16, 3, 16, 16, 1)
  np.testing.assert_allclose(ways[:, ::4].astype(int), ends, atol=1)
  steps = np.abs(np.diff(ways.astype(int), axis=1, append=ways[:, :1]))
  assert steps.mean((0, 2, 3, 4)).max() < 4 * steps.mean()


def test_neighbours_are_the_nearest_of_all(found, monkeypatch):
  from helpers.feature_nets import plain_net

  net = plain_net(size=40)
  monkeypatch.setattr(feature_nets, "create", lambda *_: net)
  source = data.create(found[0].config.data)
  images = source[np.arange(len(source))]["image"]
  shown = images[[5, 700]]
  rows = sample_files.nearest(found[0], shown)
  assert rows.shape == (2, 8, 16, 16, 1)
  embed = np.asarray(net.apply(net.variables, images)[0])
  for row, i in zip(rows, (5, 700), strict=True):
    np.testing.assert_array_equal(row[0], images[i])
    gaps = np.linalg.norm(embed - embed[i], axis=1)
    expected = images[np.argsort(gaps, kind="stable")[:7]]
    np.testing.assert_array_equal(row[1:], expected)
    np.testing.assert_array_equal(row[1], row[0])  # it is one of them


def test_folder(found, tmp_path, monkeypatch):
  images = draw(found, 0, 11)
  # As TQDM_DISABLE=1 does: such a bar does not count.
  monkeypatch.setattr(sample_files, "tqdm", partial(tqdm, disable=True))
  sample_files.write_folder([images[:8], images[8:]], 11, tmp_path / "new")
  paths = sorted((tmp_path / "new").iterdir())
  assert [p.name for p in paths[::10]] == ["00000.png", "00010.png"]
  for path, image in zip(paths, images, strict=True):
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image[..., 0])
  with pytest.raises(InputError, match="holds something"):
    sample_files.write_folder([images], 11, tmp_path / "new")


@pytest.mark.parametrize(
  ("run_name", "kind", "output", "size"),
  [
    ("digits", "interpolation", "out/x.png", (5 * 68 + 4, 3 * 68 + 4)),
    ("digits", "walk", "x.gif", (4 * 68 + 4, 4 * 68 + 4)),
    ("ring", "grid", "x.png", (400, 400)),
  ],
)
def test_the_command(workdir, tmp_path, run_name, kind, output, size):
  written = []
  for name in ("a", "b"):
    path = tmp_path / name / output
    result = command(
      "sample", f"--output={path}", f"--workdir={workdir / run_name}",
      f"--kind={kind}", "--count=3", "--frames=5", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    written.append(path.read_bytes())
  assert written[0] == written[1]
  with Image.open(path) as picture:
    assert picture.size == size
    assert getattr(picture, "n_frames", 1) == (15 if kind == "walk" else 1)
