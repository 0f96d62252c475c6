"""Checks of a config's values: an `InputError` that names key and remedy."""

from collections.abc import Iterable
from typing import Any

from jaxgan.errors import InputError


def one_of(key: str, value: Any, allowed: Iterable[Any]) -> None:
  """Refuses a value that is none of `allowed`.

  Raises:
    InputError: listing them.
  """
  allowed = list(allowed)
  if value not in allowed:
    raise InputError(f"{key}={value!r}: choose one of {allowed}")


def seed(key: str, value: int | None) -> None:
  """Refuses a value that is no seed of JAX, of 32 bits.

  Raises:
    InputError: giving the limits.
  """
  if value is None or not 0 <= value < 2**32:
    raise InputError(f"{key}={value}: give a value from 0 to 2^32 - 1")


def at_least(key: str, value: float, least: float, zero: str = "") -> None:
  """Refuses a value below `least`.

  Args:
    key: its place in the config, such as "data.margin".
    value: of that key.
    least: the least value that works.
    zero: what the value 0 means, where the least is 0.

  Raises:
    InputError: giving the least value.
  """
  if not value >= least:  # NaN neither
    meaning = f" ({zero})" if zero else ""
    raise InputError(f"{key}={value}: give {least}{meaning} or more")


def positive(**sizes: Any) -> None:
  """Refuses a size below 1, or a tuple of sizes with one.

  Raises:
    InputError: naming the key.
  """
  for key, value in sizes.items():
    if min(value if isinstance(value, tuple) else (value,), default=1) < 1:
      raise InputError(f"{key}={value}: give 1 or more")
