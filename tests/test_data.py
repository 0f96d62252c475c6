import io

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from PIL import Image

from jaxgan import data, parallel
from jaxgan.config import InputError, base_config
from jaxgan.data import batches as batches_lib
from jaxgan.data import images, mixtures
from jaxgan.data.arrays import ArraySource
from jaxgan.data.batches import (
  batches,
  feed,
  make_prepare,
  shuffled,
  to_float,
)
from jaxgan.parallel import AXIS


def config(preset="folder", **values):
  config = base_config(preset).data
  config.update(values)
  return config


# Built-in sets.


@pytest.mark.parametrize(
  ("name", "count", "classes"),
  [("digits", 1797, 10), ("typeset_digits", 6000, 10)],
)
def test_digits(name, count, classes):
  source = data.create(config(name))
  everything = source[np.arange(len(source))]
  image, label = everything["image"], everything["label"]
  assert image.shape == (count, 16, 16, 1)
  assert image.dtype == np.uint8
  assert data.example_shape(config(name)) == image.shape[1:]
  np.testing.assert_array_equal(np.unique(label), np.arange(classes))
  # Ink on an empty background, with a margin; classes look different.
  assert np.median(image) == 0
  assert image.max() > 200
  assert image[:, 0].mean() < 10
  means = np.stack([image[label == k].mean(0) for k in range(classes)])
  gaps = np.abs(means[:, None] - means[None]).mean((2, 3, 4))
  assert gaps[~np.eye(classes, dtype=bool)].min() > 5


def test_handwritten_digits_are_those_of_scikit_learn():
  from sklearn.datasets import load_digits

  expected = load_digits()
  source = data.create(config("digits", image_size=11))  # digits of 8x8
  found = source[np.arange(len(source))]
  np.testing.assert_array_equal(
    found["image"][:, 1:9, 1:9, 0],
    (expected.images * 255 / 16).astype(np.uint8),
  )
  np.testing.assert_array_equal(found["label"], expected.target)


def test_typeset_digits_are_always_the_same():
  first, second = (data.create(config("typeset_digits")) for _ in range(2))
  np.testing.assert_array_equal(first.arrays["image"], second.arrays["image"])
  jittered = first.arrays["image"][first.arrays["label"] == 3]
  assert len(np.unique(jittered, axis=0)) > 0.9 * len(jittered)


def test_stacked_digits():
  source = data.create(config("stacked_digits"))
  grey = data.create(config("digits"))
  batch = source[np.arange(500)]
  assert batch["image"].shape == (500, 16, 16, 3)
  assert data.example_shape(config("stacked_digits")) == (16, 16, 3)
  assert batch["label"].max() < 1000
  assert len(np.unique(batch["label"])) > 300
  parts = [grey[source.triples[:500, i]] for i in range(3)]
  np.testing.assert_array_equal(
    batch["image"][..., 1], parts[1]["image"][..., 0]
  )
  np.testing.assert_array_equal(
    batch["label"],
    sum(10 ** (2 - i) * p["label"] for i, p in enumerate(parts)),
  )


@pytest.mark.parametrize(
  ("name", "centres", "deviation"),
  [
    ("ring", mixtures.ring_centres(), 0.01),
    ("grid", mixtures.grid_centres(), 0.05),
  ],
)
def test_mixtures(name, centres, deviation):
  source = data.create(config(name))
  points = source[np.arange(len(source))]
  assert data.example_shape(config(name)) == (2,)
  noise = points["image"] - centres[points["label"]]
  np.testing.assert_allclose(noise.std(0), deviation, rtol=0.02)
  np.testing.assert_allclose(noise.mean(0), 0, atol=0.02 * deviation)
  counts = np.bincount(points["label"]) / len(source)
  np.testing.assert_allclose(counts, 1 / len(centres), rtol=0.1)
  assert len(counts) == {"ring": 8, "grid": 25}[name]


# Folders of images.


def write_images(folder, count, size=(20, 20), mode="RGB"):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  for i in range(count):
    shape = (size[1], size[0], len(mode))
    pixels = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels.squeeze(), mode=None).save(folder / f"{i:03d}.png")


@pytest.mark.parametrize("in_memory", [True, False])
def test_folder(tmp_path, monkeypatch, in_memory):
  write_images(tmp_path / "a", 5)
  write_images(tmp_path / "b", 4)
  (tmp_path / "notes.txt").write_text("not an image")
  if not in_memory:
    monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  source = data.create(config(path=str(tmp_path), image_size=20))
  assert (len(source), source.in_memory) == (9, in_memory)
  batch = source[np.array([5, 0])]
  for i, name in enumerate(("b/000.png", "a/000.png")):
    expected = np.asarray(Image.open(tmp_path / name))
    np.testing.assert_array_equal(batch["image"][i], expected)


def encode(image, **how):
  file = io.BytesIO()
  image.save(file, how.pop("format", "png"), **how)
  return file.getvalue()


