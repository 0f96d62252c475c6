"""Trains a model: `python -m jaxgan.main --config=configs/wgan_gp.py`."""

import pathlib
from types import SimpleNamespace

from absl import flags

from jaxgan import command
from jaxgan.train import train


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    config=command.define_config(),
    workdir=flags.DEFINE_string(
      "workdir",
      None,
      "Folder of the run; by default runs/<config>, or runs/<config>_<preset>.",
    ),
  )


def main(given: SimpleNamespace) -> None:
  """Trains the config of the flags."""
  workdir = given.workdir.value
  if workdir is None:
    file, _, preset = flags.FLAGS["config"].config_filename.partition(":")
    name = pathlib.Path(file).stem
    workdir = pathlib.Path("runs", f"{name}_{preset}" if preset else name)
  try:
    train(given.config.value, workdir)
  except KeyboardInterrupt as e:
    raise KeyboardInterrupt(
      "interrupted; the same command resumes at the last checkpoint, if there "
      "is one"
    ) from e


if __name__ == "__main__":
  command.run(main, define)
