"""How a run is evaluated."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxgan.evaluation.metrics.tables import Metric

# `evaluate(variables)`, for `game.sampling_variables`, to metrics by name; and
# the protocol that they depend on.
Evaluation = tuple[Callable[[Any], dict[str, Metric]], dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
  """What an evaluation depends on, besides the run.

  Attributes:
    count: number of samples; None for as many as real images are held out, at
      most `statistics.MAX_KID_FEATURES`, or `points.MAX_ASSIGNED_POINTS`.
    seed: of the samples' inputs, and of the subsets of KID.
    batch_statistics: whether batch norm uses the statistics of a batch of
      samples in place of the running ones.
    inception: file of Inception's weights, for features.
    classifier: folder of a run of `configs/classifier.py`, for features; with
      neither, one is trained for the data, once.
    max_real: number of training images to compare with; 0 for all.
  """

  count: int | None = None
  seed: int = 0
  batch_statistics: bool = False
  inception: str = ""
  classifier: str = ""
  max_real: int = 0
