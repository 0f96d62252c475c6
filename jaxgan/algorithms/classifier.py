"""A classifier of labelled images: a game of one player.

Its features are those of the metrics (`jaxgan/evaluation/feature_nets.py`).
Batches hold `image`, `[B, H, W, C]` in [-1, 1], and `label`, `[B]`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game, ModelState, Params, TrainState, Turn
from jaxgan.objectives import optimizers


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier(Game):
  """A network that learns labels.

  Attributes:
    network: from images to features and logits.
  """

  network: nn.Module

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (Turn("classifier", self.loss),)

  @property
  def averaged(self) -> tuple[str, ...]:
    """The classifier, if averages are kept."""
    return ("classifier",) if self.config.ema_decay else ()

  def init(self, rng: jax.Array, batch: Batch) -> tuple[Params, ModelState]:
    image = jnp.zeros((1, *data.example_shape(self.config.data)))
    params, model_state = models.init(self.network, rng, image)
    return {"classifier": params}, {"classifier": model_state}

  def loss(self, params: Params, state: TrainState, batch: Batch, rng):
    """Returns the cross entropy of the labels."""
    (_, logits), model_state = models.apply(
      self.network,
      params["classifier"],
      state.model_state["classifier"],
      batch["image"],
      train=True,
    )
    accuracy = (logits.argmax(-1) == batch["label"]).mean()
    loss = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch["label"]
    ).mean()
    return loss, (model_state, {"accuracy": accuracy})


def create(config: ConfigDict) -> Classifier:
  """Returns the game that a config describes.

  Raises:
    InputError: where its images have no labels, or another number of them.
  """
  data.example_shape(config.data)  # refuses pairs of images
  _check(config)
  return Classifier(
    config, optimizers.of_players(config, {"classifier": 1}), network(config)
  )


def network(config: ConfigDict) -> nn.Module:
  """Returns the network that a config describes."""
  return models.create("Classifier", config, "classifier")


def _check(config: ConfigDict) -> None:
  name, classes = config.data.name, config.classifier.classes
  try:
    count = data.classes(config.data)
  except InputError:  # a trained one can be used without its data
    return
  if not count:
    raise InputError(f"{name} has no images with labels")
  if count != classes:
    raise InputError(
      f"{name} has {count} labels: set classifier.classes={count}"
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
