"""Images of two domains: unpaired, in pairs, outlines; what is held out."""

import io

import numpy as np
import pytest
from helpers.configs import data_config
from helpers.files import write_images
from PIL import Image

from jaxgan import data
from jaxgan.data import folders, images, presets, tfds
from jaxgan.errors import InputError

SIDES = ("source", "target")


def pair_config(preset="pairs", **values):
  config = presets.translation(preset)
  config.update(values)
  return config


def everything(config):
  source = data.create(config)
  return source[np.arange(len(source))]


def save(path, pixels):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels.squeeze()).save(path)


def draw(*shape):
  return np.random.default_rng(len(shape)).integers(0, 256, shape, np.uint8)


# Domains and shapes.


def test_translations_are_told_from_single_images():
  assert data.is_translation(pair_config())
  assert not data.is_translation(data_config())
  assert not data.is_translation(data.domain(pair_config(), "source"))


@pytest.mark.parametrize(
  ("preset", "side", "single"),
  [
    ("digits", "source", "digits"),
    ("digits", "target", "typeset_digits"),
    ("outlines", "target", "digits"),
    ("mnist_usps", "target", "usps"),
  ],
)
def test_a_domain_is_that_of_single_images(preset, side, single):
  # To the key: the two share a classifier.
  config = pair_config(preset, margin=2, flip=True)
  assert data.domain(config, side).to_dict() == data_config(single).to_dict()


def test_paths_of_domains():
  config = pair_config("folders", path="both", target={"path": "own"})
  assert data.domain(config, "source").path == "both"
  assert data.domain(config, "target").path == "own"


def test_example_shapes():
  config = pair_config(
    "folders", image_size=8, image_width=12, source={"channels": 1}
  )
  shapes = {"source": (8, 12, 1), "target": (8, 12, 3)}
  assert data.example_shapes(config) == shapes
  assert data.example_shape(data.domain(config, "source")) == (8, 12, 1)
  assert data.example_shapes(data_config("digits")) == {"image": (16, 16, 1)}
  assert data.example_shapes(data_config("ring")) == {"image": (2,)}
  with pytest.raises(InputError, match="single images, not pairs"):
    data.example_shape(config)


# Unpaired domains.


def test_unpaired_digits():
  config = pair_config("digits", margin=3)
  source = data.create(config)
  assert (len(source), source.in_memory) == (6000, True)
  indices = np.array([0, 1436, 1437, 5999])
  batch = source[indices]
  for side, length in (("source", 1437), ("target", 6000)):
    part = data.domain(config, side)
    part.margin = 3
    expected = data.create(part)[indices % length]
    assert expected["image"].shape == (4, 19, 19, 1)
    np.testing.assert_array_equal(batch[side], expected["image"])
    np.testing.assert_array_equal(batch[f"{side}_label"], expected["label"])
  assert len(batch) == 4


def test_unpaired_folders(tmp_path):
  write_images(tmp_path / "a", 3, size=(12, 8))
  write_images(tmp_path / "b", 2, size=(12, 8), mode="L")
  config = pair_config(
    "folders",
    image_size=5,
    image_width=9,
    margin=3,
    source={"path": str(tmp_path / "a")},
    target={"path": str(tmp_path / "b"), "channels": 1},
  )
  batch = everything(config)
  assert sorted(batch) == list(SIDES)
  assert batch["source"].shape == (3, 8, 12, 3)
  for side, name in (("source", "a/002.png"), ("target", "b/000.png")):
    expected = np.asarray(Image.open(tmp_path / name)).reshape(8, 12, -1)
    np.testing.assert_array_equal(batch[side][2], expected)


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"name": "digits"}, "choose one of .*'unpaired', 'pairs', 'outlines'"),
    ({"margin": -1}, "data.margin=-1: give 0 or more"),
    ({"image_size": 3}, "data.image_size=3: give 4 or more"),
    ({"image_width": 3}, "data.image_width=3: give 4 or more, or 0"),
    ({"image_width": 12}, "square: set data.image_width=0"),
    ({"source": {"channels": 2}}, "data.source.channels=2: choose one of"),
    ({"target": {"channels": 3}}, "set data.target.channels=1"),
    ({"source": {"name": "ring"}}, "data.source.name='ring': give a set of im"),
    ({"source": {"name": "folder"}}, "data.source.path='' is not a folder"),
    ({"target": {"name": "usps"}}, "set data.target.path to a folder"),
    ({"target": {"name": "folder", "path": "EMPTY"}}, "no images .* below /"),
    ({"target": {"split": "trainA"}}, "data.target.split='trainA': choose"),
  ],
)
def test_bad_domains(tmp_path, values, message):
  config = pair_config("digits", **values)
  if config.target.path:
    config.target.path = str(tmp_path)
  with pytest.raises(InputError, match=message):
    data.create(config)


