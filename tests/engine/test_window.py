"""Metrics between two logs: their means, and that they are finite."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxgan.engine import window as window_lib
from jaxgan.engine.window import MetricsWindow
from jaxgan.errors import NonFiniteError

STOP = ConfigDict({"nonfinite": "stop", "nonfinite_limit": 10})


def metrics(loss, accuracy=1.0):
  return {
    "critic/loss": np.full((8,), loss, np.float32),  # one for each device
    "critic/accuracy": np.float32(accuracy),
  }


def test_means_and_an_empty_window_after_them(monkeypatch):
  now = iter([0.0, 4.0, 10.0])
  monkeypatch.setattr(window_lib.time, "time", lambda: next(now))
  window = MetricsWindow(STOP, 0)
  for step in range(1, 9):
    window.append(step, metrics(step, accuracy=np.nan if step < 7 else 0.5))
  window.check_finite()  # accuracy may be anything
  assert window.means() == {
    "critic/loss": 4.5, "critic/accuracy": 0.5, "steps_per_second": 2.0,
  }  # fmt: skip
  window.append(9, metrics(7))
  assert window.fetch() == {9: {"critic/loss": 7, "critic/accuracy": 1}}
  assert window.means()["steps_per_second"] == 1 / 6


def test_the_clock_is_stopped(monkeypatch):
  now = iter([0.0, 1.0, 100.0, 101.0])
  monkeypatch.setattr(window_lib.time, "time", lambda: next(now))
  window = MetricsWindow(STOP, 0)
  window.append(1, metrics(0))
  with window.clock_stopped():
    pass
  assert window.means()["steps_per_second"] == 0.5


def test_devices_are_at_most_two_steps_behind(monkeypatch):
  waited = []
  monkeypatch.setattr(jax, "block_until_ready", waited.append)
  window, rows = MetricsWindow(STOP, 10), [metrics(i) for i in range(5)]
  for step, row in enumerate(rows, 11):
    window.append(step, row)
  assert waited == rows[:3]


def test_the_first_step_that_is_not_finite_is_named():
  window = MetricsWindow(STOP, 10)
  for step, loss in enumerate((1, 2, np.nan, np.inf), 11):
    window.append(step, metrics(loss))
  with pytest.raises(NonFiniteError, match="^step 13: loss of the critic is"):
    window.check_finite()


def test_skipped_steps_are_counted_and_bounded():
  config = ConfigDict({"nonfinite": "skip", "nonfinite_limit": 2})
  window = MetricsWindow(config, 0)
  for step, loss in enumerate((1, np.nan, np.nan, 3, np.nan, np.nan), 1):
    window.append(step, metrics(loss))
    window.check_finite()
  means = window.means()
  assert (means["skipped"], means["critic/loss"]) == (4, 2)
  window.append(7, metrics(np.nan))  # the third in a row, of another window
  with pytest.raises(NonFiniteError, match="^step 7: .* the 2 steps before it"):
    window.check_finite()
