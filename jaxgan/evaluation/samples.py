"""Measures of a model's samples, with the protocol that they depend on."""

import importlib.metadata
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.data import mixtures
from jaxgan.data.mixtures import Mixture
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.metrics import points as points_lib
from jaxgan.evaluation.sampling import examples
from jaxgan.evaluation.statistics import (
  Metric,
  collect,
  compare,
  no_pause,
  pausing,
  reference,
)
from jaxgan.game import Game

ASSIGNED = 2500  # points that the exact Wasserstein distance sees


def create(
  config: ConfigDict,
  game: Game,
  count: int | None = None,
  seed: int = 0,
  batch_statistics: bool = False,
  inception: str = "",
  classifier: str = "",
  most: int = 0,
) -> tuple[Callable[[Any], dict[str, Metric]], dict[str, Any]]:
  """Returns what measures the samples of a run, and the protocol.

  Real data is read and, where needed, a classifier trained before it returns.

  Args:
    config: of the run.
    game: of the run.
    count: how many samples; see `reference`, of points 2500.
    seed: of their latents.
    batch_statistics: see `run.sampler`.
    inception: see `features.create`.
    classifier: see `features.create`.
    most: training images to compare with; 0 for all.

  Returns:
    `measure(variables, pause)`, for `train_step.sampling_variables`, to
    metrics by name, of which the first decides which checkpoint is the best;
    it calls `pause()` between batches of images. And the protocol that they
    depend on.

  Raises:
    InputError: where the run or its data cannot be measured like that.
  """
  if config.algorithm == "classifier":
    return _of_classifier(config)
  if game.directions:
    from jaxgan.evaluation import translations  # which builds on this module

    return translations.create(
      config,
      game,
      count,
      seed,
      batch_statistics,
      inception,
      classifier,
      most,
    )
  sample = sampling.sampler(game, seed, batch_statistics)
  protocol = {
    "seed": seed,
    "batch_norm": (
      f"statistics of batches of {sampling.batch_size()}"
      if batch_statistics
      else "running statistics"
    ),
  }
  if mixture := data.mixture(config.data):
    count = count or ASSIGNED

    def of_points(
      variables: Any, pause: Callable[[], None] = no_pause
    ) -> dict[str, Metric]:
      made = pausing(sample(variables, count), pause)
      made = list(map(np.asarray, made))
      return compare_points(np.concatenate(made), mixture)

    protocol |= {
      "samples": count,
      "floor": count,
      "data": config.data.to_dict(),
      "assigned": min(count, ASSIGNED),
    }
    return of_points, protocol

  net = feature_nets.create(config, inception, classifier)
  real = reference(config.data, net, count, seed, most)
  count = real.protocol["samples"]

  def of_images(
    variables: Any, pause: Callable[[], None] = no_pause
  ) -> dict[str, Metric]:
    made = pausing(sample(variables, count), pause)
    made = ({"image": images} for images in made)
    return compare(real, collect(net, made, count, "samples"), seed)

  return of_images, protocol | real.protocol


def check(
  config: ConfigDict, inception: str = "", classifier: str = ""
) -> None:
  """Refuses what `create` could not measure; at no cost.

  Raises:
    InputError: with a remedy.
  """
  if config.algorithm == "classifier":
    if not data.held_out(config.data):
      raise InputError(f"{config.data.name} has no images that were held out")
  elif data.is_translation(config.data):
    # Much can be measured without features.
    if inception or classifier:
      own = data.domain(config.data, "target")
      feature_nets.check(ConfigDict({"data": own}), inception, classifier)
  elif not data.mixture(config.data):
    feature_nets.check(config, inception, classifier)


def compare_points(made: np.ndarray, mixture: Mixture) -> dict[str, Metric]:
  """Returns the metrics of points `[N, 2]` beside their floors."""
  # Two sets that training did not see.
  first, second = (
    mixtures.draw(mixture, seed, len(made)).arrays["image"] for seed in (1, 2)
  )

  def distance(points: np.ndarray) -> float:
    return points_lib.wasserstein(points[:ASSIGNED], first[:ASSIGNED])

  found, floor = (mixtures.modes(x, mixture) for x in (made, second))
  return {
    "Wasserstein-2": Metric(distance(made), distance(second), True),
    "modes": Metric(found[0], floor[0], False),
    "high quality": Metric(found[1], floor[1], False),
  }


def _of_classifier(
  config: ConfigDict,
) -> tuple[Callable[[Any], dict[str, Metric]], dict[str, Any]]:
  check(config)
  other = data.held_out(config.data)
  source, net = data.create(other), feature_nets.untrained(config)
  order = np.arange(len(source))

  def measure(
    variables: Any, pause: Callable[[], None] = no_pause
  ) -> dict[str, Metric]:
    trained = feature_nets.with_variables(net, variables)
    batches = pausing(examples(source, order), pause)
    found = collect(trained, batches, len(order), "held-out images")
    right = found.logits.argmax(1) == found.labels
    return {"accuracy": Metric(float(right.mean()), None, False)}

  return measure, {
    "data": config.data.to_dict(),
    "held_out": len(source),
    "held_out_split": other.split,
  }


def versions() -> dict[str, str]:
  """The versions that figures may depend on."""
  packages = ("jaxgan", "jax", "flax", "numpy", "scipy", "scikit-learn")
  return {
    "python": platform.python_version(),
    **{name: importlib.metadata.version(name) for name in packages},
  }
