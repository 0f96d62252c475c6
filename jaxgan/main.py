"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

from absl import flags

import jaxgan
from jaxgan import cli
from jaxgan.engine import preemption, processes

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


def main() -> None:
  """Trains the config of the flags."""
  preemption.leave_on_signals()
  jaxgan.train(_CONFIG.value, cli.training_workdir(), verbose=True)


if __name__ == "__main__":
  cli.main(main, connect=_connect, workdir=cli.training_workdir)
