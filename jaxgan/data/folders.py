"""Folders of image files."""

import os
import pathlib

import numpy as np
from ml_collections import ConfigDict

from jaxgan.data.dataset import DataSet, Source
from jaxgan.data.images import decode, load
from jaxgan.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class Folder(DataSet):
  """All images below the folder `config.path`, in the order of their paths."""

  preset = {"image_size": 64, "channels": 3, "flip": True}

  def create(self, config: ConfigDict) -> Source:
    """Returns the images; see `DataSet`."""
    if not config.path:
      raise InputError("data.path='' is not a folder: give one with images")
    files = paths(config.path)

    def read(indices: np.ndarray) -> dict[str, np.ndarray]:
      paths = [files[i] for i in indices]
      images = [decode(read_file(path), str(path), config) for path in paths]
      return {"image": np.stack(images)}

    return load(read, len(files), config.name)

  def held_out(self, config: ConfigDict) -> dict[str, str] | None:
    """Returns the keys that change for the held-out images, or None.

    Folders "test" and "val" are held out of "train", "testA" of "trainA".
    """
    path = pathlib.Path(config.path)
    if path.name.startswith("train"):
      for name in ("test", "val"):
        beside = path.with_name(name + path.name.removeprefix("train"))
        if beside.is_dir():
          return {"path": str(beside), "split": "test"}
    return None


def paths(root: str | os.PathLike[str]) -> list[pathlib.Path]:
  """Returns the image files below a folder, in order, without hidden ones.

  Raises:
    InputError: where there is no such folder, or there are none in it.
  """
  folder = pathlib.Path(root)
  if not root or not folder.is_dir():
    raise InputError(f"{str(root)!r} is not a folder: give one with images")
  files = sorted(
    p
    for p in folder.rglob("*")
    if p.suffix.lower() in SUFFIXES
    and p.is_file()
    and not any(x.startswith(".") for x in p.relative_to(folder).parts)
  )
  if not files:
    raise InputError(
      f"no images ({', '.join(SUFFIXES)}) below {folder}: give another"
    )
  return files


def read_file(path: pathlib.Path) -> bytes:
  """Returns the bytes of a file; raises an `InputError` where it cannot."""
  try:
    return path.read_bytes()
  except OSError as e:
    raise InputError(f"{path} cannot be read: {e.strerror}") from e
