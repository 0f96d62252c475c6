"""Images of two domains, `source` and `target`, in pairs or not."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import images
from jaxgan.data.arrays import ArraySource, StackedSource
from jaxgan.data.images import ImageSource
from jaxgan.errors import InputError

SIDES = ("source", "target")
KINDS = ("unpaired", "pairs", "outlines")


class Domain:
  """A source of single images as one side: `image` and `label` renamed.

  Attributes:
    source: of single images.
    side: what `image` becomes; `label` becomes `<side>_label`.
    in_memory: that of the source.
  """

  def __init__(
    self, source: ArraySource | StackedSource | ImageSource, side: str
  ):
    self.source = source
    self.side = side
    self.in_memory = source.in_memory

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    batch = self.source[indices]
    names = {"image": self.side, "label": f"{self.side}_label"}
    return {names[key]: array for key, array in batch.items()}


class Unpaired:
  """Two domains whose images do not belong together.

  As many examples as the longer has images, of which the shorter's are
  repeated. `batches.feed` draws from each of the parts by itself.

  Attributes:
    parts: the domains.
  """

  def __init__(self, *parts: Domain):
    self.parts = parts
    self.in_memory = all(part.in_memory for part in parts)

  def __len__(self) -> int:
    return max(map(len, self.parts))

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    first, second = (part[indices % len(part)] for part in self.parts)
    return first | second


def domain(config: ConfigDict, side: str) -> ConfigDict:
  """The config of the images of one domain, which `data.create` reads.

  It has the keys of `presets.images`, without augmentation and without margin;
  where they are needed, also `image_width`, and `half`, "left" or "right", of
  images that hold a pair.

  Args:
    config: see `presets.translation`.
    side: "source" or "target".

  Raises:
    InputError: where the config cannot work.
  """
  if config.name not in KINDS:
    raise InputError(
      f"data.name={config.name!r}: choose one of {', '.join(KINDS)}"
    )
  own = config[side]
  part = ConfigDict(
    {
      "name": own.name,
      "path": own.path or config.path,
      "split": own.split,
      "image_size": config.image_size,
      "channels": own.channels,
      "pad": own.pad,
      "flip": False,
      "crop": 0,
      "dequantize": False,
    }
  )
  if config.image_width:
    part.image_width = config.image_width
  if config.name == "outlines":
    part.name = "outlines" if side == "source" else "digits"
  elif config.name == "pairs":
    part.name = "folder"
    if config.source_side not in ("left", "right"):
      raise InputError(
        f"data.source_side={config.source_side!r}: choose 'left' or 'right'"
      )
    if not own.path:
      left = (config.source_side == "left") == (side == "source")
      part.half = "left" if left else "right"
  return part


def folders(
  config: ConfigDict, parts: Mapping[str, ConfigDict]
) -> ArraySource | ImageSource:
  """Pairs of image files, or files that hold a pair.

  Args:
    config: `config.data`, with the name "pairs".
    parts: by side, how its images are read.

  Raises:
    InputError: where there are no pairs, or an image has no partner or
      another size than its partner.
  """
  given = [side for side in SIDES if config[side].path]
  if len(given) == 1:
    raise InputError(
      f"data.{given[0]}.path is given alone: give data.source.path and "
      "data.target.path, or data.path for images that hold a pair"
    )
  if not given and not config.path:
    raise InputError(
      "no pairs: give data.path, a folder of images that hold two side by "
      "side, or data.source.path and data.target.path"
    )
  if config.source.pad != config.target.pad:
    raise InputError(
      f"data.source.pad={config.source.pad} and data.target.pad="
      f"{config.target.pad}: the images of a pair need the same"
    )
  if given:
    files = _matched(config.source.path, config.target.path)
  else:
    files = [(path, path) for path in images.paths(config.path)]

  def read(indices: Sequence[int]) -> dict[str, np.ndarray]:
    found = {side: [] for side in SIDES}
    for pair in (files[i] for i in indices):
      opened = {
        path: images.open_any(images.read_file(path), str(path))
        for path in set(pair)
      }
      first, second = (opened[path].size for path in pair)
      if first != second:
        raise InputError(
          f"{pair[0]} and its partner have different sizes: "
          f"{first[0]}x{first[1]} and {second[0]}x{second[1]} pixels"
        )
      for side, path in zip(SIDES, pair, strict=True):
        image = images.fit(opened[path], str(path), parts[side])
        found[side].append(image)
    return {side: np.stack(found[side]) for side in SIDES}

  return images.load(read, len(files), config.name)


def _matched(
  source: str, target: str
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """The images below two folders, by their paths there without suffix."""
  files = []
  for root in (source, target):
    found = images.paths(root)
    names = [path.relative_to(root).with_suffix("") for path in found]
    files.append(dict(zip(names, found, strict=True)))
    if len(files[-1]) < len(found):
      twice = next(name for name in names if names.count(name) > 1)
      raise InputError(f"two images below {root} are named {twice}")
  first, second = files
  if alone := sorted(first.keys() ^ second.keys()):
    shown = [str((first | second)[name]) for name in alone[:3]]
    raise InputError(
      f"{len(alone)} images below {source} and {target} have no partner of "
      f"the same name: {', '.join(shown)}{', ...' * (len(alone) > 3)}"
    )
  return [(first[name], second[name]) for name in sorted(first)]
