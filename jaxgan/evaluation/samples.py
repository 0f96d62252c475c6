"""The evaluation of runs that sample from noise."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.data import mixtures
from jaxgan.data.mixtures import Mixture
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.points import MAX_ASSIGNED_POINTS
from jaxgan.evaluation.metrics.tables import Metric
from jaxgan.evaluation.options import Evaluation, EvaluationOptions
from jaxgan.evaluation.statistics import collect, compare, reference
from jaxgan.game import Game


def create(
  config: ConfigDict, game: Game, options: EvaluationOptions
) -> Evaluation:
  """Returns the evaluation of a run that samples; see `evaluation.create`."""
  sample = sampling.sampler(game, options.seed, options.batch_statistics)
  protocol = {
    "seed": options.seed,
    "batch_norm": (
      f"statistics of batches of {sampling.batch_size()}"
      if options.batch_statistics
      else "running statistics"
    ),
  }
  if mixture := data.mixture(config.data):
    count = options.count or MAX_ASSIGNED_POINTS

    def evaluate_points(variables: Any) -> dict[str, Metric]:
      points = np.concatenate(list(sample(variables, count)))
      return compare_points(points, mixture)

    return evaluate_points, protocol | {
      "samples": count,
      "held_out": count,
      "data": config.data.to_dict(),
      "assigned": min(count, MAX_ASSIGNED_POINTS),
    }

  net = feature_nets.create(config.data, options.features)
  real = reference(config.data, net, options)
  count = real.protocol["samples"]

  def evaluate_images(variables: Any) -> dict[str, Metric]:
    batches = ({"image": images} for images in sample(variables, count))
    return compare(real, collect(net, batches, count, "samples"))

  return evaluate_images, protocol | real.protocol


def compare_points(points: np.ndarray, mixture: Mixture) -> dict[str, Metric]:
  """Returns the metrics of points `[N, 2]` beside those of real ones."""
  # Two sets that training did not see.
  real, held_out = (
    mixtures.draw(mixture, seed, len(points)).arrays["image"] for seed in (1, 2)
  )
  values, real_values = (
    tables.values(tables.POINTS, x, real, mixture) for x in (points, held_out)
  )
  return tables.metrics(tables.POINTS, values, real_values)
