"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

import pathlib
import signal
from types import SimpleNamespace

import jax
from absl import flags

from jaxgan import cli
from jaxgan.engine.processes import leave
from jaxgan.errors import PREEMPTED
from jaxgan.train import train


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    config=cli.define_config(),
    workdir=flags.DEFINE_string(
      "workdir",
      None,
      "Folder of the run; by default runs/<config>, or runs/<config>_<preset>.",
    ),
    coordinator=flags.DEFINE_string(
      "coordinator",
      None,
      "Where several processes train together: host:port of the first, or "
      "'auto' for what the cluster says.",
    ),
    processes=flags.DEFINE_integer("processes", None, "How many they are."),
    process=flags.DEFINE_integer("process", None, "Which this is, from 0."),
  )


def main(given: SimpleNamespace) -> None:
  """Trains the config of the flags."""
  workdir = given.workdir.value
  if workdir is None:
    file, _, preset = flags.FLAGS["config"].config_filename.partition(":")
    name = pathlib.Path(file).stem
    workdir = pathlib.Path("runs", f"{name}_{preset}" if preset else name)
  # There is nothing to save before the first round.
  told = "told to end before the first round; the same command begins again"
  if jax.process_count() == 1:
    signal.signal(signal.SIGTERM, lambda *_: leave(PREEMPTED, told))
  try:
    train(given.config.value, workdir)
  except KeyboardInterrupt as e:
    raise KeyboardInterrupt(
      "interrupted; the same command resumes at the last checkpoint, if there "
      "is one"
    ) from e


if __name__ == "__main__":
  cli.run(main, define)
