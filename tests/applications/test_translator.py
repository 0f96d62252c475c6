"""The command that translates images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.files import write_images
from helpers.games import with_methods
from helpers.runs import command
from PIL import Image

from jaxgan import algorithms, data
from jaxgan.algorithms.one_sided import FORWARD
from jaxgan.applications import translator
from jaxgan.data import images
from jaxgan.data.pixels import to_float, to_uint8
from jaxgan.errors import InputError
from jaxgan.evaluation import restored
from jaxgan.game import sampling_variables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(trained):
  folders = map(trained, ("cyclegan", "pix2pix", "dtn", "nsgan"))
  return {folder.parent for folder in folders}.pop()


def grey(size, seed=0):
  pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
  return Image.fromarray(pixels)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_images_of_the_training_size_are_what_the_generator_makes(
  runs, direction
):
  found = restored.load(runs / "cyclegan")
  image = grey((16, 16))
  made = translator.create(found, direction)(image).image
  params, model_state = sampling_variables(found.state)
  ways = {way.name: way for way in found.game.directions}
  start, result = ways[direction].source, ways[direction].output
  x = np.asarray(image)[None, ..., None] / np.float32(127.5) - 1
  expected = jax.jit(found.game.sample)(params, model_state, {start: x})
  expected = to_uint8(np.asarray(expected[result]))[0, ..., 0]
  np.testing.assert_array_equal(np.asarray(made), expected)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("size", [(40, 24), (17, 31), (16, 16), (7, 9)])
def test_sizes_are_kept(runs, size, native):
  found = restored.load(runs / "cyclegan")
  made = translator.create(found, native=native)(grey(size)).image
  assert (made.size, made.mode) == (size, "L")


def test_by_default_the_network_sees_the_scale_of_training(runs):
  found = restored.load(runs / "cyclegan")
  seen = []

  def sample(params, model_state, batch):
    seen[:] = [batch["source"].shape[1:3]]
    return {FORWARD.output: batch["source"]}

  found = found._replace(game=with_methods(found.game, sample=sample))
  image = grey((48, 24))
  kept = translator.create(found, native=True)(image)
  np.testing.assert_array_equal(np.asarray(kept.image), np.asarray(image))
  assert seen == [(24, 48)]
  translator.create(found)(image)
  assert seen == [(16, 32)]
  # A margin that training cuts off is not what counts.
  found.config.data.source.pad = -4
  translator.create(found)(grey((28, 28)))
  assert seen == [(22, 22)]


def test_noise_of_pix2pix(runs):
  found = restored.load(runs / "pix2pix")
  # With the statistics of one image: the running ones level all out so early.
  found.config.batch_size = 1
  found = found._replace(game=algorithms.create(found.config))

  def made(**how):
    return np.asarray(translator.create(found, **how)(grey((16, 16))).image)

  np.testing.assert_array_equal(made(), made())
  assert (made() != made(seed=1)).any()
  still = made(deterministic=True)
  np.testing.assert_array_equal(still, made(deterministic=True, seed=1))
  assert (still != made()).any()


@pytest.mark.parametrize("size", [(16, 16), (40, 24), (7, 9)])
def test_dtn_translates_the_central_part(runs, size):
  found = restored.load(runs / "dtn")
  image = grey(size)
  made = translator.create(found)(image)
  side = min(size)
  assert (made.image.size, made.image.mode) == ((side, side), "L")
  # As training would have read it.
  center = images.crop_and_resize(
    image, "", data.domain(found.config.data, "source")
  )
  variables = sampling_variables(found.state)
  x = to_float(center[None])
  sample, embed = found.game.sample, found.game.embed
  expected = to_uint8(sample(*variables, {"source": x})[FORWARD.output])
  a, b = (embed(*variables, y)[0] for y in (x, to_float(expected)))
  cosine = a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
  np.testing.assert_allclose(made.similarity, cosine, atol=1e-4)
  if size == (16, 16):
    np.testing.assert_allclose(made.image, expected[0, ..., 0], atol=1)
  with pytest.raises(InputError, match="16x16 alone: leave --native out"):
    translator.create(found, native=True)


def test_a_margin_that_training_cuts_off(runs):
  found = restored.load(runs / "dtn")
  found.config.data.source.pad = -4
  image = grey((28, 28))
  made = translator.create(found)(image)
  assert made.image.size == (20, 20)
  found.config.data.source.pad = 0
  inner = translator.create(found)(image.crop((4, 4, 24, 24)))
  np.testing.assert_array_equal(made.image, inner.image)
  found.config.data.source.pad = -4
  with pytest.raises(InputError, match="of which pad=-4 leaves none"):
    translator.create(found)(grey((8, 8)))


def test_limits(runs, monkeypatch):
  found = restored.load(runs / "cyclegan")
  go = translator.create(found, native=True)
  with pytest.raises(InputError, match="too small"):
    go(grey((1, 16)))
  monkeypatch.setattr(translator, "_MAX_PIXELS", 1000)
  with pytest.raises(InputError, match="--native"):
    go(grey((40, 40)))
  with pytest.raises(InputError, match="cut it"):
    translator.create(found)(grey((400, 2)))


def test_what_cannot_translate(runs):
  with pytest.raises(InputError, match="choose one of .'forward'"):
    translator.create(restored.load(runs / "pix2pix"), "backward")
  with pytest.raises(InputError, match="does not translate"):
    translator.create(restored.load(runs / "nsgan"))


def test_a_folder_by_the_command(runs, tmp_path):
  write_images(tmp_path / "in" / "deep", 3, size=(20, 30))
  write_images(tmp_path / "in", 1, mode="L")
  (tmp_path / "in" / "bad.jpg").write_bytes(b"no image")
  arguments = f"--workdir={runs}/cyclegan", f"--input={tmp_path}/in"
  result = command("translate", *arguments, "--output=out", cwd=tmp_path)
  assert result.returncode == 1
  assert "1 of 5 images were not translated" in result.stderr
  assert "bad.jpg" in result.stderr
  assert result.stdout.count("are made grey") == 1
  names = sorted(str(p.relative_to(tmp_path / "out"))
                 for p in (tmp_path / "out").rglob("*.*"))  # fmt: skip
  assert names == ["000.png", "deep/000.png", "deep/001.png", "deep/002.png"]
  with Image.open(tmp_path / "out/deep/001.png") as made:
    assert made.size == (20, 30)


@pytest.mark.parametrize(
  ("given", "output", "message"),
  [
    ("in", "in/out", "lies in the input"),
    ("in", "full", "holds something"),
    ("in", "out.png", "give a folder"),
    ("in/000.png", "out", "ends in"),
    ("in/000.png", "in/000.png", "is the input"),
    ("in/000.png", "full/000.png", "exists"),
    ("none.png", "out.png", "no such image"),
    ("empty", "out", "no images"),
  ],
)
def test_bad_paths(tmp_path, given, output, message):
  write_images(tmp_path / "in", 1)
  write_images(tmp_path / "full", 1)
  (tmp_path / "empty").mkdir()
  with pytest.raises(InputError, match=message):
    translator.match_files(tmp_path / given, tmp_path / output)
  assert len(list((tmp_path / "in").iterdir())) == 1
