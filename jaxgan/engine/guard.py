"""Policies for steps whose loss, gradient or update is not finite."""

from collections.abc import Callable, Mapping

import numpy as np
from ml_collections import ConfigDict

from jaxgan.errors import NonFiniteError
from jaxgan.game import FINITE_METRICS, TrainState


class FiniteGuard:
  """Refuses metrics that are not finite, or many of them in a row.

  With `nonfinite="skip"` the training step leaves such updates out, and up to
  `nonfinite_limit` steps in a row may do so.
  """

  def __init__(self, config: ConfigDict, start: int):
    """Begins with the step after `start`, which counts as finite."""
    self._limit = config.nonfinite_limit if config.nonfinite == "skip" else 0
    self._last_finite = start

  def check(self, step: int, metrics: Mapping[str, np.generic]) -> None:
    """Checks a step; a step may be checked twice.

    Raises:
      NonFiniteError: naming the step, the player and the metric.
    """
    problem = first_nonfinite(metrics)
    if problem is None:
      self._last_finite = max(self._last_finite, step)
    elif not self._limit:
      raise NonFiniteError(f"step {step}: {problem}")
    elif step - self._last_finite > self._limit:
      raise NonFiniteError(
        f"step {step}: {problem}, and the {self._limit} steps before it were "
        "skipped"
      )


def first_nonfinite(metrics: Mapping[str, np.generic]) -> str | None:
  """Describes the first metric that rules an update out, or returns None."""
  for key, value in metrics.items():
    player, name = key.split("/", 1)
    if name in FINITE_METRICS and not np.isfinite(value):
      return f"{name} of the {player} is {value}"
  return None


def with_rollbacks(
  config: ConfigDict,
  loop: Callable[[TrainState], TrainState],
  state: TrainState,
  restart: Callable[[], TrainState],
) -> TrainState:
  """Returns `loop(state)`, called again where a step was not finite.

  Args:
    config: with `nonfinite="rollback"`, the loop is called again from the last
      checkpoint, `nonfinite_limit` times from the same one. The noise of the
      steps follows `state.rollbacks`, so that it differs each time.
    loop: trains up to the last step.
    state: to begin with.
    restart: returns the state of the last checkpoint.

  Raises:
    NonFiniteError: where rollbacks are not wanted or did not help.
  """
  origin, tries = None, 0
  while True:
    try:
      return loop(state)
    except NonFiniteError as e:
      if config.nonfinite != "rollback":
        raise NonFiniteError(
          f"{e}; the run stopped before that update, checkpoints are not "
          "affected; lower the learning rate, change the seed, or see "
          "config.nonfinite"
        ) from e
      state = restart()
      tries = tries + 1 if origin == state.step else 1
      origin = int(state.step)
      if tries > config.nonfinite_limit:
        raise NonFiniteError(
          f"{e}; {config.nonfinite_limit} rollbacks did not help"
        ) from e
      print(f"{e}; rollback {tries} to step {origin}, with other noise")
      state = state.replace(rollbacks=np.int32(state.rollbacks + tries))
