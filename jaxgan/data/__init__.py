"""Where examples come from: `create(config.data)` returns a source.

A source knows its length, and `source[indices]`, with an integer array
`[B]`, is a dict of arrays: `image`, uint8 `[B, H, W, C]` (or float32 points
`[B, D]`), and `label`, int32 `[B]`, where there are labels. For translation,
`source` and `target` are the images, and `source_label` and `target_label`
their labels.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import digits, images, mixtures, translation
from jaxgan.data.arrays import ArraySource
from jaxgan.data.translation import SIDES, domain
from jaxgan.errors import InputError

MIXTURES = {"ring": mixtures.ring, "grid": mixtures.grid}
_DIGITS = {
  "digits": digits.handwritten,
  "outlines": digits.outlines,
  "typeset_digits": digits.typeset,
}
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


def is_translation(config: ConfigDict) -> bool:
  """Whether the examples have a `source` and a `target`, not an `image`."""
  return "source" in config


def example_shapes(config: ConfigDict) -> dict[str, tuple[int, ...]]:
  """The shapes of one example's images, by their names in a batch.

  Raises:
    InputError: where no images could be of that shape.
  """
  if not is_translation(config):
    return {"image": example_shape(config)}
  if config.margin < 0:
    raise InputError(f"data.margin={config.margin}: give 0 or more")
  shapes = {}
  for side in SIDES:
    part = domain(config, side)
    if part.name in MIXTURES:
      raise InputError(f"data.{side}.name={part.name!r}: give a set of images")
    with _of(side):
      shapes[side] = example_shape(part)
  return shapes


def example_shape(config: ConfigDict) -> tuple[int, ...]:
  """The shape of one example: `(H, W, C)`, or `(2,)` for the mixtures.

  Raises:
    InputError: where no images could be of that shape, or an example is two.
  """
  if is_translation(config):
    raise InputError(
      "this algorithm takes single images, not pairs: choose a preset of "
      "single images"
    )
  if config.name in MIXTURES:
    return (2,)
  if config.channels not in (1, 3):
    raise InputError(f"data.channels={config.channels}: give 1 or 3")
  for key, least in (("image_size", 4), ("crop", 0)):
    if config[key] < least:
      raise InputError(f"data.{key}={config[key]}: give {least} or more")
  if config.crop >= config.image_size:
    raise InputError(f"data.crop={config.crop}: give less than data.image_size")
  width = config.get("image_width", 0) or config.image_size
  if width < 4:
    raise InputError(f"data.image_width={width}: give 4 or more, or 0")
  return (config.image_size, width, config.channels)


def mixture(config: ConfigDict) -> mixtures.Mixture | None:
  """What the points are drawn from; None for images."""
  return MIXTURES[config.name]() if config.name in MIXTURES else None


def create(config: ConfigDict) -> Source:
  """Returns the source named `config.name`.

  Built in: "digits", "typeset_digits", "stacked_digits", "outlines", "ring",
  "grid"; "folder" is all images below `config.path`, "usps" the digits of that
  name in it; any other is the name of a set of TensorFlow Datasets, prepared
  below `config.path` (by default `$TFDS_DATA_DIR`, or
  `~/tensorflow_datasets`), of which "stacked_mnist" takes "mnist".

  For translation, "unpaired" is two of these, "outlines" is those of digits
  with the digits, and "pairs" is files; see `pairs.folders`.

  Raises:
    InputError: where there is no such set, or it does not fit the config.
  """
  shapes = example_shapes(config)  # for its checks
  if is_translation(config):
    return _translation(config)
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
  if name in _SPLIT and shapes["image"][0] != shapes["image"][1]:
    raise InputError(f"the images of {name} are square: set data.image_width=0")
  if name in STACKED:
    grey = config.copy_and_resolve_references()
    grey.update(name=STACKED[name], channels=1)
    return digits.stack(create(grey), split)
  size, _ = images.stored_size(config)
  if name in _DIGITS:
    return _DIGITS[name](size, split)
  if name == "usps":
    return digits.usps(config.path, size, split)
  if name == "folder":
    return images.folder(config)
  return images.tfds(config)


def one_side(config: ConfigDict, side: str) -> Source:
  """The images of one domain, with those that they should become, if known.

  Raises:
    InputError: see `create`.
  """
  if config.name == "unpaired":
    return translation.Domain(create(domain(config, side)), side)
  return create(config)


def _translation(config: ConfigDict) -> Source:
  parts = {side: domain(config, side) for side in SIDES}
  for part in parts.values():
    part.margin = config.margin
  if config.name == "pairs":
    return translation.folders(config, parts)
  domains = []
  for side, part in parts.items():
    with _of(side):
      domains.append(translation.Domain(create(part), side))
  if config.name == "unpaired":
    return translation.Unpaired(*domains)
  if config.source.split != config.target.split:
    raise InputError(
      f"data.source.split={config.source.split!r} and data.target.split="
      f"{config.target.split!r}: the images of a pair need the same"
    )
  first, second = (part[np.arange(len(part))] for part in domains)
  return ArraySource(first | second)


@contextlib.contextmanager
def _of(side: str) -> Iterator[None]:
  """Has errors name the keys of a domain, not those of single images."""
  try:
    yield
  except InputError as e:
    own = r"\bdata\.(?=(name|path|split|channels|pad)\b)"
    raise InputError(re.sub(own, f"data.{side}.", str(e))) from e


def classes(config: ConfigDict) -> int:
  """How many labels the images have: they are 0, 1, ...; 0 if none."""
  name = config.name
  # A label of the sets of CycleGAN is only the name of the domain.
  if name in MIXTURES or name == "folder" or name.startswith("cycle_gan"):
    return 0
  if name in _SPLIT:
    return 1000 if name in STACKED else 10
  return images.tfds_classes(config)


def held_out(config: ConfigDict) -> ConfigDict | None:
  """The config of images that those of `config` do not contain, if any.

  They are those of the split "test" or "validation", or "testA" for "trainA",
  and of files those of a folder "test" or "val" beside one named "train", or
  "testA" beside "trainA". For translation, both domains have such, and there
  is no margin.
  """
  other = config.copy_and_resolve_references()
  if is_translation(config):
    other.margin = 0
    for side in SIDES:
      found = held_out(domain(config, side))
      if found is None:
        return None
      if "half" in found:
        other.path = found.path
      else:
        other[side].path = found.path
      other[side].split = found.split
    return other
  if config.name == "folder":
    path = pathlib.Path(config.path)
    if path.name.startswith("train"):
      for name in ("test", "val"):
        beside = path.with_name(name + path.name.removeprefix("train"))
        if beside.is_dir():
          other.update(path=str(beside), split="test")
          return other
    return None
  splits = _SPLITS if config.name in _SPLIT else images.tfds_splits(config)
  tail = re.match(r"(?:train(\w*))?", config.split)[1] or ""
  for split in (f"test{tail}", f"validation{tail}", "test", "validation"):
    if split in splits and split not in config.split:
      other.split = split
      return other
  return None