def test_decode_cuts_and_resizes():
  pixels = np.zeros((10, 30, 3), np.uint8)
  pixels[:, 10:20] = [200, 100, 50]
  wide = encode(Image.fromarray(pixels))
  out = images.decode(wide, "wide", config(image_size=5))
  assert out.shape == (5, 5, 3)
  np.testing.assert_array_equal(out[2, 2], [200, 100, 50])
  out = images.decode(wide, "wide", config(image_size=5, channels=1))
  assert out.shape == (5, 5, 1)


def test_decode_pads():
  white = encode(Image.new("L", (28, 28), 255))
  out = images.decode(white, "white", config("mnist"))
  assert out.shape == (32, 32, 1)
  assert out[:2].max() == 0
  assert (out[2:30, 2:30] == 255).all()


@pytest.mark.parametrize(
  "image",
  [
    Image.new("P", (8, 8)),
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)),
    Image.new("LA", (8, 8), (255, 0)),
    Image.new("I;16", (8, 8), 65535),
    Image.new("1", (8, 8), 1),
  ],
  ids=lambda image: image.mode,
)
def test_decode_converts_every_mode(image):
  if image.mode == "P":
    image.putpalette([255] * 768)
  for channels in (1, 3):
    out = images.decode(
      encode(image), "x", config(image_size=8, channels=channels)
    )
    assert out.shape == (8, 8, channels)
    assert (out == 255).all()


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_bad_images_are_named(tmp_path, damage):
  write_images(tmp_path, 3)
  bad = tmp_path / "bad.jpg"
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  whole = encode(Image.fromarray(noise), format="jpeg")
  bad.write_bytes(
    {"truncated": whole[:900], "text": b"hello", "empty": b""}[damage]
  )
  with pytest.raises(InputError, match="bad.jpg"):
    data.create(config(path=str(tmp_path)))


# Sets of TensorFlow Datasets, without TensorFlow.


