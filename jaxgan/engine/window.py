"""The metrics of the steps since they were last logged."""

import contextlib
import time
from collections.abc import Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgan.engine.guard import FiniteGuard, first_nonfinite
from jaxgan.game import Metrics


class MetricsWindow:
  """Metrics by step, on the devices until they are needed.

  So the host does not wait for a step before it sends the next.
  """

  def __init__(self, config: ConfigDict, start: int):
    """Begins with the step after `start`."""
    self._guard = FiniteGuard(config, start)
    self._metrics: dict[int, Metrics] = {}
    self._clock = time.time()

  def append(self, step: int, metrics: Metrics) -> None:
    """Adds a step, and waits until the devices are two steps behind it.

    Without the wait, the host would run ahead without bound.
    """
    self._metrics[step] = metrics
    if step - 2 in self._metrics:
      jax.block_until_ready(self._metrics[step - 2])

  def fetch(self) -> dict[int, dict[str, np.generic]]:
    """Returns the metrics, now on the host, as any one device has them."""
    local = jax.tree.map(
      lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x,
      self._metrics,
    )
    self._metrics = {
      step: _of_turns_taken({key: x.flat[0] for key, x in metrics.items()})
      for step, metrics in jax.device_get(local).items()
    }
    return self._metrics

  def check_finite(self) -> None:
    """Raises `NonFiniteError` where `FiniteGuard` refuses a step."""
    for step, metrics in self.fetch().items():
      self._guard.check(step, metrics)

  def means(self) -> dict[str, float]:
    """Returns means over the finite values, and empties the window.

    `steps_per_second` and, where there were any, the number of `skipped` steps
    are added.
    """
    rows, means = list(self.fetch().values()), {}
    for key in dict.fromkeys(key for row in rows for key in row):
      values = np.array([row[key] for row in rows if key in row])
      if (finite := np.isfinite(values)).any():
        means[key] = float(values[finite].mean())
    if skipped := sum(first_nonfinite(row) is not None for row in rows):
      means["skipped"] = skipped
    now = time.time()
    means["steps_per_second"] = len(rows) / (now - self._clock)
    self._metrics, self._clock = {}, now
    return means

  @contextlib.contextmanager
  def clock_stopped(self) -> Iterator[None]:
    """Leaves the time within out of `steps_per_second`."""
    start = time.time()
    yield
    self._clock += time.time() - start


def _of_turns_taken(metrics: dict[str, np.generic]) -> dict[str, np.generic]:
  """Returns the metrics without those of turns that a step did not take."""
  suffix = "/taken"
  left_out = {
    key.removesuffix(suffix)
    for key, value in metrics.items()
    if key.endswith(suffix) and not value
  }
  return {
    key: value
    for key, value in metrics.items()
    if not key.endswith(suffix) and key.split("/", 1)[0] not in left_out
  }
