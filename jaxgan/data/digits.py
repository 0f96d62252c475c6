"""Digits, built in or of USPS: handwritten, outlined, typeset."""

import pathlib
import zlib
from importlib.util import find_spec

import matplotlib
import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageDraw, ImageFont

from jaxgan.data.arrays import ArraySource
from jaxgan.data.images import stored_size
from jaxgan.errors import InputError, first_line

# The fonts of matplotlib in which all ten digits look like digits.
FONTS = (
  "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono",
  "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold",
  "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic",
  "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip


def handwritten(config: ConfigDict) -> ArraySource:
  """Returns the 1797 handwritten digits that come with scikit-learn.

  The 8x8 originals (16 grey levels, test part of the UCI set "Optical
  Recognition of Handwritten Digits") are enlarged smoothly to three quarters
  of the image and centred, as MNIST's are. Ink is 255. The split "train" is
  four fifths of them, drawn at random once and for all; "test" is the rest.
  """
  size, _ = stored_size(config)
  inner = 3 * size // 4
  margin = (size - inner) // 2
  # The file that `sklearn.datasets.load_digits` reads, without the two
  # seconds that importing it takes: 64 grey levels and a label to a line.
  folder = pathlib.Path(find_spec("sklearn").submodule_search_locations[0])
  lines = np.loadtxt(folder / "datasets/data/digits.csv.gz", delimiter=",")
  order, count = np.random.default_rng(0).permutation(len(lines)), 1437
  lines = lines[order[:count] if config.split == "train" else order[count:]]
  images = np.zeros((len(lines), size, size, 1), np.uint8)
  original = (lines[:, :64] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
  box = slice(margin, margin + inner)
  images[:, box, box, 0] = _resize(original, inner)
  return ArraySource({"image": images, "label": lines[:, 64].astype(np.int32)})


def outlines(config: ConfigDict) -> ArraySource:
  """Returns the outlines of `handwritten(config)`, in its order; labels too.

  Pixels that touch ink, and have none, are 255; all others are 0.
  """
  from scipy import ndimage  # here, since its import delays every start

  arrays = handwritten(config).arrays
  # At a lower level loops fill up, at a higher one strokes break.
  ink = arrays["image"] > 96
  outline = ndimage.maximum_filter(ink, (1, 3, 3, 1)) & ~ink
  return ArraySource({**arrays, "image": 255 * outline.astype(np.uint8)})


def typeset(config: ConfigDict, length: int = 6000) -> ArraySource:
  """Returns `length` digits set in matplotlib's fonts. Ink is 255.

  Each digit is as frequent. Font, height, slant, rotation and place are random,
  but the same in every call; the splits "train" and "test" differ.
  """
  size, _ = stored_size(config)
  rng = np.random.default_rng(["train", "test"].index(config.split))
  folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
  side = 4 * size  # drawn larger and reduced, for smooth edges
  fonts = [
    ImageFont.truetype(str(folder / f"{name}.ttf"), share * side)
    for name in FONTS
    for share in (0.75, 0.85, 0.95)
  ]
  labels = np.arange(length, dtype=np.int32) % 10
  images = np.zeros((length, size, size, 1), np.uint8)
  for image, label in zip(images, labels, strict=True):
    glyph = Image.new("L", (side, side))
    x, y = side / 2 + rng.uniform(-0.05, 0.05, 2) * side
    font = fonts[rng.integers(len(fonts))]
    ImageDraw.Draw(glyph).text((x, y), str(label), 255, font, anchor="mm")
    glyph = glyph.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)
    image[..., 0] = glyph.resize((size, size), Image.Resampling.BOX)
  return ArraySource({"image": images, "label": labels})


def usps(config: ConfigDict) -> ArraySource:
  """Returns the USPS digits, 7291 to train and 2007 to test. Ink is 255.

  `config.path` is a folder with the text files of "The Elements of Statistical
  Learning", `zip.train.gz` and `zip.test.gz`: to a line, a label and the 256
  values of a 16x16 image in [-1, 1].

  Raises:
    InputError: where the file is missing, or no file of USPS.
  """
  size, _ = stored_size(config)
  path = pathlib.Path(config.path, f"zip.{config.split}.gz")
  if not config.path or not path.is_file():
    raise InputError(
      f"no file {path}: set data.path to a folder with zip.train.gz and "
      "zip.test.gz of USPS"
    )
  try:
    lines = np.loadtxt(path, ndmin=2)
    labels, pixels = lines[:, 0], lines[:, 1:].reshape(-1, 16, 16)
  except (ValueError, OSError, EOFError, zlib.error) as e:
    raise InputError(f"{path} is no file of USPS: {first_line(e)}") from e
  if not (np.isin(labels, range(10)).all() and (np.abs(pixels) <= 1).all()):
    raise InputError(
      f"{path} is no file of USPS: it has other labels than 0 to 9, or "
      "values outside [-1, 1]"
    )
  grey = np.rint((pixels + 1) * 127.5).astype(np.uint8)
  images = _resize(grey, size)[..., None]
  return ArraySource({"image": images, "label": labels.astype(np.int32)})


def _resize(images: np.ndarray, size: int) -> np.ndarray:
  """Returns grey images `[n, H, W]`, uint8, at another size."""
  shape, method = (size, size), Image.Resampling.BICUBIC
  if images.shape[1:] == shape:
    return images
  return np.stack([Image.fromarray(x).resize(shape, method) for x in images])
