"""The options of an evaluation."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxgan.evaluation.metrics.tables import Metric

# `evaluate(variables)`, for `game.sampling_variables`, to metrics by name; and
# the protocol that they depend on.
Evaluation = tuple[Callable[[Any], dict[str, Metric]], dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
  """The choices that an evaluation depends on, besides the run."""

  # Number of samples; None for as many as real images are held out, at most
  # `statistics.MAX_KID_FEATURES`, or `points.MAX_ASSIGNED_POINTS`.
  count: int | None = None
  seed: int = 0  # of the samples' inputs, and of the subsets of KID
  # Batch norm uses the statistics of a batch in place of the running ones.
  batch_statistics: bool = False
  features: str = ""  # the feature net: see `feature_nets.create`
  max_real: int = 0  # training images to compare with; 0 for all
