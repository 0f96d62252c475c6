"""Config files, by name or path: `load("wgan_gp:mnist")`."""

import inspect
import pathlib
import re
import runpy
from typing import NamedTuple

from ml_collections import ConfigDict

from jaxgan import packaged
from jaxgan.errors import InputError

# The name of a config's module, by which its errors are told from ours.
MODULE = "_jaxgan_config"


class ConfigFile(NamedTuple):
  """A file whose `get_config(preset)` returns a config; "" is its default."""

  path: pathlib.Path
  preset: str

  @property
  def name(self) -> str:
    """The file's name and the preset, as a run of them is named."""
    return "_".join(filter(None, (self.path.stem, self.preset)))


def find(config: str) -> ConfigFile:
  """Returns the file and the preset of `NAME`, `FILE.py` or either `:PRESET`.

  A name, or a file `configs/NAME.py` that is not there, is one of jaxgan's.

  Raises:
    InputError: where there is no such file.
  """
  match = re.fullmatch(r"(.*\.py|[^:]*)(?::(.*))?", config, re.DOTALL)
  file, preset = pathlib.Path(match[1]).expanduser(), match[2] or ""
  own = re.fullmatch(r"(?:configs/)?(\w+)(?:\.py)?", match[1])
  if own and not (match[1].endswith(".py") and file.is_file()):
    file = packaged.folder("configs") / f"{own[1]}.py"
  if not file.is_file():
    known = packaged.folder("configs").glob("*.py")
    names = ", ".join(sorted(x.stem for x in known))
    raise InputError(f"no config {match[1]!r}: give a file or one of {names}")
  return ConfigFile(file, preset)


def load(config: str) -> ConfigDict:
  """Returns the config that `find(config)` finds.

  Raises:
    InputError: where there is no such file or preset, or it returns no config.
  """
  file = find(config)
  get_config = runpy.run_path(str(file.path), run_name=MODULE).get("get_config")
  arguments = [file.preset] if file.preset else []
  try:
    inspect.signature(get_config).bind(*arguments)
  except TypeError as e:
    raise InputError(
      f"{file.path} defines no get_config({', '.join(arguments)}): {e}"
    ) from e
  result = get_config(*arguments)
  if not isinstance(result, ConfigDict):
    raise InputError(f"get_config of {file.path} returns no ConfigDict")
  return result
