"""A trained run, restored from its folder alone."""

import pathlib
from typing import NamedTuple

from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.engine import checkpoint, scores
from jaxgan.errors import InputError
from jaxgan.evaluation import weights_only
from jaxgan.game import Game, TrainState


class RestoredRun(NamedTuple):
  """A run with the state of a checkpoint, on the host."""

  config: ConfigDict
  game: Game
  state: TrainState


def load(workdir: pathlib.Path, step: str | int | None = None) -> RestoredRun:
  """Restores a run on any number of devices; the folder is only read.

  It may also be one of `weights_only.write`, which has one step.

  The step is that of a checkpoint, or "best"; by default that of the newest
  that is whole.

  Raises:
    InputError: where there is no such checkpoint, none is whole, or another
      version of jaxgan wrote it.
  """
  if (workdir / weights_only.CONFIG).is_file():
    run = RestoredRun(*weights_only.read(workdir, load))
    if step not in (None, "best") and str(step) != str(run.state.step):
      raise InputError(f"{workdir} has but step {run.state.step}")
    return run
  if not (workdir / "checkpoints").is_dir():
    raise InputError(f"{workdir} holds no checkpoints: give a run's folder")
  with checkpoint.open_manager(workdir, read_only=True) as manager:
    steps = sorted(manager.all_steps())
    if not steps:
      raise InputError(f"{workdir} holds no checkpoint yet")
    if step == "best":
      step = scores.best_step(workdir, steps)
      if step is None:
        raise InputError(
          f"no metric decided which checkpoint in {workdir} is the best: train "
          "with --config.eval_every, and --config.best_metric if need be"
        )
    elif step is not None and str(step) not in map(str, steps):
      raise InputError(
        f"{workdir} has no checkpoint {step}, but {', '.join(map(str, steps))}"
      )
    step = None if step is None else int(step)
    config = checkpoint.stored_config(manager, step)
    if config is None:
      raise InputError(
        f"no checkpoint in {workdir} can be read: train again, elsewhere"
      )
    game = algorithms.create(config)
    _, template = algorithms.initial_state(config, game)
    state = checkpoint.restore(manager, template, step=step, set_aside=False)
  return RestoredRun(config, game, state)
