"""Flags that several commands have, errors in one line and exit codes."""

import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from jaxgan import config_files, errors
from jaxgan.api import Run, load
from jaxgan.data import SIDES
from jaxgan.engine import processes, startup
from jaxgan.engine.workdir import write_error
from jaxgan.errors import (
  GameError,
  InputError,
  NonFiniteError,
  SaveError,
  first_line,
)

flags.disclaim_key_flags()  # what is defined here is the command's
# Each defines a flag of several commands, which may be imported together.
_string = partial(flags.DEFINE_string, default=None, allow_override=True)
workdir_flag = partial(_string, "workdir", help="Folder of the run.")
output_flag = partial(_string, "output")
step_flag = partial(
  _string, "step", help="Step of a checkpoint, or 'best'; by default the last."
)
seed_flag = partial(
  flags.DEFINE_integer,
  "seed",
  default=0,
  help="Seed of the latents.",
  lower_bound=0,
  upper_bound=2**32 - 1,
  allow_override=True,
)
ema_flag = partial(
  flags.DEFINE_bool,
  "ema",
  default=True,
  help="Use averaged weights, where there are any.",
  allow_override=True,
)
features_flag = partial(
  _string,
  "features",
  default="",
  help="Feature net: the folder of a run of configs/classifier.py or of an "
  "imported FaceNet, or the file of Inception's weights; by default a "
  "classifier of the data, trained once.",
)
data_path_flag = partial(
  _string,
  "data_path",
  help="Folder of the data, or SOURCE,TARGET for two; by default the run's.",
)


class _ConfigParser(flags.ArgumentParser):
  def parse(self, argument: str) -> ConfigDict:
    self.name = config_files.find(argument).name
    return config_files.load(argument).lock()

  def flag_type(self) -> str:
    return "config"


def config_flag() -> flags.FlagHolder:
  """Defines the flag --config and those of its keys, and returns its holder."""
  holder = config_flags.DEFINE_config_file(
    "config",
    help_string="Name or file of a config, and after a colon its preset.",
    allow_override=True,
  )
  flags.FLAGS["config"].parser = _ConfigParser()
  flags.declare_key_flag("config")
  return holder


def restore(
  workdir: str | None, step: str | None = None, data_path: str | None = None
) -> Run:
  """Restores the run of the flags --workdir, --step and --data_path.

  Raises:
    InputError: where there is no such run or checkpoint.
  """
  if not workdir:
    raise InputError("give --workdir=DIR, the folder of a run")
  run = load(workdir, step)
  if data_path is not None:
    _move(run.config.data, data_path)
  return run


def _move(config: Any, data_path: str) -> None:
  """Sets the folder of a `config.data`, or those of its two domains."""
  sides = [config[x] for x in SIDES if x in config]
  folders = {x.name for x in sides} == {"folder"} and config.name == "unpaired"
  if not folders and not any(x.path for x in sides):
    config.path = data_path
    return
  paths = data_path.split(",")
  if len(paths) != 2:
    raise InputError(
      "this run's domains have folders of their own: give "
      "--data_path=SOURCE,TARGET, nothing for one without"
    )
  for side, path in zip(SIDES, paths, strict=True):
    config[side].path = path


def training_workdir() -> pathlib.Path:
  """Returns --workdir; by default a folder of --config's name and preset."""
  if flags.FLAGS.workdir is not None:
    return pathlib.Path(flags.FLAGS.workdir)
  return pathlib.Path("runs", flags.FLAGS["config"].parser.name)


