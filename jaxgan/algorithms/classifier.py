"""A classifier of labelled images: a game of one player.

Its features are those of the metrics (`jaxgan/evaluation/feature_nets.py`).
Batches hold `image`, `[B, H, W, C]` in [-1, 1], and `label`, `[B]`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game, Params, TrainState
from jaxgan.objectives import optimizers


def network(config: ConfigDict) -> nn.Module:
  """Returns the network that the config describes."""
  return models.create("Classifier", config.classifier, config.dtype)


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: where its images have no labels, or another number of them.
  """
  _check(config)
  module = network(config)
  shape = data.example_shape(config.data)

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    params, model_state = models.init(module, rng, jnp.zeros((1, *shape)))
    return {"classifier": params}, {"classifier": model_state}

  def loss(params: Mapping[str, Params], state: TrainState, batch: Batch, rng):
    model_state = state.model_state["classifier"]
    (_, logits), model_state = models.apply(
      module, params["classifier"], model_state, batch["image"], train=True
    )
    accuracy = (logits.argmax(-1) == batch["label"]).mean()
    loss = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch["label"]
    ).mean()
    return loss, (model_state, {"accuracy": accuracy})

  def sample(*_: Any) -> dict[str, jax.Array]:
    return {}

  schedule = (("classifier", 1),)
  return Game(
    init=init,
    losses={"classifier": loss},
    optimizers=optimizers.of_players(config, schedule),
    schedule=schedule,
    sample=sample,
    ema=("classifier",) if config.ema_decay else (),
  )


def _check(config: ConfigDict) -> None:
  name, classes = config.data.name, config.classifier.classes
  try:
    found = data.classes(config.data)
  except InputError:  # a trained one can be used without its data
    return
  if not found:
    raise InputError(f"{name} has no images with labels")
  if found != classes:
    raise InputError(
      f"{name} has {found} labels: set classifier.classes={found}"
    )


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game, with values of a small classifier.

  Args:
    preset: see `jaxgan.data.presets.images`.
  """
  config = shared_config("classifier", presets.images(preset))
  config.steps = 2000
  config.batch_size = 128
  config.data.flip = False  # digits and letters are not symmetric
  config.data.crop = config.data.image_size // 16
  config.classifier = ConfigDict(
    {
      "name": "lenet",
      "classes": 1000 if data.is_stacked(config.data) else 10,
      "widths": (32, 64),
      "features": 64,
      # Whether each channel is an image with a label.
      "per_channel": data.is_stacked(config.data),
    }
  )
  config.optimizers = ConfigDict(
    {
      "classifier": {
        "name": "adam",
        "learning_rate": 1e-3,
        "schedule": "linear",
      }
    }
  )
  return config
