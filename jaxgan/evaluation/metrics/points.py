"""Metrics of points in the plane."""

import numpy as np


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
  """Returns the exact 2-Wasserstein distance of as many points, `[N, D]` each.

  The root of the mean squared distance under the best assignment; NaN where a
  point is not finite. The time grows with N^3: 2 seconds for 2500.
  """
  from scipy.optimize import linear_sum_assignment
  from scipy.spatial.distance import cdist

  cost = cdist(a, b, "sqeuclidean")
  if not np.isfinite(cost).all():
    return float("nan")
  return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))
