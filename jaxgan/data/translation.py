"""Images of two domains, `source` and `target`, in pairs or unpaired."""

import pathlib
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from jaxgan.checks import one_of
from jaxgan.data import folders, images
from jaxgan.data.dataset import Source
from jaxgan.errors import InputError

SIDES = ("source", "target")


class Domain:
  """A source of one side: `image` is named by it, other keys `<side>_<key>`."""

  def __init__(self, source: Source, side: str):
    self.source, self.side = source, side
    self.in_memory = source.in_memory

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return {
      self.side if key == "image" else f"{self.side}_{key}": array
      for key, array in self.source[indices].items()
    }


class Unpaired:
  """Two domains whose images do not belong together.

  It has as many examples as the longer domain; images of the shorter one are
  repeated. The input pipeline draws from each of the `parts` by itself.
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
  """Returns the config of the images of one domain, for `data.create`.

  It has the keys of `presets.images`, without augmentation and without margin;
  where they are needed, also `image_width`, and `half`, "left" or "right", of
  images that hold a pair.

  Raises:
    InputError: where the config cannot work.
  """
  one_of("data.name", config.name, ("unpaired", "pairs", "outlines"))
  keys = config[side]
  path = keys.path or config.path
  single = {"image_size": config.image_size, "crop": 0, "dequantize": False}
  part = ConfigDict({**keys, **single, "path": path, "flip": False})
  if config.image_width:
    part.image_width = config.image_width
  if config.name == "outlines":
    part.name = "outlines" if side == "source" else "digits"
  elif config.name == "pairs":
    part.name = "folder"
    one_of("data.source_side", config.source_side, ("left", "right"))
    if not keys.path:
      left = (config.source_side == "left") == (side == "source")
      part.half = "left" if left else "right"
  return part


def check_equal(config: ConfigDict, key: str) -> None:
  """Refuses another value of a key for the source than for the target."""
  values = [f"data.{side}.{key}={config[side][key]!r}" for side in SIDES]
  if config.source[key] != config.target[key]:
    raise InputError(f"{' and '.join(values)}: a pair's images need the same")


def pairs(config: ConfigDict, parts: Mapping[str, ConfigDict]) -> Source:
  """Returns pairs of image files, or files of one; `parts` are the domains.

  Raises:
    InputError: where there are no pairs, or an image has no partner or
      another size than its partner.
  """
  with_path = [side for side in SIDES if config[side].path]
  if len(with_path) == 1:
    raise InputError(
      f"data.{with_path[0]}.path is given alone: give data.source.path and "
      "data.target.path, or data.path for images that hold a pair"
    )
  if not with_path and not config.path:
    raise InputError(
      "no pairs: give data.path, a folder of images that hold two side by "
      "side, or data.source.path and data.target.path"
    )
  check_equal(config, "pad")
  if with_path:
    files = _matched(config.source.path, config.target.path)
  else:
    files = [(path, path) for path in folders.paths(config.path)]

  def read(indices: np.ndarray) -> dict[str, np.ndarray]:
    batch = {side: [] for side in SIDES}
    for pair in (files[i] for i in indices):
      opened = {  # once, where it holds both
        path: images.open_image(folders.read_file(path), str(path))
        for path in set(pair)
      }
      first, second = ("{}x{}".format(*opened[path].size) for path in pair)
      if first != second:
        raise InputError(
          f"{pair[0]} and its partner have different sizes: {first} and "
          f"{second} pixels"
        )
      for side, path in zip(SIDES, pair, strict=True):
        image = images.crop_and_resize(opened[path], str(path), parts[side])
        batch[side].append(image)
    return {side: np.stack(batch[side]) for side in SIDES}

  return images.load(read, len(files), config.name)


def _matched(*roots: str) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """Returns the images of two folders, matched by path without suffix."""
  files = []
  for root in roots:
    paths = folders.paths(root)
    names = [path.relative_to(root).with_suffix("") for path in paths]
    files.append(dict(zip(names, paths, strict=True)))
    if len(files[-1]) < len(paths):
      twice = next(name for name in names if names.count(name) > 1)
      raise InputError(f"two images below {root} are named {twice}")
  first, second = files
  if alone := sorted(first.keys() ^ second.keys()):
    examples = [str((first | second)[name]) for name in alone[:3]]
    raise InputError(
      f"{len(alone)} images below {' and '.join(roots)} have no partner of the "
      f"same name: {', '.join(examples)}{', ...' * (len(alone) > 3)}"
    )
  return [(first[name], second[name]) for name in sorted(first)]
