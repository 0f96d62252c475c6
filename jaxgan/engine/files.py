"""Files and folders that get their name when they are complete."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np

from jaxgan.errors import InputError, first_line


def refuse_contents(folder: pathlib.Path, flag: str) -> None:
  """Checks that a folder is new or empty.

  Raises:
    InputError: where it is not; names the flag that gives another.
  """
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise InputError(f"{folder} holds something: give another {flag}")


@contextlib.contextmanager
def new_folder(folder: pathlib.Path, flag: str) -> Iterator[pathlib.Path]:
  """Yields a folder to fill, which is then renamed to `folder`.

  Raises:
    InputError: see `refuse_contents`.
  """
  refuse_contents(folder, flag)
  partial = folder.with_name(f"{folder.name}.partial")
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  yield partial
  partial.replace(folder)


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the arrays of an `.npz` file, whose checksums it verifies.

  Raises:
    InputError: where the file is missing or damaged.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      return dict(file)
  except Exception as e:  # those of zipfile, of NumPy and of its parser
    raise InputError(f"{path} cannot be read: {first_line(e)}") from e