# Pairs of files.


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_images_side_by_side(tmp_path, monkeypatch, side, in_memory):
  pixels = draw(3, 8, 24, 3)
  for i, image in enumerate(pixels):
    save(tmp_path / f"{i}.png", image)
  if not in_memory:
    monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  config = pair_config(
    path=str(tmp_path),
    source_side=side,
    image_size=8,
    image_width=12,
    margin=0,
    target={"channels": 1},
  )
  source = data.create(config)
  assert (len(source), source.in_memory) == (3, in_memory)
  batch = source[np.array([2, 0])]
  left, right = pixels[[2, 0], :, :12], pixels[[2, 0], :, 12:]
  first, second = (left, right) if side == "left" else (right, left)
  np.testing.assert_array_equal(batch["source"], first)
  grey = [np.asarray(Image.fromarray(x).convert("L")) for x in second]
  np.testing.assert_array_equal(batch["target"][..., 0], grey)


@pytest.mark.parametrize("in_memory", [True, False])
def test_pairs_of_two_folders(tmp_path, monkeypatch, in_memory):
  pixels = draw(3, 8, 8, 1)
  for image, name in zip(pixels, ("x/1", "x/2.b", "y/1"), strict=True):
    save(tmp_path / "a" / f"{name}.png", image)
    save(tmp_path / "b" / f"{name}.bmp", 255 - image)
  save(tmp_path / "b" / ".hidden" / "1.png", pixels[0])
  if not in_memory:
    monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  config = pair_config(
    image_size=8,
    margin=0,
    source={"path": str(tmp_path / "a"), "channels": 1},
    target={"path": str(tmp_path / "b"), "channels": 1},
  )
  source = data.create(config)
  assert source.in_memory == in_memory
  batch = source[np.arange(3)]
  np.testing.assert_array_equal(batch["source"], pixels)
  np.testing.assert_array_equal(batch["target"], 255 - pixels)


def test_both_images_of_a_pair_get_the_same_geometry(tmp_path):
  pixels = draw(13, 30, 1)
  both = np.concatenate([pixels, 255 - pixels], axis=1)
  save(tmp_path / "1.png", both)
  config = pair_config(path=str(tmp_path), image_size=8, margin=3)
  batch = everything(config)  # the central square, resized
  assert batch["source"].shape == batch["target"].shape == (1, 11, 11, 3)
  total = batch["source"].astype(int) + batch["target"]
  assert abs(total - 255).max() <= 2
  config.update(source={"pad": 4}, target={"pad": 4})
  padded = everything(config)
  for side in SIDES:
    assert padded[side][0, 0].max() == 0
    assert padded[side][0, 4:7, 4:7].max() > 0


