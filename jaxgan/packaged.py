"""Folders that a checkout has beside `jaxgan/`, and a wheel within it."""

import pathlib

from jaxgan.errors import InputError

PACKAGE = pathlib.Path(__file__).parent


def folder(name: str) -> pathlib.Path:
  """Returns the folder `configs` or `launch/space`; see `setup.py`.

  Raises:
    InputError: where neither has it.
  """
  for parent in (PACKAGE, PACKAGE.parent):
    if (parent / name).is_dir():
      return parent / name
  raise InputError(f"{PACKAGE} has no {name}: install jaxgan again")
