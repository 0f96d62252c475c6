"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

import pathlib
import signal

import jax
from absl import flags

from jaxgan import cli
from jaxgan.engine import processes
from jaxgan.errors import PREEMPTED
from jaxgan.train import train

_CONFIG = cli.config_flag()
_WORKDIR = cli.workdir_flag(
  help="Folder of the run; by default runs/<config>, or runs/<config>_<preset>."
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator",
  None,
  "Address of the first of several processes that train together, host:port, "
  "or 'auto' to ask the cluster.",
)
_PROCESSES = flags.DEFINE_integer("processes", None, "Number of processes.")
_PROCESS = flags.DEFINE_integer(
  "process", None, "Index of this process, from 0."
)


def _connect() -> None:
  processes.connect(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)


def _workdir() -> pathlib.Path:
  if _WORKDIR.value is not None:
    return pathlib.Path(_WORKDIR.value)
  file, _, preset = flags.FLAGS["config"].config_filename.partition(":")
  name = pathlib.Path(file).stem
  return pathlib.Path("runs", f"{name}_{preset}" if preset else name)


def main() -> None:
  """Trains the config of the flags."""
  # There is nothing to save before the first step.
  message = "told to end before the first step; the same command begins again"
  if jax.process_count() == 1:
    signal.signal(
      signal.SIGTERM,
      lambda *_: processes.leave(PREEMPTED, message),
    )
  try:
    train(_CONFIG.value, _workdir())
  except KeyboardInterrupt as e:
    raise KeyboardInterrupt(
      "interrupted; the same command resumes at the last checkpoint, if there "
      "is one"
    ) from e


if __name__ == "__main__":
  cli.main(main, connect=_connect, workdir=_workdir)
