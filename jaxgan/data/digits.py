"""Digits that need no download: handwritten, typeset, and stacked."""

import pathlib
from importlib.util import find_spec

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxgan.data.arrays import ArraySource, StackedSource

# Those of matplotlib's fonts in which all ten digits look like digits.
FONTS = (
  "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono",
  "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold",
  "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic",
  "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip


def handwritten(size: int) -> ArraySource:
  """The 1797 handwritten digits that come with scikit-learn.

  The 8x8 originals (16 grey levels, test part of the UCI set "Optical
  Recognition of Handwritten Digits") are enlarged smoothly to three quarters
  of the image and centred, as MNIST's are. Ink is 255.

  Args:
    size: side of the images.
  """
  inner = 3 * size // 4
  margin = (size - inner) // 2
  # What `sklearn.datasets.load_digits` reads, without the two seconds that
  # importing it takes: 64 grey levels and a label to a line.
  folder = pathlib.Path(find_spec("sklearn").submodule_search_locations[0])
  lines = np.loadtxt(folder / "datasets/data/digits.csv.gz", delimiter=",")
  images = np.zeros((len(lines), size, size, 1), np.uint8)
  for image, line in zip(images, lines, strict=True):
    original = line[:64].reshape(8, 8)
    grey = Image.fromarray((original * 255 / 16).astype(np.uint8))
    image[margin : margin + inner, margin : margin + inner, 0] = grey.resize(
      (inner, inner), Image.Resampling.BICUBIC
    )
  return ArraySource(
    {
      "image": images,
      "label": lines[:, 64].astype(np.int32),
    }
  )


def typeset(size: int, length: int = 6000) -> ArraySource:
  """Digits set in matplotlib's fonts, with jitter. Ink is 255.

  Font, height, slant, rotation and place vary; the set is always the same.

  Args:
    size: side of the images.
    length: how many; each digit is as frequent.
  """
  rng = np.random.default_rng(0)
  folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
  scale = 4  # drawn larger and reduced, for smooth edges
  side = scale * size
  heights = (0.75 * side, 0.85 * side, 0.95 * side)
  fonts = [
    ImageFont.truetype(str(folder / f"{name}.ttf"), height)
    for name in FONTS
    for height in heights
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


def stacked(size: int) -> StackedSource:
  """60 000 triples of `handwritten` digits, one to a channel: 1000 modes."""
  return StackedSource(handwritten(size), 60_000)
