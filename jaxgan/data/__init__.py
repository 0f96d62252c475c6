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

_MIXTURES = {"ring": mixtures.ring, "grid": mixtures.grid}
_DIGITS = {
  "digits": digits.handwritten,
  "typeset_digits": digits.typeset,
  "stacked_digits": digits.stacked,
}


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
  if config.name in _MIXTURES:
    return (2,)
  if config.channels not in (1, 3):
    raise InputError(f"data.channels={config.channels}: give 1 or 3")
  for key, least in (("image_size", 4), ("pad", 0), ("crop", 0)):
    if config[key] < least:
      raise InputError(f"data.{key}={config[key]}: give {least} or more")
  if config.crop >= config.image_size:
    raise InputError(f"data.crop={config.crop}: give less than data.image_size")
  return (config.image_size, config.image_size, config.channels)


def create(config: ConfigDict) -> Source:
  """Returns the source named `config.name`.

  Built in: "digits", "typeset_digits", "stacked_digits", "ring", "grid";
  "folder" is all images below `config.path`; any other name is that of a
  set of TensorFlow Datasets, prepared below `config.path` (by default
  `$TFDS_DATA_DIR`, or `~/tensorflow_datasets`).

  Raises:
    InputError: where there is no such set, or it does not fit the config.
  """
  example_shape(config)  # for its checks
  name = config.name
  if name in _MIXTURES:
    return _MIXTURES[name]()
  channels = 3 if name.startswith("stacked_") else 1
  if name in _DIGITS and config.channels != channels:
    raise InputError(
      f"{name} has {channels} channels, not {config.channels}: set "
      f"data.channels={channels}"
    )
  if name in _DIGITS:
    return _DIGITS[name](config.image_size)
  if name == "folder":
    return images.folder(config)
  return images.tfds(config)
