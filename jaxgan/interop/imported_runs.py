"""The folder of a run that is made of published weights."""

import pathlib

from ml_collections import ConfigDict

from jaxgan.engine import checkpoint
from jaxgan.engine.logs import write_config
from jaxgan.errors import InputError
from jaxgan.game import TrainState


def check_workdir(workdir: str | pathlib.Path) -> None:
  """Checks that there is nothing yet in the folder of a new run.

  Raises:
    InputError: where there is.
  """
  workdir = pathlib.Path(workdir)
  if workdir.exists() and any(workdir.iterdir()):
    raise InputError(
      f"{workdir} holds a run or other files: give a new --workdir"
    )


def save(
  workdir: str | pathlib.Path, state: TrainState, config: ConfigDict
) -> None:
  """Writes a run to its folder, made if missing."""
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  write_config(workdir, config)
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, state, config)
