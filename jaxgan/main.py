"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

import pathlib
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan.config import InputError
from jaxgan.train import NonFiniteError, train

_CONFIG = config_flags.DEFINE_config_file(
  "config",
  None,
  "File of the run's config, and after a colon its preset.",
  lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
  "workdir",
  None,
  "Folder of the run; by default runs/<config>, or runs/<config>_<preset>.",
)


def main(argv: list[str]) -> None:
  """Trains, and turns what is the user's to mend into one line."""
  logging.set_verbosity(logging.WARNING)
  if len(argv) > 1:
    sys.exit(f"error: unknown argument {argv[1]!r}")
  workdir = _WORKDIR.value
  if workdir is None:
    file, _, preset = flags.FLAGS["config"].config_filename.partition(":")
    name = pathlib.Path(file).stem
    workdir = pathlib.Path("runs", f"{name}_{preset}" if preset else name)
  try:
    train(_CONFIG.value, workdir)
  except (InputError, NonFiniteError, OSError) as e:
    sys.exit(f"error: {e}")
  except KeyboardInterrupt:
    sys.exit(
      "error: interrupted; the same command resumes at the last checkpoint, "
      "if there is one"
    )


def _parse_flags(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
    if not _CONFIG.value:
      raise flags.Error("give a config, such as --config=configs/wgan_gp.py")
    _ = _CONFIG.value.algorithm  # raises where the file could not be read
    return rest
  except Exception as e:  # a config file is code, and may fail in any way
    text = str(e).strip()
    if isinstance(e, AttributeError) and text[:1] in ("'", '"'):
      # What a locked config says of a key that it does not have.
      key = re.search(r"\w+", text)[0]
      near = re.search(r'mean "(.*?)"', text)
      sys.exit(
        f"error: the config has no key {key!r}"
        + (f"; did you mean {near[1]!r}?" if near else "")
      )
    # An error in a config file comes with its traceback; the last line says
    # what is wrong.
    line = text.splitlines()[-1].strip() if text else repr(e)
    sys.exit(f"error: {line.removeprefix('jaxgan.config.InputError: ')}")


if __name__ == "__main__":
  app.run(main, flags_parser=_parse_flags)
