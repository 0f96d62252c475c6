"""The evaluation of classifiers."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.tables import Metric
from jaxgan.evaluation.options import Evaluation
from jaxgan.evaluation.sampling import examples
from jaxgan.evaluation.statistics import collect


def create(config: ConfigDict) -> Evaluation:
  """Returns the evaluation of a classifier; see `evaluation.create`."""
  held_out = check(config)
  source, untrained = data.create(held_out), feature_nets.untrained(config)
  order = np.arange(len(source))

  def evaluate(variables: Any) -> dict[str, Metric]:
    net = feature_nets.with_variables(untrained, variables)
    batches = examples(source, order)
    statistics = collect(net, batches, len(order), "held-out images")
    function, lower_is_better = tables.ACCURACY
    return {"accuracy": Metric(function(statistics), None, lower_is_better)}

  return evaluate, {
    "data": config.data.to_dict(),
    "held_out": len(source),
    "held_out_split": held_out.split,
  }


def check(config: ConfigDict) -> ConfigDict:
  """Returns the config of the held-out images.

  Raises:
    InputError: where there are none.
  """
  if (held_out := data.held_out(config.data)) is None:
    raise InputError(f"{config.data.name} has no images that were held out")
  return held_out
