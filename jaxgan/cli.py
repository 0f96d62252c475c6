"""What the commands share: flags, and errors in one line."""

import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan import errors
from jaxgan.engine import processes, startup
from jaxgan.errors import InputError, SaveError, first_line
from jaxgan.evaluation.restored import RestoredRun, load


def define_config() -> flags.FlagHolder:
  """Defines the flag `--config` of a command, and returns it."""
  return config_flags.DEFINE_config_file(
    "config",
    None,
    "File of the run's config, and after a colon its preset.",
    lock_config=True,
  )


def define_restored() -> SimpleNamespace:
  """Defines the flags of a command that uses a trained run."""
  return SimpleNamespace(
    workdir=flags.DEFINE_string("workdir", None, "Folder of the run."),
    step=flags.DEFINE_string(
      "step", None, "Round of the checkpoint, or 'best'; else the newest."
    ),
    seed=flags.DEFINE_integer("seed", 0, "Of the samples' latents."),
    ema=flags.DEFINE_bool("ema", True, "Whether to use averaged weights."),
  )


def define_run() -> SimpleNamespace:
  """Defines the flags of a command that compares a run with its data."""
  return SimpleNamespace(
    **vars(define_restored()),
    classifier=flags.DEFINE_string(
      "classifier",
      "",
      "Folder of a run of configs/classifier.py, for features; by default one "
      "is trained for the data, once.",
    ),
    inception=flags.DEFINE_string(
      "inception", "", "File of Inception's weights, for features."
    ),
    data_path=flags.DEFINE_string(
      "data_path", None, "Where the data is, if not where the run found it."
    ),
  )


def restore(given: SimpleNamespace) -> RestoredRun:
  """Returns the run that the flags name.

  Raises:
    InputError: where there is none, or a flag has an impossible value.
  """
  if not given.workdir.value:
    raise InputError("give --workdir=DIR, the folder of a run")
  if not 0 <= given.seed.value < 2**32:
    raise InputError(f"seed={given.seed.value}: give 0 to 2^32 - 1")
  run = load(pathlib.Path(given.workdir.value), given.step.value)
  if "data_path" in vars(given) and given.data_path.value is not None:
    run.config.data.path = given.data_path.value
  return run


def run(
  main: Callable[..., None],
  define: Callable[[], Any],
  arguments: bool = False,
) -> None:
  """Defines flags, parses them and calls `main`.

  What is the user's to mend ends the process with one line and status 1.

  Args:
    main: the command, of what `define` returns and of the arguments.
    define: defines the flags. Importing a command defines none, since other
      commands have flags of the same name.
    arguments: whether it takes what is left when flags are parsed.
  """
  given = define()

  def guarded(argv: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)  # errors are raised, too
    if len(argv) > 1 and not arguments:
      sys.exit(f"error: unknown argument {argv[1]!r}")
    startup.set_up()
    sys.unraisablehook = _report
    try:
      if hasattr(given, "coordinator"):
        processes.connect(
          given.coordinator.value, given.processes.value, given.process.value
        )
      jax.devices()
    except InputError as e:
      sys.exit(f"error: {e}")
    except (RuntimeError, AssertionError):
      platforms = os.environ.get("JAX_PLATFORMS")
      sys.exit(f"error: JAX finds no device (JAX_PLATFORMS={platforms})")
    try:
      main(given, *argv[1:])
    except errors.Preempted as e:
      print(e, file=sys.stderr)
      # The usual way, on which processes wait for one that still saves.
      sys.exit(e.status)
    except Exception as e:
      status, message = _explain(e)
      if jax.process_count() > 1 or isinstance(e, SaveError):
        # The usual way out would wait for the other processes, or for a thread
        # that waits in vain for what could not be written.
        processes.leave(status, message or traceback.format_exc())
      if not message:
        raise
      sys.exit(message)
    except KeyboardInterrupt as e:
      processes.leave(1, f"error: {str(e) or 'interrupted'}")

  app.run(guarded, flags_parser=_parse_flags)


def _explain(error: Exception) -> tuple[int, str | None]:
  """The status and the line that a command ends with; None if unforeseen."""
  if isinstance(error, (InputError, ArithmeticError, SaveError)):
    return 1, f"error: {error}"
  if isinstance(error, OSError):
    file = f"{error.filename}: " if error.filename else ""
    return 1, f"error: {file}{error.strerror or error}"
  text = str(error)
  if (
    isinstance(error, MemoryError)
    or (isinstance(error, ValueError) and "array is too big" in text)
    or (
      isinstance(error, jax.errors.JaxRuntimeError)
      and "RESOURCE_EXHAUSTED" in text
    )
  ):
    remedy = ", reduce batch_size" if "config" in flags.FLAGS else ""
    return 1, f"error: out of memory{remedy}: {first_line(error)}"
  if isinstance(error, jax.errors.JaxRuntimeError) and jax.process_count() > 1:
    return errors.LOST, (
      f"error: another process was lost ({first_line(error)}); start all "
      "again, and they go on from the last checkpoint"
    )
  return 1, None


def _report(unraisable: Any) -> None:
  # Where a disk is full, the storage library closes its event loop before the
  # last of its writes has called back.
  if str(unraisable.exc_value) != "Event loop is closed":
    sys.__unraisablehook__(unraisable)


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
    if isinstance(e, (AttributeError, KeyError)) and text[:1] in ("'", '"'):
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
