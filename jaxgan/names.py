"""Finds what an entry of the config names: no list of names is kept."""

import functools
import inspect
import os
import pathlib
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from jaxgan.checks import one_of
from jaxgan.errors import InputError


def own(key: str, name: str) -> Any | None:
  """Returns what `MODULE.NAME` is in the user's MODULE.py, or None.

  The file lies in the folder that the command was started in. Nothing below it
  is looked at: a run that comes from someone else brings no code along.

  Raises:
    InputError: where there is no such file, or no such name in it.
  """
  file = _own_file(name)
  if file is None:
    return None
  module, attribute = name.split(".")
  if not file.is_file():
    raise InputError(
      f"{key}={name!r}: no {file.name} in {file.parent}: start where it lies"
    )
  loaded = sys.modules.get(module)
  if loaded is None:
    spec = spec_from_file_location(module, file)
    loaded = sys.modules[module] = module_from_spec(spec)
    try:
      spec.loader.exec_module(loaded)
    except BaseException:
      del sys.modules[module]
      raise
  elif not file.samefile(getattr(loaded, "__file__", None) or os.devnull):
    raise InputError(
      f"{key}={name!r}: Python has another module {module!r}: rename the file"
    )
  if not hasattr(loaded, attribute):
    raise InputError(f"{key}={name!r}: {file.name} has no {attribute!r}")
  return getattr(loaded, attribute)


def own_files(config: Mapping[str, Any]) -> set[pathlib.Path]:
  """Returns the files of the user's that a config's names are in."""
  names = [config["algorithm"]] + [
    entry["name"]
    for key, entry in config.items()
    if key != "data" and isinstance(entry, ConfigDict) and "name" in entry
  ]
  return {file for file in map(_own_file, names) if file}


def _own_file(name: str) -> pathlib.Path | None:
  module, _, attribute = name.partition(".")
  if module.isidentifier() and attribute.isidentifier():
    return pathlib.Path.cwd() / f"{module}.py"
  return None


def named(module: ModuleType, key: str, entry: Any) -> Any:
  """Returns what `entry.name` is in a module, with its constants.

  Args:
    module: of public objects and functions, of which any is meant; or see
      `own`.
    key: of the entry in the config, for messages.
    entry: `name`, and keyword arguments of the function of that name.

  Raises:
    InputError: where there is no such name, or it has no such constant.
  """
  constants = dict(entry)
  name = constants.pop("name")
  value, allowed = own(f"{key}.name", name), []
  if value is None:
    known = {
      name: value
      for name, value in vars(module).items()
      if not name.startswith("_")
      and not isinstance(value, type)
      and getattr(value, "__module__", "") == module.__name__
    }
    one_of(f"{key}.name", name, known)
    value = known[name]
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
