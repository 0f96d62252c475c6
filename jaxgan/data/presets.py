"""Data configs by preset: `images(name)` and `translation(name)`."""

from typing import Any

from ml_collections import ConfigDict

from jaxgan.checks import one_of
from jaxgan.data import builtin

_CELEBA = {"name": "celeb_a", "image_size": 64, "channels": 3, "flip": True}
# Images and points: the objects of `builtin.py` and sets of TFDS.
_IMAGES: dict[str, dict[str, Any]] = {
  # 28 + 2 * 2: no pixel of a digit is resampled.
  "mnist": {"pad": 2},
  "fashion_mnist": {"pad": 2},
  "cifar10": {"channels": 3, "flip": True},
  "celeba": _CELEBA,
}

_DIGITS = {"name": "digits", "channels": 1}
_TYPESET = {"name": "typeset_digits", "channels": 1}
# MNIST's digits have a margin of 4 pixels; USPS's fill the image.
_MNIST = {"name": "mnist", "channels": 1, "pad": -4}
_USPS = {"name": "usps", "channels": 1}
_PHOTOS = {"image_size": 256, "margin": 30, "flip": True}  # read at 286
_TRANSLATION: dict[str, dict[str, Any]] = {
  # Unpaired images; from handwritten to typeset digits, both built in.
  "digits": {"image_size": 16, "source": _DIGITS, "target": _TYPESET},
  "mnist_usps": {"image_size": 16, "source": _MNIST, "target": _USPS},
  "usps_mnist": {"image_size": 16, "source": _USPS, "target": _MNIST},
  "svhn_mnist": {
    "image_size": 32,
    "source": {"name": "svhn_cropped", "split": "extra"},
    "target": _MNIST | {"pad": 2},
  },
  # Images below data.source.path and data.target.path, as in "folders".
  # No margin: f of an image and of its mirror image is computed once.
  "faces": {"image_size": 64, "flip": True},
  "horse2zebra": {
    **_PHOTOS,
    "source": {"name": "cycle_gan/horse2zebra", "split": "trainA"},
    "target": {"name": "cycle_gan/horse2zebra", "split": "trainB"},
  },
  "folders": _PHOTOS,
  # Pairs; from outlines of handwritten digits to the digits, built in.
  "outlines": {
    "name": "outlines", "image_size": 16, "source": _DIGITS, "target": _DIGITS,
  },
  # Side by side in the images below data.path, or with equal names below
  # data.source.path and data.target.path. The CMP facades have the photographs,
  # the target, at the left.
  "facades": {**_PHOTOS, "name": "pairs", "source_side": "right"},
  "pairs": {**_PHOTOS, "name": "pairs"},
}  # fmt: skip


def _images() -> dict[str, dict[str, Any]]:
  return {name: x.preset for name, x in builtin.names().items()} | _IMAGES


IMAGES = tuple(name for name in _images() if not builtin.find(name).mixture)
TRANSLATIONS = tuple(_TRANSLATION)


def images(name: str) -> ConfigDict:
  """Returns `config.data` for single images, or points; see the table above.

  Raises:
    InputError: for another name.
  """
  table = _images()
  one_of("preset", name, table)
  return ConfigDict(
    {
      "name": name,
      "path": "",  # of a folder, or of the prepared TFDS sets
      "split": "train",
      "image_size": 32,
      "channels": 1,
      "pad": 0,  # background pixels added on each side, or cut off below 0
      "flip": False,  # random, left to right
      "crop": 0,  # random, by up to so many pixels
      "dequantize": False,  # uniform noise of one grey level
      **table[name],
    }
  )


def translation(name: str) -> ConfigDict:
  """Returns `config.data` for images of two domains; see the table above.

  Raises:
    InputError: for another name.
  """
  one_of("preset", name, _TRANSLATION)
  domain = {
    "name": "folder",
    "path": "",  # by default the `path` of both
    "split": "train",
    "channels": 3,
    "pad": 0,  # background pixels added on each side, or cut off below 0
  }
  entry = _TRANSLATION[name]
  return ConfigDict(
    {
      "name": "unpaired",  # or "pairs", "outlines"
      "path": "",
      "image_size": 256,
      "image_width": 0,  # where it is not the height, `image_size`
      # Pixels by which images are read larger, to be cut at a random place.
      "margin": 0,
      "flip": False,  # random, left to right; of both images of a pair
      "source_side": "left",  # or "right", of images that hold a pair
      **entry,
      "source": domain | entry.get("source", {}),
      "target": domain | entry.get("target", {}),
    }
  )
