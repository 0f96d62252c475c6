"""The data sets by name: an object of this module, or TensorFlow Datasets.

Who adds a set adds an object here; presets, splits, labels and checks follow
from it.
"""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from jaxgan.checks import one_of
from jaxgan.data import digits as digits_lib
from jaxgan.data import mixtures
from jaxgan.data.arrays import stack
from jaxgan.data.dataset import SPLITS, DataSet, Source
from jaxgan.data.folders import Folder
from jaxgan.data.mixtures import Mixture
from jaxgan.data.tfds import Tfds
from jaxgan.errors import InputError


class Images(DataSet):
  """Square images with `labels` labels and the splits "train" and "test".

  `read(config.data)` returns them; for `preset` see `DataSet`.
  """

  def __init__(
    self,
    read: Callable[[ConfigDict], Source],
    channels: int = 1,
    labels: int = 10,
    **preset: Any,
  ):
    self.read, self.channels, self.labels = read, channels, labels
    self.preset = {"channels": channels, **preset}

  def create(self, config: ConfigDict) -> Source:
    """Returns the images; see `DataSet`."""
    one_of("data.split", config.split, SPLITS)
    self.check_channels(config, self.channels)
    height, width, _ = self.shape(config)
    if height != width:
      raise InputError(
        f"the images of {config.name} are square: set data.image_width=0"
      )
    return self.read(config)

  def classes(self, config: ConfigDict) -> int:
    """Returns the number of labels."""
    return self.labels


class Stacked(Images):
  """Triples of the grey digits of a set, one to a channel: 1000 modes.

  They are 60 000 to train and 26 000 to test, as many as in published counts
  of modes (VEEGAN, arXiv:1705.07761).
  """

  stacked = True

  def __init__(self, name: str, **preset: Any):
    def read(config: ConfigDict) -> Source:
      grey = config.copy_and_resolve_references()
      grey.update(name=name, channels=1)
      length, seed = (60_000, 0) if config.split == "train" else (26_000, 1)
      return stack(find(name).create(grey), length, seed)

    super().__init__(read, channels=3, labels=1000, **preset)


class Points(DataSet):
  """Points in the plane, labelled with their mode."""

  def __init__(self, mixture: Mixture):
    self.mixture = mixture

  def create(self, config: ConfigDict) -> Source:
    """Returns points, always the same; see `DataSet`."""
    one_of("data.split", config.split, SPLITS)
    return mixtures.draw(self.mixture, SPLITS.index(config.split))

  def shape(self, config: ConfigDict) -> tuple[int, ...]:
    """Returns the shape of a point."""
    return (2,)


digits = Images(digits_lib.handwritten, image_size=16)
outlines = Images(digits_lib.outlines, image_size=16)
typeset_digits = Images(digits_lib.typeset, image_size=16)
stacked_digits = Stacked("digits", image_size=16)
stacked_mnist = Stacked("mnist", pad=2)
usps = Images(digits_lib.usps, image_size=16)
ring = Points(mixtures.ring())
grid = Points(mixtures.grid())
folder = Folder()


def find(name: str) -> DataSet:
  """Returns the data set of a name."""
  return names().get(name, Tfds())


def names() -> dict[str, DataSet]:
  """Returns the data sets of this module by their names."""
  return {k: x for k, x in globals().items() if isinstance(x, DataSet)}