class Tiny(tfds.core.GeneratorBasedBuilder):
  """Forty grey images of constant level, labelled."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(28, 28, 1)),
          "label": tfds.features.ClassLabel(num_classes=10),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    for i in range(40):
      image = Image.fromarray(np.full((28, 28), 5 * i, np.uint8))
      yield i, {"image": image, "label": i % 10}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  root = tmp_path_factory.mktemp("tfds")
  builder = Tiny(data_dir=root, file_format="array_record")
  builder.download_and_prepare()
  return root


@pytest.mark.filterwarnings("default")
def test_tfds(prepared, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
  source = data.create(config("mnist", name="tiny"))
  assert len(source) == 40
  batch = source[np.arange(40)]
  assert batch["image"].shape == (40, 32, 32, 1)
  levels = batch["image"][:, 16, 16, 0] // 5
  np.testing.assert_array_equal(np.sort(levels), np.arange(40))
  np.testing.assert_array_equal(batch["label"], levels % 10)

  part = data.create(config("mnist", name="tiny", split="train[:25%]"))
  assert len(part) == 10
  with pytest.raises(InputError, match="split 'test'"):
    data.create(config("mnist", name="tiny", split="test"))
  with pytest.raises(InputError, match="data.channels=1"):
    data.create(config("mnist", name="tiny", channels=3))


def test_missing_sets(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
  with pytest.raises(InputError, match=r"jaxgan\[tfds\]"):
    data.create(config("cifar10", path=str(tmp_path)))
  for name in ("no_such_set", "../escape", ""):
    with pytest.raises(InputError, match="no data set"):
      data.create(config("cifar10", name=name, path=str(tmp_path)))


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"path": "/no/such/folder"}, "not a folder"),
    ({"path": ""}, "not a folder"),
    ({"path": "EMPTY"}, "no images"),
    ({"path": "EMPTY", "channels": 2}, "give 1 or 3"),
    ({"path": "EMPTY", "image_size": 0}, "4 or more"),
    ({"name": "digits", "channels": 3}, "channels=1"),
    ({"name": "stacked_digits", "channels": 1}, "channels=3"),
  ],
)
def test_bad_settings(tmp_path, values, message):
  if values.get("path") == "EMPTY":
    values = values | {"path": str(tmp_path)}
  with pytest.raises(InputError, match=message):
    data.create(config(**values))


# Batches.


def numbers(length=50):
  return ArraySource({"image": np.arange(length, dtype=np.float32)})


def take(source, start, stop, **how):
  how = {"seed": 3, "batch_size": 8, "updates": 2} | how
  return [b["image"] for b in batches(source, start=start, stop=stop, **how)]


def test_every_epoch_is_a_permutation():
  indices = shuffled(0, np.arange(150), 50)
  epochs = indices.reshape(3, 50)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
  assert (epochs[0] != epochs[1]).any()
  assert (shuffled(1, np.arange(50), 50) != epochs[0]).any()


@pytest.mark.parametrize("length", [1, 2, 5, 50, 1797, 60_000])
def test_device_and_host_shuffle_alike(length):
  first = 2 * length - 1
  positions = np.arange(first, first + 2 * length + 3)
  on_device = jax.jit(lambda x: shuffled(7, x, length, jnp))
  indices = shuffled(7, positions, length)
  np.testing.assert_array_equal(indices, on_device(positions.astype(np.uint32)))
  np.testing.assert_array_equal(
    np.sort(indices[1 : length + 1]), np.arange(length)
  )


def test_shuffle_is_uniform():
  # Where example 0 goes in 4000 epochs of 20: counts of mean 200, sd 14.
  indices = shuffled(0, np.arange(20 * 4000), 20).reshape(4000, 20)
  counts = np.bincount(np.argmin(indices, axis=1), minlength=20)
  assert abs(counts - 200).max() < 60
  # Neighbours are not kept together: 4000 * 19 / 20 / 20 = 190 times for each
  # of the 20 distances.
  steps = np.bincount((indices[:, 1] - indices[:, 0]) % 20, minlength=20)
  assert steps[0] == 0 and abs(steps[1:] - 4000 / 19).max() < 60


@flax.struct.dataclass
class Counter:
  step: jax.Array


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_resident_data_feeds_the_same_minibatches(kind, monkeypatch):
  settings = ConfigDict({"seed": 3, "batch_size": 8, "steps": 9})
  source = ArraySource({"image": np.arange(50, dtype=np.float32)})

  def step(state, batch):
    seen = jax.lax.all_gather(batch["image"], AXIS, axis=1, tiled=True)
    return state.replace(step=state.step + 1), seen

  def seen(devices):
    mapping = parallel.create(kind, jax.devices()[:devices])
    mapped, inputs = feed(source, settings, 2, 4, step, mapping)
    state = mapping.replicate(Counter(step=jnp.int32(4)))
    rounds = []
    for batch in inputs:
      state, images = mapped(state, batch)
      images = np.asarray(images)
      rounds.append(images[0] if kind == "pmap" else images)
    return np.stack(rounds)

  resident = [seen(devices) for devices in (1, 4)]
  monkeypatch.setattr(batches_lib, "RESIDENT_BYTES", 0)
  sent = [seen(devices) for devices in (1, 4)]
  for rounds in (*resident, *sent):
    np.testing.assert_array_equal(rounds, sent[0])
  np.testing.assert_array_equal(sent[0], take(source, 4, 9))


def test_batches_are_a_function_of_seed_and_round():
  first, again, other = (
    take(numbers(), 0, 20, seed=seed) for seed in (3, 3, 4)
  )
  np.testing.assert_array_equal(first, again)
  assert np.shape(first) == (20, 2, 8)
  assert (np.array(first) != np.array(other)).any()
  np.testing.assert_array_equal(take(numbers(), 10, 20), first[10:])


def test_processes_share_every_minibatch():
  whole = np.array(take(numbers(), 0, 9))
  for count in (2, 4):
    parts = [take(numbers(), 0, 9, process=(i, count)) for i in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)


def test_streamed_batches_are_the_same(tmp_path, monkeypatch):
  write_images(tmp_path, 12, size=(8, 8))
  settings = config(path=str(tmp_path), image_size=8)
  held = take(data.create(settings), 2, 9)
  monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  streamed = take(data.create(settings), 2, 9)
  np.testing.assert_array_equal(held, streamed)


def test_too_few_images():
  with pytest.raises(InputError, match="batch_size to 5"):
    feed(
      numbers(5), ConfigDict({"batch_size": 8, "steps": 1}), 1, 0, None, None
    )


def prepare(settings, image, seed=0):
  fn = jax.vmap(
    lambda x: make_prepare(settings)({"image": x}, jax.random.key(seed)),
    axis_name=AXIS,
  )
  return np.array(fn(image[None])["image"][0])


IMAGES = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8)


def test_plain_conversion():
  out = prepare(config("digits"), IMAGES)
  np.testing.assert_allclose(out, IMAGES / 127.5 - 1, atol=1e-6)
  np.testing.assert_allclose(to_float(IMAGES), out, atol=1e-6)
  points = np.ones((4, 2), np.float32)
  np.testing.assert_array_equal(prepare(config("ring"), points), points)


def test_flip():
  out = prepare(config("digits", flip=True), IMAGES)
  plain = to_float(IMAGES)
  same = np.isclose(out, plain, atol=1e-6).all((1, 2, 3))
  flipped = np.isclose(out, plain[:, :, ::-1], atol=1e-6).all((1, 2, 3))
  assert (same ^ flipped).all()
  assert 16 < flipped.sum() < 48


def test_crop():
  out = prepare(config("digits", crop=2), IMAGES)
  pad = ((0, 0), (2, 2), (2, 2), (0, 0))
  padded = np.pad(to_float(IMAGES), pad, mode="reflect")
  offsets = set()
  for image, source in zip(out, padded, strict=True):
    found = [
      (y, x)
      for y in range(5)
      for x in range(5)
      if np.allclose(image, source[y : y + 8, x : x + 8], atol=1e-6)
    ]
    assert found
    offsets.update(found)
  assert len(offsets) > 15


def test_dequantize():
  out = prepare(config("digits", dequantize=True), IMAGES)
  levels = (out + 1) * 128
  np.testing.assert_array_equal(np.floor(levels + 1e-4), IMAGES)
  assert (levels - IMAGES).std() > 0.2
  assert (out != prepare(config("digits", dequantize=True), IMAGES, 1)).any()
