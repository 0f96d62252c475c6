"""Files and folders that get their name when they are complete."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from jaxgan.errors import InputError


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
