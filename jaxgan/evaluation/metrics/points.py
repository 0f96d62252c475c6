"""Metrics of points in the plane."""

import numpy as np

MAX_ASSIGNED_POINTS = 2500


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
  """Returns the exact 2-Wasserstein distance of points, both `[N, D]`.

  The root of the mean squared distance under the best assignment of the first
  `MAX_ASSIGNED_POINTS`, since the time grows with N^3: 2 seconds for 2500. NaN
  where a point is not finite.
  """
  from scipy.optimize import linear_sum_assignment
  from scipy.spatial.distance import cdist

  cost = cdist(a[:MAX_ASSIGNED_POINTS], b[:MAX_ASSIGNED_POINTS], "sqeuclidean")
  if not np.isfinite(cost).all():
    return float("nan")
  return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))
