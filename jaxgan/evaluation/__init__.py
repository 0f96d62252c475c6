"""The evaluation of runs: metrics by name, with the protocol behind them.

`create` evaluates any run; `check` and `in_training` are for `jaxgan.train`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, labels, samples, translations
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.tables import Metric
from jaxgan.evaluation.options import Evaluation, EvaluationOptions
from jaxgan.game import Game

__all__ = ["EvaluationOptions", "Metric", "check", "create", "in_training"]

_DEFAULTS = EvaluationOptions()


def create(
  config: ConfigDict, game: Game, options: EvaluationOptions = _DEFAULTS
) -> Evaluation:
  """Returns the evaluation of a run, and the protocol.

  Real data is read and, where needed, a classifier trained before it returns.

  Args:
    config: of the run.
    game: of the run.
    options: of the evaluation.

  Returns:
    `evaluate(variables)`, for `game.sampling_variables`, to metrics by name;
    and the protocol that they depend on.

  Raises:
    InputError: where the run or its data cannot be evaluated like that.
  """
  if config.algorithm == "classifier":
    return labels.create(config)
  room = translations if game.directions else samples
  return room.create(config, game, options)


def check(config: ConfigDict, options: EvaluationOptions | None = None) -> None:
  """Refuses, at no cost, a run that could not be evaluated.

  Args:
    config: of the run.
    options: of the evaluation; by default those of `in_training`.

  Raises:
    InputError: with a remedy.
  """
  options = options or _options(config)
  files = options.inception, options.classifier
  table = {"accuracy": tables.ACCURACY}
  if config.algorithm == "classifier":
    labels.check(config)
  elif data.is_translation(config.data):
    # Much can be computed without features.
    if any(files):
      feature_nets.check(data.domain(config.data, "target"), *files)
    table = table | tables.TRANSLATIONS | tables.IMAGES
  elif data.mixture(config.data):
    table = tables.POINTS
  else:
    feature_nets.check(config.data, *files)
    table = tables.IMAGES
  # In full, it may begin with a direction and a feature net.
  known = [name for name, m in table.items() if m.lower_is_better is not None]
  if config.best_metric and not config.best_metric.endswith(tuple(known)):
    raise _unknown(config.best_metric, known)


def in_training(
  config: ConfigDict, game: Game
) -> Callable[[Any], tuple[dict[str, float], float | None]]:
  """Returns the evaluation of a run that trains.

  Args:
    config: of the run.
    game: of the run.

  Returns:
    `evaluate(variables)` to scalars for the logs, and the score by which
    checkpoints are compared: lower is better; None if no metric decides.

  Raises:
    InputError: where the run or its data cannot be evaluated.
  """
  evaluate, _ = create(config, game, _options(config))

  def score(variables: Any) -> tuple[dict[str, float], float | None]:
    metrics = evaluate(variables)
    scalars = {f"eval/{name}": x.value for name, x in metrics.items()}
    return scalars, _score(metrics, config.best_metric)

  return score


def _options(config: ConfigDict) -> EvaluationOptions:
  return EvaluationOptions(
    count=config.eval_samples, inception=config.inception
  )


def _score(metrics: Mapping[str, Metric], best_metric: str) -> float | None:
  """Returns the value of the metric that decides; lower is better."""
  metrics = {
    name: x for name, x in metrics.items() if x.lower_is_better is not None
  }
  wanted = [best_metric] if best_metric else tables.PREFERRED
  matches = (tables.find(metrics, name) for name in wanted)
  name = next((name for name in matches if name), None)
  if name:
    value, _, lower_is_better = metrics[name]
    return value if lower_is_better else -value
  if best_metric:
    raise _unknown(best_metric, metrics)
  return None


def _unknown(name: str, known: Iterable[str]) -> InputError:
  return InputError(
    f"best_metric={name!r}: this run has no such metric; choose one of "
    f"{', '.join(known)}"
  )
