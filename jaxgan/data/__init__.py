"""Where examples come from: `create(config.data)` returns a source.

A source knows its length, and `source[indices]`, with an integer array
`[B]`, is a dict of arrays: `image`, uint8 `[B, H, W, C]` (or float32 points
`[B, D]`), and `label`, int32 `[B]`, where there are labels.
"""

from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from jaxgan.config import InputError
from jaxgan.data import digits, images, mixtures

MIXTURES = {"ring": mixtures.ring, "grid": mixtures.grid}
_DIGITS = {"digits": digits.handwritten, "typeset_digits": digits.typeset}
# Three grey digits to an image, and the set that they are from.
STACKED = {"stacked_digits": "digits", "stacked_mnist": "mnist"}
# Those that have the splits "train" and "test" without being asked.
_SPLIT = (*MIXTURES, *_DIGITS, *STACKED, "usps")
_SPLITS = ("train", "test")


class Source(Protocol):
  """What the modules of this package provide; see above.

  Attributes:
    in_memory: whether indexing only copies from memory.
  """

  in_memory: bool

  def __len__(self) -> int: ...

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]: ...


def example_shape(config: ConfigDict) -> tuple[int, ...]:
  """The shape of one example: `(S, S, C)`, or `(2,)` for the mixtures.

  Raises:
    InputError: where no images could be of that shape.
  """
  if config.name in MIXTURES:
    return (2,)
  if config.channels not in (1, 3):
    raise InputError(f"data.channels={config.channels}: give 1 or 3")
  for key, least in (("image_size", 4), ("pad", 0), ("crop", 0)):
    if config[key] < least:
      raise InputError(f"data.{key}={config[key]}: give {least} or more")
  if config.crop >= config.image_size:
    raise InputError(f"data.crop={config.crop}: give less than data.image_size")
  return (config.image_size, config.image_size, config.channels)


def mixture(config: ConfigDict) -> mixtures.Mixture | None:
  """What the points are drawn from; None for images."""
  return MIXTURES[config.name]() if config.name in MIXTURES else None


def create(config: ConfigDict) -> Source:
  """Returns the source named `config.name`.

  Built in: "digits", "typeset_digits", "stacked_digits", "ring", "grid";
  "folder" is all images below `config.path`, "usps" the digits of that name
  in it; any other name is that of a set of TensorFlow Datasets, prepared
  below `config.path` (by default `$TFDS_DATA_DIR`, or
  `~/tensorflow_datasets`), of which "stacked_mnist" takes "mnist".

  Raises:
    InputError: where there is no such set, or it does not fit the config.
  """
  example_shape(config)  # for its checks
  name, split = config.name, config.split
  if name in _SPLIT and split not in _SPLITS:
    raise InputError(f"{name} has no split {split!r}: give 'train' or 'test'")
  if name in MIXTURES:
    return mixtures.draw(mixture(config), _SPLITS.index(split))
  channels = 3 if name in STACKED else 1
  if name in _SPLIT and config.channels != channels:
    raise InputError(
      f"{name} has {channels} channels, not {config.channels}: set "
      f"data.channels={channels}"
    )
  if name in STACKED:
    grey = config.copy_and_resolve_references()
    grey.update(name=STACKED[name], channels=1)
    return digits.stack(create(grey), split)
  if name in _DIGITS:
    return _DIGITS[name](config.image_size, split)
  if name == "usps":
    return digits.usps(config)
  if name == "folder":
    return images.folder(config)
  return images.tfds(config)


def classes(config: ConfigDict) -> int:
  """How many labels the images have: they are 0, 1, ...; 0 if none."""
  name = config.name
  if name in MIXTURES or name == "folder":
    return 0
  if name in _SPLIT:
    return 1000 if name in STACKED else 10
  return images.tfds_classes(config)


def held_out(config: ConfigDict) -> ConfigDict | None:
  """The config of images that those of `config` do not contain, if any."""
  if config.name == "folder":
    return None
  splits = _SPLITS if config.name in _SPLIT else images.tfds_splits(config)
  for split in ("test", "validation"):
    if split in splits and split not in config.split:
      other = config.copy_and_resolve_references()
      other.split = split
      return other
  return None
