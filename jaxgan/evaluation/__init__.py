"""The evaluation of runs: metrics by name, and the protocol behind them.

`create` evaluates any run; `check` and `in_training` are for `jaxgan.train`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, samples, translations
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.tables import Metric
from jaxgan.evaluation.options import Evaluation, EvaluationOptions
from jaxgan.evaluation.sampling import examples
from jaxgan.evaluation.statistics import collect
from jaxgan.game import Game

__all__ = ["EvaluationOptions", "Metric", "check", "create", "in_training"]

_DEFAULTS = EvaluationOptions()


def create(
  config: ConfigDict, game: Game, options: EvaluationOptions = _DEFAULTS
) -> Evaluation:
  """Returns the evaluation of a run, and its protocol.

  Real data is read and, where needed, a classifier trained before it returns.

  Returns:
    `evaluate(variables)`, for `game.sampling_variables`, to metrics by name;
    and the protocol that they depend on.

  Raises:
    InputError: where the run or its data cannot be evaluated like that.
  """
  if config.algorithm == "classifier":
    return _of_classifier(config)
  room = translations if game.directions else samples
  return room.create(config, game, options)


def check(config: ConfigDict) -> None:
  """Refuses, at no cost, a run that `in_training` could not evaluate.

  Raises:
    InputError: with a remedy.
  """
  table = {"accuracy": tables.ACCURACY}
  if config.algorithm == "classifier":
    _held_out(config)
  elif data.is_translation(config.data):
    # Much can be computed without features.
    if config.eval_features:
      target = data.domain(config.data, "target")
      feature_nets.check(target, config.eval_features)
    table |= tables.TRANSLATIONS | tables.IMAGES | tables.FEATURES
  elif data.mixture(config.data):
    table = tables.POINTS
  else:
    feature_nets.check(config.data, config.eval_features)
    table = tables.IMAGES
  # In full, it may begin with a direction and a feature net.
  known = [name for name, m in table.items() if m.lower_is_better is not None]
  if config.best_metric and not config.best_metric.endswith(tuple(known)):
    raise _unknown(config.best_metric, known)


def in_training(
  config: ConfigDict, game: Game
) -> Callable[[Any], tuple[dict[str, float], float | None]]:
  """Returns the evaluation of a run that trains.

  Returns:
    `evaluate(variables)` to scalars for the logs, and the score by which
    checkpoints are compared: lower is better; None if no metric decides.

  Raises:
    InputError: where the run or its data cannot be evaluated.
  """
  options = EvaluationOptions(
    count=config.eval_samples, features=config.eval_features
  )
  evaluate, _ = create(config, game, options)

  def score(variables: Any) -> tuple[dict[str, float], float | None]:
    metrics = evaluate(variables)
    scalars = {f"eval/{name}": x.value for name, x in metrics.items()}
    return scalars, _score(metrics, config.best_metric)

  return score


def _of_classifier(config: ConfigDict) -> Evaluation:
  images = _held_out(config)
  source, untrained = data.create(images), feature_nets.untrained(config)
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
    "held_out_split": images.split,
  }


def _held_out(config: ConfigDict) -> ConfigDict:
  if (images := data.held_out(config.data)) is None:
    raise InputError(f"{config.data.name} has no images that were held out")
  return images


def _score(metrics: Mapping[str, Metric], best_metric: str) -> float | None:
  ranked = {
    name: x for name, x in metrics.items() if x.lower_is_better is not None
  }
  for wanted in [best_metric] if best_metric else tables.PREFERRED:
    for name, metric in ranked.items():
      network, _, short = name.rpartition("-")
      # With a space, the prefix names another direction.
      if wanted == name or (wanted == short and " " not in network):
        return metric.value if metric.lower_is_better else -metric.value
  if best_metric:
    raise _unknown(best_metric, ranked)
  return None


def _unknown(name: str, known: Iterable[str]) -> InputError:
  return InputError(
    f"best_metric={name!r}: this run has no such metric; choose one of "
    f"{', '.join(known)}"
  )
