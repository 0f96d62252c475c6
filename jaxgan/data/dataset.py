"""The data sets that `config.data.name` may name, and what they provide."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from ml_collections import ConfigDict

from jaxgan.checks import at_least, one_of
from jaxgan.data.mixtures import Mixture
from jaxgan.errors import InputError

SPLITS = ("train", "test")  # of the sets that come with this package


class Source(Protocol):
  """Examples by their indices; see the package's docstring."""

  in_memory: bool  # whether indexing only copies from memory

  def __len__(self) -> int: ...

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]: ...


class DataSet:
  """A kind of data; the methods take the `config.data` that names it."""

  preset: Mapping[str, Any] = {}  # values of `config.data` that suit it
  mixture: Mixture | None = None  # that points are drawn from
  stacked = False  # whether each channel is a labelled image

  def create(self, config: ConfigDict) -> Source:
    """Returns the examples.

    Raises:
      InputError: where there are none, or the config does not fit them.
    """
    raise NotImplementedError

  def check_channels(self, config: ConfigDict, channels: int) -> None:
    """Refuses a config of another number of channels than the images have."""
    if config.channels != channels:
      raise InputError(
        f"{config.name} has {channels} channels, not {config.channels}: set "
        f"data.channels={channels}"
      )

  def classes(self, config: ConfigDict) -> int:
    """Returns the number of labels for a classifier, 0 if there are none."""
    return 0

  def splits(self, config: ConfigDict) -> Sequence[str]:
    """Returns the names of the splits."""
    return SPLITS

  def shape(self, config: ConfigDict) -> tuple[int, ...]:
    """Returns the shape of one example.

    Raises:
      InputError: where no images could be of that shape.
    """
    one_of("data.channels", config.channels, (1, 3))
    at_least("data.image_size", config.image_size, 4)
    at_least("data.crop", config.crop, 0)
    if config.crop >= config.image_size:
      raise InputError(
        f"data.crop={config.crop}: give less than data.image_size"
      )
    width = config.get("image_width", 0) or config.image_size
    if width < 4:
      raise InputError(f"data.image_width={width}: give 4 or more, or 0")
    return (config.image_size, width, config.channels)

  def held_out(self, config: ConfigDict) -> dict[str, str] | None:
    """Returns the keys that change for the held-out split, or None.

    It is the split "test" or "validation", or "testA" for "trainA".
    """
    splits = self.splits(config)
    tail = re.match(r"(?:train(\w*))?", config.split)[1] or ""
    for split in (f"test{tail}", f"validation{tail}", "test", "validation"):
      if split in splits and split not in config.split:
        return {"split": split}
    return None