def main(
  command: Callable[..., None],
  arguments: bool = False,
  connect: Callable[[], None] | None = None,
  workdir: Callable[[], pathlib.Path] | None = None,
) -> None:
  """Parses the flags, calls a command and ends the process.

  An error that the user can mend is one line, with status 1; any other comes
  with its traceback.

  Args:
    command: called with the arguments that are no flags.
    arguments: whether there may be any.
    connect: called before JAX looks for devices.
    workdir: returns the folder for `error.log`, where errors in the code go.
  """
  flags.DEFINE_bool("traceback", False, "Show where an error was raised.")

  def run(argv: list[str]) -> None:
    if len(argv) > 1 and not arguments:
      sys.exit(f"error: unknown argument {argv[1]!r}")
    startup.set_up()
    sys.unraisablehook = _report_unraisable
    try:
      if connect:
        connect()
      jax.devices()
    except InputError as e:
      sys.exit(f"error: {e}")
    except (RuntimeError, AssertionError):
      platforms = os.environ.get("JAX_PLATFORMS")
      sys.exit(f"error: JAX finds no device (JAX_PLATFORMS={platforms})")
    try:
      command(*argv[1:])
    except errors.Preempted as e:
      print(e, file=sys.stderr)
      # Waits for processes that still save.
      sys.exit(e.status)
    except KeyboardInterrupt as e:
      processes.leave(errors.INTERRUPTED, f"error: {str(e) or 'interrupted'}")
    except Exception as e:
      _end(e, workdir)

  app.run(run, flags_parser=_parse_flags)


def _end(error: Exception, workdir: Callable[[], pathlib.Path] | None) -> None:
  """Ends the process with an error's line, or raises it."""
  status, message = _explain(error)
  text = traceback.format_exc()
  if not message and workdir:
    write_error(workdir(), error)
  if message and flags.FLAGS.traceback:
    message = f"{text}{message}"
  if jax.process_count() > 1 or isinstance(error, SaveError):
    # Else it would wait for the other processes, or for a thread that waits in
    # vain for a write.
    processes.leave(status, message or text)
  if not message:
    raise error
  sys.exit(message)


def _explain(error: Exception) -> tuple[int, str | None]:
  """Returns a command's status and last line, None for an error in code."""
  if isinstance(error, InputError | GameError | NonFiniteError | SaveError):
    return 1, f"error: {error}"
  if isinstance(error, OSError):
    file = f"{error.filename}: " if error.filename else ""
    return 1, f"error: {file}{error.strerror or error}"
  text, of_jax = str(error), isinstance(error, jax.errors.JaxRuntimeError)
  if (
    isinstance(error, MemoryError)
    or (isinstance(error, ValueError) and "array is too big" in text)
    or (of_jax and "RESOURCE_EXHAUSTED" in text)
  ):
    remedy = ", reduce batch_size" if "config" in flags.FLAGS else ""
    return 1, f"error: out of memory{remedy}: {first_line(error)}"
  if of_jax and jax.process_count() > 1:
    return errors.LOST, (
      f"error: another process was lost ({first_line(error)}); start all "
      "again, and they go on from the last checkpoint"
    )
  return 1, None


def _report_unraisable(unraisable: Any) -> None:
  # Where a disk is full, the storage library closes its event loop before the
  # last of its writes has called back.
  if str(unraisable.exc_value) != "Event loop is closed":
    sys.__unraisablehook__(unraisable)


def _parse_flags(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
  except Exception as e:  # a config file is code, and may fail in any way
    message = _explain_flags(e)
    if message is None or "--traceback" in argv:
      traceback.print_exc()
    sys.exit(f"error: {message}" if message else 1)
  if "config" in flags.FLAGS and not flags.FLAGS.config:
    sys.exit("error: give a config, such as --config=configs/wgan_gp.py")
  return rest


def _explain_flags(error: Exception) -> str | None:
  """Returns what is wrong with the flags; None if it is the config's code."""
  chain = [error]
  while chain[-1].__context__:
    chain.append(chain[-1].__context__)
  for cause in reversed(chain):
    if isinstance(cause, InputError):  # wrapped by the library
      return str(cause)
  for cause in chain:
    for frame, _ in traceback.walk_tb(cause.__traceback__):
      if frame.f_globals["__name__"] == config_files.MODULE:
        return None
  text = str(error).strip()
  # A locked config's message on an unknown key.
  key = re.match(r"""['"\\]+(\w+)['"\\]""", text)
  if isinstance(error, (AttributeError, KeyError)) and key:
    near = re.search(r'mean "(.*?)"', text)
    return f"the config has no key {key[1]!r}" + (
      f"; did you mean {near[1]!r}?" if near else ""
    )
  if entry := re.match(r"flag --config\.([\w.]+)=.* as a ConfigDict", text):
    return f"config.{entry[1]} has keys: give --config.{entry[1]}.KEY=VALUE"
  return text.splitlines()[-1].strip() if text else repr(error)
