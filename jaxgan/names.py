"""Finds what an entry of the config names: no list of names is kept."""

import functools
import inspect
from types import ModuleType
from typing import Any

from jaxgan.checks import one_of
from jaxgan.errors import InputError


def named(module: ModuleType, key: str, entry: Any) -> Any:
  """Returns what `entry.name` is called in a module, with its constants.

  Args:
    module: of public objects and functions, of which any is meant.
    key: of the entry in the config, for messages.
    entry: `name`, and keyword arguments of the function of that name.

  Raises:
    InputError: where there is no such name, or it has no such constant.
  """
  constants = dict(entry)
  name = constants.pop("name")
  known = {
    name: value
    for name, value in vars(module).items()
    if not name.startswith("_")
    and not isinstance(value, type)
    and getattr(value, "__module__", "") == module.__name__
  }
  one_of(f"{key}.name", name, known)
  value, allowed = known[name], []
  if inspect.isfunction(value):
    parameters = inspect.signature(value).parameters.values()
    allowed = [p.name for p in parameters if p.default is not p.empty]
    value = functools.partial(value, **constants)
  if unknown := sorted(constants.keys() - set(allowed)):
    known = f"only {', '.join(allowed)}" if allowed else "none"
    raise InputError(
      f"{key}.{unknown[0]}: of constants, {key}.name={name!r} has {known}"
    )
  return value
