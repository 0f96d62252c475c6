"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

import pathlib
import signal
from functools import partial
from typing import Any

import jax
from absl import flags

import jaxgan
from jaxgan import cli
from jaxgan.engine import processes
from jaxgan.errors import INTERRUPTED, PREEMPTED

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
  # Until the first step is done, there is nothing to save.
  _leave_on(signal.SIGINT, INTERRUPTED)
  if jax.process_count() == 1:  # or JAX tells all processes of it
    _leave_on(signal.SIGTERM, PREEMPTED)
  jaxgan.train(_CONFIG.value, _workdir())


def _leave_on(number: int, status: int) -> None:
  if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
    signal.signal(number, partial(_leave, status))


def _leave(status: int, *_: Any) -> None:
  processes.leave(
    status, "stopped before a step was made; the same command begins again"
  )


if __name__ == "__main__":
  cli.main(main, connect=_connect, workdir=_workdir)