@pytest.mark.parametrize("layout", ["left", "right", "folders", "outlines"])
def test_one_side_of_pairs(tmp_path, layout):
  if layout == "folders":
    for name in ("a", "b"):
      save(tmp_path / name / "1.png", draw(8, 8, 3))
    config = pair_config(
      source={"path": str(tmp_path / "a")}, target={"path": str(tmp_path / "b")}
    )
  elif layout == "outlines":
    config = pair_config("outlines")
  else:
    save(tmp_path / "1.png", draw(8, 16, 3))
    config = pair_config(path=str(tmp_path), source_side=layout)
  config.update(image_size=8, margin=0)
  batch = everything(config)
  for side in SIDES:
    part = data.domain(config, side)
    assert data.classes(part) == (10 if layout == "outlines" else 0)
    single = everything(part)
    np.testing.assert_array_equal(single["image"], batch[side])
    if layout == "outlines":
      np.testing.assert_array_equal(single["label"], batch[f"{side}_label"])


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({}, "no pairs: give data.path"),
    ({"path": "/no/such"}, "'/no/such' is not a folder"),
    ({"path": "empty"}, "no images .* below .*/empty"),
    ({"path": "odd"}, "odd/1.png is 9 pixels wide"),
    ({"path": "odd", "source_side": "up"}, r"one of \['left', 'right'\]"),
    ({"source": "a"}, "data.source.path is given alone"),
    ({"target": "a", "path": "a"}, "data.target.path is given alone"),
    ({"source": "a", "target": "empty"}, "no images .* below .*/empty"),
    (
      {"source": "a", "target": "more"},
      r"^4 images .* \S+more/2.png, \S+more/3.png, \S+more/4.png, \.\.\.$",
    ),
    ({"source": "odd", "target": "a"}, "odd/1.png .* 9x8 and 8x8 pixels"),
    ({"source": "twice", "target": "a"}, "two images below .*/twice"),
  ],
)
def test_bad_pairs(tmp_path, values, message):
  (tmp_path / "empty").mkdir()
  save(tmp_path / "odd" / "1.png", draw(8, 9, 3))
  save(tmp_path / "a" / "1.png", draw(8, 8, 3))
  save(tmp_path / "twice" / "1.png", draw(8, 8, 3))
  save(tmp_path / "twice" / "1.bmp", draw(8, 8, 3))
  for i in range(1, 6):
    save(tmp_path / "more" / f"{i}.png", draw(8, 8, 3))
  config = pair_config(image_size=8)
  for key, value in values.items():
    if key in SIDES:
      config[key].path = str(tmp_path / value)
    elif key == "path":
      config.path = str(tmp_path / value)
    else:
      config[key] = value
  with pytest.raises(InputError, match=message):
    data.create(config)


def test_pads_of_a_pair_are_equal(tmp_path):
  config = pair_config(path=str(tmp_path), target={"pad": 2})
  with pytest.raises(InputError, match="data.source.pad=0 and data.target.pa"):
    data.create(config)


def test_damaged_images_of_pairs_are_named(tmp_path):
  save(tmp_path / "1.png", draw(8, 8, 3))
  (tmp_path / "2.png").write_text("no image")
  with pytest.raises(InputError, match="2.png is not a readable image"):
    data.create(pair_config(path=str(tmp_path), image_size=8))


# What the command that translates reads.


def test_open_image():
  file = io.BytesIO()
  image = Image.new("LA", (6, 4), (100, 255))
  image.putpixel((0, 0), (100, 0))
  exif = Image.Exif()
  exif[0x0112] = 6  # turned by a quarter
  image.save(file, "png", exif=exif)
  for channels, mode in ((1, "L"), (3, "RGB")):
    opened = images.open_image(file.getvalue(), "x", channels)
    assert (opened.mode, opened.size) == (mode, (4, 6))
    pixels = np.asarray(opened).reshape(6, 4, channels)
    assert (pixels[0, 3] == 255).all()  # transparent, so white
    assert (pixels[1] == 100).all()
  with pytest.raises(InputError, match="^x is not a readable image: no image$"):
    images.open_image(b"text", "x", 3)


def encoded(kind, **options):
  file = io.BytesIO()
  Image.new("L", (8, 8)).save(file, kind, **options)
  return file.getvalue()


@pytest.mark.parametrize(
  "content",
  [
    encoded("webp", exif=b"Exif\0\0LM\0*\0\0\0\x08"),  # not "II" or "MM"
    # Where the pixels begin, as a fraction.
    encoded("tiff").replace(b"\x11\x01\x04", b"\x11\x01\x05"),
  ],
  ids=["exif", "tiff"],
)
def test_what_decoders_raise_is_one_line(content):
  with pytest.raises(InputError, match="^x is not a readable image: "):
    images.open_image(content, "x", 3)


def test_conversions_are_said_once(tmp_path, capsys, monkeypatch):
  write_images(tmp_path / "grey", 9, mode="L")
  write_images(tmp_path / "coloured", 9)
  for channels in (3, 1):
    monkeypatch.setattr(images, "_reported", {})
    for name in ("grey", "coloured"):
      path = str(tmp_path / name)
      config = data_config(path=path, image_size=20, channels=channels)
      data.create(config)
      data.create(config)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("grey" if channels == 3 else "coloured images, such")


