"""What the commands share: flags, and errors in one line."""

import os
import re
import sys
from collections.abc import Callable

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan import runtime
from jaxgan.config import InputError, first_line


def define_config() -> flags.FlagHolder:
  """Defines the flag `--config` of a command, and returns it."""
  return config_flags.DEFINE_config_file(
    "config",
    None,
    "File of the run's config, and after a colon its preset.",
    lock_config=True,
  )


def run(main: Callable[..., None], arguments: bool = False) -> None:
  """Parses the flags and calls `main`.

  What is the user's to mend ends the process with one line and status 1.

  Args:
    main: the command.
    arguments: whether it takes what is left when flags are parsed.
  """

  def guarded(argv: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    if len(argv) > 1 and not arguments:
      sys.exit(f"error: unknown argument {argv[1]!r}")
    runtime.set_up()
    try:
      jax.devices()
    except (RuntimeError, AssertionError):
      platforms = os.environ.get("JAX_PLATFORMS")
      sys.exit(f"error: JAX finds no device (JAX_PLATFORMS={platforms})")
    try:
      main(*argv[1:])
    except (InputError, ArithmeticError, OSError) as e:
      sys.exit(f"error: {e}")
    except (MemoryError, jax.errors.JaxRuntimeError) as e:
      if isinstance(e, MemoryError) or "RESOURCE_EXHAUSTED" in str(e):
        sys.exit(f"error: out of memory, reduce batch_size: {first_line(e)}")
      raise
    except KeyboardInterrupt:
      sys.exit("error: interrupted")

  app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
    if "config" in flags.FLAGS:
      if not flags.FLAGS.config:
        raise flags.Error("give a config, such as --config=configs/wgan_gp.py")
      _ = flags.FLAGS.config.algorithm  # raises where it could not be read
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
