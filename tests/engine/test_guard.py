"""When a run goes back to a checkpoint, and when it gives up."""

import numpy as np
import pytest
from helpers.checkpoints import make_state
from ml_collections import ConfigDict

from jaxgan.engine.guard import with_rollbacks
from jaxgan.errors import NonFiniteError


def run(failures, origins, kind="rollback", limit=2):
  """Fails so many times, restarting from checkpoints of these steps."""
  states, origins = [], iter(origins)

  def loop(state):
    states.append((int(state.step), int(state.rollbacks)))
    if len(states) <= failures:
      raise NonFiniteError("step 9: loss of the critic is nan")
    return state

  def restart():
    return make_state(next(origins))

  config = ConfigDict({"nonfinite": kind, "nonfinite_limit": limit})
  final = with_rollbacks(config, loop, make_state(0), restart)
  assert final.rollbacks.dtype == np.int32
  return states


def test_a_loop_that_succeeds_runs_once():
  assert run(0, []) == [(0, 0)]


def test_the_noise_differs_each_time():
  assert run(2, [5, 5]) == [(0, 0), (5, 1), (5, 2)]


def test_tries_are_counted_from_each_checkpoint():
  assert run(4, [5, 5, 6, 6])[-1] == (6, 2)


def test_rollbacks_of_the_checkpoint_are_added(capsys):
  def loop(state):
    if state.rollbacks < 4:
      raise NonFiniteError("step 9: loss of the critic is nan")
    return state

  config = ConfigDict({"nonfinite": "rollback", "nonfinite_limit": 9})
  start = make_state(3).replace(rollbacks=np.int32(3))
  assert with_rollbacks(config, loop, start, lambda: start).rollbacks == 4
  assert "rollback 1 to step 3, with other noise" in capsys.readouterr().out


def test_it_gives_up_at_the_limit():
  with pytest.raises(NonFiniteError, match="nan; 2 rollbacks did not help"):
    run(3, [5, 5, 5])


@pytest.mark.parametrize("kind", ["stop", "skip"])
def test_without_rollbacks_it_stops_and_names_remedies(kind):
  with pytest.raises(NonFiniteError, match="nan; .*lower the learning rate"):
    run(1, [5], kind)