def test_paths(tmp_path):
  for name in ("b/1.PNG", "a.jpg", ".a/1.png", "b/.2.png", "b/3.txt"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  assert folders.paths(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b/1.PNG"]
  with pytest.raises(InputError, match="is not a folder"):
    folders.paths(tmp_path / "a.jpg")
  (tmp_path / "b/1.PNG").unlink()
  with pytest.raises(InputError, match="no images"):
    folders.paths(tmp_path / "b")


# Outlines.


@pytest.mark.parametrize("size", [16, 32])
def test_outlines(size):
  batch = everything(pair_config("outlines", image_size=size))
  assert batch["source"].shape == batch["target"].shape == (1437, size, size, 1)
  np.testing.assert_array_equal(batch["source_label"], batch["target_label"])
  digits = everything(data_config("digits", image_size=size))
  np.testing.assert_array_equal(batch["target"], digits["image"])
  np.testing.assert_array_equal(batch["target_label"], digits["label"])
  for outline, digit in zip(
    batch["source"][:50], digits["image"], strict=False
  ):
    ink = digit[..., 0] > 96
    padded = np.pad(ink, 1)
    expected = [
      [
        not ink[y, x] and padded[y : y + 3, x : x + 3].any()
        for x in range(size)
      ]
      for y in range(size)
    ]
    np.testing.assert_array_equal(outline[..., 0], 255 * np.array(expected))


def test_splits_of_outlines():
  config = pair_config("outlines")
  other = data.held_out(config)
  assert (other.source.split, other.target.split) == ("test", "test")
  assert len(data.create(other)) == 360
  assert data.held_out(other) is None
  config.source.split = "test"
  with pytest.raises(InputError, match="data.source.split='test' and data.t"):
    data.create(config)


# What is held out.


def test_held_out_digits():
  config = pair_config("digits", margin=2, flip=True)
  other = data.held_out(config)
  assert (other.source.split, other.target.split) == ("test", "test")
  assert (other.margin, config.margin) == (0, 2)
  assert config.source.split == "train"
  assert data.create(other)[np.arange(1)]["target"].shape == (1, 16, 16, 1)
  other.source.split = "train"  # one alone is not enough
  assert data.held_out(other) is None


@pytest.mark.parametrize(
  ("split", "expected"),
  [
    ("trainA", "testA"),
    ("trainB[:50%]", "testB"),
    ("train", "validation"),
    ("validation", None),
  ],
)
def test_held_out_splits(monkeypatch, split, expected):
  splits = ["trainA", "trainB", "testA", "testB"]
  if split in ("train", "validation"):
    splits = ["train", "validation"]
  monkeypatch.setattr(tfds.Tfds, "splits", lambda self, config: splits)
  config = pair_config("horse2zebra")
  assert data.classes(data.domain(config, "source")) == 0
  config.source.split = config.target.split = split
  other = data.held_out(config)
  if expected is None:
    assert other is None
  else:
    assert (other.source.split, other.target.split) == (expected, expected)
    assert other.margin == 0


def test_held_out_folders(tmp_path):
  for name in ("trainA", "trainB", "testA", "valB", "train", "others/train"):
    (tmp_path / name).mkdir(parents=True)

  def held_out(name):
    return data.held_out(data_config(path=str(tmp_path / name)))

  other = held_out("trainA")
  assert (other.path, other.split) == (str(tmp_path / "testA"), "test")
  assert held_out("trainB").path == str(tmp_path / "valB")
  for name in ("train", "others/train", "testA"):
    assert held_out(name) is None

  config = pair_config("folders", source={"path": str(tmp_path / "trainA")})
  config.target.path = str(tmp_path / "trainB")
  for name in ("unpaired", "pairs"):
    config.name = name
    other = data.held_out(config)
    assert other.source.path == str(tmp_path / "testA")
    assert other.target.path == str(tmp_path / "valB")
    assert (other.margin, other.source.split) == (0, "test")
  config.target.path = str(tmp_path / "train")
  assert data.held_out(config) is None

  config = pair_config(path=str(tmp_path / "trainA"))
  other = data.held_out(config)
  assert (other.path, other.source.path) == (str(tmp_path / "testA"), "")
  assert (other.margin, other.target.split) == (0, "test")
