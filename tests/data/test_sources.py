"""The sources: built-in sets, folders, TensorFlow Datasets."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.configs import data_config, load_config
from helpers.files import write_images
from PIL import Image

from jaxgan import data
from jaxgan.data import builtin, images, mixtures, presets
from jaxgan.data.arrays import ArraySource
from jaxgan.errors import InputError

# Built-in sets.


@pytest.mark.parametrize(
  ("name", "count", "classes"),
  [("digits", 1437, 10), ("typeset_digits", 6000, 10)],
)
def test_digits(name, count, classes):
  source = data.create(data_config(name))
  everything = source[np.arange(len(source))]
  image, label = everything["image"], everything["label"]
  assert image.shape == (count, 16, 16, 1)
  assert image.dtype == np.uint8
  assert data.example_shape(data_config(name)) == image.shape[1:]
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
  images = (expected.images * 255 / 16).astype(np.uint8)
  known = sorted(
    (image.tobytes(), label)
    for image, label in zip(images, expected.target, strict=True)
  )
  found = []
  for split in ("train", "test"):  # both together are all of them
    source = data.create(
      data_config("digits", image_size=11, split=split)  # digits of 8x8
    )
    part = source[np.arange(len(source))]
    found += [
      (image[1:9, 1:9, 0].tobytes(), label)
      for image, label in zip(part["image"], part["label"], strict=True)
    ]
  assert sorted(found) == known
  assert len(source) == 360
  assert np.bincount(part["label"]).min() > 20


def test_typeset_digits_are_always_the_same():
  first, second = (data.create(data_config("typeset_digits")) for _ in range(2))
  np.testing.assert_array_equal(first.arrays["image"], second.arrays["image"])
  jittered = first.arrays["image"][first.arrays["label"] == 3]
  assert len(np.unique(jittered, axis=0)) > 0.9 * len(jittered)


def test_stacked_digits():
  source = data.create(data_config("stacked_digits"))
  grey = data.create(data_config("digits"))
  batch = source[np.arange(500)]
  assert batch["image"].shape == (500, 16, 16, 3)
  assert data.example_shape(data_config("stacked_digits")) == (16, 16, 3)
  assert batch["label"].max() < 1000
  assert len(np.unique(batch["label"])) > 300
  # Always the same ones.
  triples = np.random.default_rng(0).integers(len(grey), size=(len(source), 3))
  parts = [grey[triples[:500, i]] for i in range(3)]
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
    ("ring", mixtures.ring().centres, 0.01),
    ("grid", mixtures.grid().centres, 0.05),
  ],
)
def test_mixtures(name, centres, deviation):
  source = data.create(data_config(name))
  points = source[np.arange(len(source))]
  assert data.example_shape(data_config(name)) == (2,)
  noise = points["image"] - centres[points["label"]]
  np.testing.assert_allclose(noise.std(0), deviation, rtol=0.02)
  np.testing.assert_allclose(noise.mean(0), 0, atol=0.02 * deviation)
  counts = np.bincount(points["label"]) / len(source)
  np.testing.assert_allclose(counts, 1 / len(centres), rtol=0.1)
  assert len(counts) == {"ring": 8, "grid": 25}[name]


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_density_of_mixtures(name):
  mixture = data.mixture(data_config(name))
  assert data.mixture(data_config("digits")) is None
  centre, sigma = mixture.centres[3], mixture.deviation
  # Over the cells of a fine grid around a mode: its share of the whole.
  line = np.linspace(-6, 6, 241) * sigma
  cells = centre + np.stack(np.meshgrid(line, line), -1)
  found = mixtures.density(mixture, cells)
  area = (line[1] - line[0]) ** 2
  np.testing.assert_allclose(
    found.sum() * area, 1 / len(mixture.centres), rtol=1e-6
  )
  np.testing.assert_allclose(
    mixtures.density(mixture, centre + [sigma, 0])
    / mixtures.density(mixture, centre),
    np.exp(-0.5),
  )


@pytest.mark.parametrize(
  "name", ["digits", "typeset_digits", "stacked_digits", "ring"]
)
def test_held_out_examples_are_others(name):
  config = data_config(name)
  other = data.held_out(config)
  assert (other.split, config.split) == ("test", "train")
  rows = [
    {x.tobytes() for x in data.create(c)[np.arange(300)]["image"]}
    for c in (config, other)
  ]
  assert not rows[0] & rows[1]
  with pytest.raises(InputError, match="data.split='all': choose"):
    data.create(data_config(name, split="all"))


def test_classes():
  counts = {"digits": 10, "stacked_digits": 1000, "stacked_mnist": 1000,
            "grid": 0, "folder": 0}  # fmt: skip
  for name, count in counts.items():
    assert data.classes(data_config(name)) == count


def test_a_new_set_is_one_object(monkeypatch):
  def read(config):
    length = {"train": 20, "test": 10}[config.split]
    side = config.image_size
    image = np.zeros((length, side, side, 3), np.uint8)
    return ArraySource({"image": image, "label": np.arange(length) % 7})

  flags = builtin.Images(read, channels=3, labels=7, image_size=8)
  monkeypatch.setattr(builtin, "flags", flags, raising=False)
  config = load_config("dcgan", "flags").data
  assert data.example_shape(config) == (8, 8, 3)
  assert data.classes(config) == 7
  assert list(data.create(config)[np.arange(2)]) == ["image", "label"]
  assert len(data.create(data.held_out(config))) == 10
  for values, message in (
    ({"channels": 1}, "flags has 3 channels, not 1: set data.channels=3"),
    ({"image_width": 9}, "the images of flags are square: set data.image_w"),
    ({"split": "all"}, r"data.split='all': choose one of \['train', 'test'\]"),
  ):
    with pytest.raises(InputError, match=message):
      data.create(data_config("flags", **values))


def write_usps(folder, split, lines):
  np.savetxt(folder / f"zip.{split}.gz", lines, fmt="%.4f")


@pytest.mark.parametrize("size", [16, 32])
def test_usps(tmp_path, size):
  rng = np.random.default_rng(0)
  for split, count in (("train", 12), ("test", 7)):
    pixels = rng.uniform(-1, 1, (count, 256)).round(3)
    labels = np.arange(count) % 10
    write_usps(tmp_path, split, np.column_stack([labels, pixels]))
  config = data_config("usps", path=str(tmp_path), image_size=size)
  assert len(data.create(config)) == 12
  source = data.create(data.held_out(config))
  batch = source[np.arange(7)]
  np.testing.assert_array_equal(batch["label"], labels)
  assert batch["image"].shape == (7, size, size, 1)
  if size == 16:
    floats = batch["image"].reshape(7, 256) / 127.5 - 1
    np.testing.assert_allclose(floats, pixels, atol=0.5 / 127.5 + 1e-6)


@pytest.mark.parametrize(
  ("lines", "message"),
  [
    (None, "zip.train.gz"),
    (np.zeros((3, 200)), "no file of USPS"),
    (np.full((3, 257), 11.0), "other labels"),
    (np.full((3, 257), 2.0), "other labels"),
  ],
)
def test_files_that_are_not_usps(tmp_path, lines, message):
  if lines is not None:
    write_usps(tmp_path, "train", lines)
  with pytest.raises(InputError, match=message):
    data.create(data_config("usps", path=str(tmp_path)))


def test_a_damaged_usps_file(tmp_path):
  write_usps(tmp_path, "train", np.zeros((300, 257)))
  path = tmp_path / "zip.train.gz"
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(InputError, match="no file of USPS"):
    data.create(data_config("usps", path=str(tmp_path)))


# Folders of images.


@pytest.mark.parametrize("in_memory", [True, False])
def test_folder(tmp_path, monkeypatch, in_memory):
  write_images(tmp_path / "a", 5)
  write_images(tmp_path / "b", 4)
  (tmp_path / "notes.txt").write_text("not an image")
  if not in_memory:
    monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  source = data.create(data_config(path=str(tmp_path), image_size=20))
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
  out = images.decode(wide, "wide", data_config(image_size=5))
  assert out.shape == (5, 5, 3)
  np.testing.assert_array_equal(out[2, 2], [200, 100, 50])
  out = images.decode(wide, "wide", data_config(image_size=5, channels=1))
  assert out.shape == (5, 5, 1)


def test_decode_pads():
  white = encode(Image.new("L", (28, 28), 255))
  out = images.decode(white, "white", data_config("mnist"))
  assert out.shape == (32, 32, 1)
  assert out[:2].max() == 0
  assert (out[2:30, 2:30] == 255).all()


def test_decode_cuts_a_margin():
  pixels = np.zeros((28, 28), np.uint8)
  pixels[4:24, 4:24] = np.arange(20)
  image = encode(Image.fromarray(pixels))
  config = data_config(image_size=20, channels=1, pad=-4)
  np.testing.assert_array_equal(
    images.decode(image, "x", config)[..., 0], pixels[4:24, 4:24]
  )
  config.pad = -14
  with pytest.raises(InputError, match="28x28 pixels, of which pad=-14"):
    images.decode(image, "x", config)


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
      encode(image), "x", data_config(image_size=8, channels=channels)
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
  with pytest.raises(InputError, match="bad.jpg is not a readable image"):
    data.create(data_config(path=str(tmp_path)))


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
  source = data.create(data_config("mnist", name="tiny"))
  assert len(source) == 40
  batch = source[np.arange(40)]
  assert batch["image"].shape == (40, 32, 32, 1)
  levels = batch["image"][:, 16, 16, 0] // 5
  np.testing.assert_array_equal(np.sort(levels), np.arange(40))
  np.testing.assert_array_equal(batch["label"], levels % 10)

  part = data.create(data_config("mnist", name="tiny", split="train[:25%]"))
  assert len(part) == 10
  with pytest.raises(InputError, match="split 'test': "):
    data.create(data_config("mnist", name="tiny", split="test"))
  with pytest.raises(InputError, match="data.channels=1"):
    data.create(data_config("mnist", name="tiny", channels=3))


@pytest.mark.filterwarnings("default")
def test_domains_of_tfds(prepared):
  config = presets.translation("mnist_usps")
  config.update(path=str(prepared), image_size=20, image_width=24, margin=4)
  config.source.update(name="tiny", split="train[:25%]")
  config.target.update(name="tiny", split="train[25%:]")
  source = data.create(config)
  assert list(map(len, source.parts)) == [10, 30]
  batch = source[np.arange(30)]
  assert batch["source"].shape == batch["target"].shape == (30, 24, 28, 1)
  for side in ("source", "target"):
    levels = batch[side][:, 12, 14, 0] // 5
    np.testing.assert_array_equal(batch[f"{side}_label"], levels % 10)
  config.target.channels = 3
  with pytest.raises(InputError, match="set data.target.channels=1"):
    data.create(config)


@pytest.mark.filterwarnings("default")
def test_stacks_of_another_set(prepared, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
  monkeypatch.setattr(builtin, "stacked_mnist", builtin.Stacked("tiny"))
  source = data.create(data_config("stacked_mnist"))
  assert len(source) == 60_000
  batch = source[np.arange(50)]
  assert batch["image"].shape == (50, 32, 32, 3)
  levels = batch["image"][:, 16, 16].astype(np.int32) // 5
  np.testing.assert_array_equal(batch["label"], levels % 10 @ [100, 10, 1])


def test_missing_sets(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
  with pytest.raises(InputError, match=r"jaxgan\[tfds\]"):
    data.create(data_config("cifar10", path=str(tmp_path)))
  for name in ("no_such_set", "../escape", ""):
    with pytest.raises(InputError, match="no data set"):
      data.create(data_config("cifar10", name=name, path=str(tmp_path)))


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"path": "/no/such/folder"}, "not a folder"),
    ({"path": ""}, "not a folder"),
    ({"path": "EMPTY"}, "no images"),
    ({"path": "EMPTY", "channels": 2}, r"choose one of \[1, 3\]"),
    ({"path": "EMPTY", "image_size": 0}, "4 or more"),
    ({"name": "digits", "channels": 3}, "channels=1"),
    ({"name": "stacked_digits", "channels": 1}, "channels=3"),
  ],
)
def test_bad_settings(tmp_path, values, message):
  if values.get("path") == "EMPTY":
    values = values | {"path": str(tmp_path)}
  with pytest.raises(InputError, match=message):
    data.create(data_config(**values))
