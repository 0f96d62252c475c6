"""Translation by one generator, against one critic.

Pix2Pix and the one-sided L1 model are subclasses; CycleGAN, which has two of
each, is `algorithms/cyclegan.py`. Batches hold `source` and `target`, both
`[B, H, W, C]` in [-1, 1].
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.checks import at_least
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.game import (
  Batch,
  Direction,
  Game,
  ModelState,
  Params,
  TrainState,
  Turn,
)
from jaxgan.objectives import adversarial, optimizers

# Entries of samples: in this order they stand beside each other.
FORWARD = Direction("forward", "source", "target", "source -> target")


@dataclasses.dataclass(frozen=True, eq=False)
class OneSided(Game):
  """A generator that an L1 term draws to an image.

  It minimises `weights.adversarial` times its side of the objective plus
  `weights.l1` times the mean of |G(source) - batch[l1_target]|.
  """

  generator: nn.Module
  objective: adversarial.Objective

  directions = (FORWARD,)
  l1_target = "source"

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (
      Turn("critic", self.critic_loss, self.config.n_critic),
      Turn("generator", self.generator_loss),
    )

  def critic_input(self, batch: Batch, images: jax.Array) -> jax.Array:
    """Returns what the critic sees of images in the place of the target."""
    return images

  def init(self, rng: jax.Array, batch: Batch) -> tuple[Params, ModelState]:
    shapes = data.example_shapes(self.config.data)
    example = {key: jnp.zeros((1, *shape)) for key, shape in shapes.items()}
    critic_input = self.critic_input(example, example["target"])
    networks = {
      "generator": (self.generator, example["source"]),
      "critic": (self.objective.critic, critic_input),
    }
    return models.init_players(rng, networks)

  def generate(
    self, params: Params, model_state: Any, batch: Batch
  ) -> tuple[jax.Array, Any]:
    """Returns translations in training, and the generator's model state."""
    noise = [batch["noise"]] if "noise" in batch else []
    return models.apply(
      self.generator, params, model_state, batch["source"], *noise, train=True
    )

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Adds `fake`, the translations that the critic sees."""
    player = state.params["generator"], state.model_state["generator"]
    # Not mapped over the minibatches: then the compiler sees that the
    # generator's turn begins with the same computation.
    fakes = [
      self.generate(*player, jax.tree.map(lambda x, i=i: x[i], batches))[0]
      for i in range(self.config.n_critic)
    ]
    return {**batches, "fake": jnp.stack(fakes)}

  def critic_loss(self, params: Params, state: TrainState, batch: Batch, rng):
    real, fake = (
      self.critic_input(batch, batch[k]) for k in ("target", "fake")
    )
    critic = params["critic"], state.model_state["critic"]
    return self.objective.critic_loss(*critic, real, fake, rng)

  def generator_loss(
    self, params: Params, state: TrainState, batch: Batch, rng
  ):
    fake, model_state = self.generate(
      params["generator"], state.model_state["generator"], batch
    )
    metrics = {
      "adversarial": self.objective.generator_loss(
        params["critic"],
        state.model_state["critic"],
        self.critic_input(batch, batch["target"]),
        self.critic_input(batch, fake),
      ),
      "l1": jnp.abs(fake - batch[self.l1_target]).mean(),
    }
    total = sum(self.config.weights[key] * metrics[key] for key in metrics)
    return total, (model_state, metrics)

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns source, translation, and target if there is one."""
    player = params["generator"], model_state["generator"]
    images, _ = models.apply(
      self.generator, *player, batch["source"], train=train
    )
    return with_source_and_target(batch, images)


def with_source_and_target(
  batch: Batch, images: jax.Array
) -> dict[str, jax.Array]:
  """Returns translations between their sources and, if known, targets."""
  target = {"target": batch["target"]} if "target" in batch else {}
  return {"source": batch["source"], FORWARD.output: images, **target}


def create_one_sided(config: ConfigDict, game: type[OneSided]) -> OneSided:
  """Returns a game of this kind that a config describes.

  Raises:
    InputError: for values that cannot work.
  """
  check_translation(config)
  shapes = data.example_shapes(config.data)
  channels = shapes["target"][-1]
  if game.l1_target == "source" and shapes["source"][-1] != channels:
    raise InputError(
      "data.source.channels and data.target.channels differ: the L1 term "
      "compares the two; give both the same"
    )
  critic = models.create("Critic", config, "critic")
  return game(
    config,
    optimizers.of_players(config, {"critic": config.n_critic, "generator": 1}),
    models.create("Generator", config, "generator", channels=channels),
    adversarial.create(config, critic),
  )


def check_translation(config: ConfigDict) -> None:
  """Refuses data that is not of two domains, and counts below their least."""
  if not data.is_translation(config.data):
    raise InputError(
      f"{config.algorithm} translates images: choose a preset with a source "
      "and a target"
    )
  for key, weight in config.weights.items():
    if not 0 <= weight < float("inf"):
      raise InputError(f"weights.{key}={weight}: give 0 or more")
  for key, least in (("n_critic", 1), ("n_generator", 1), ("pool_size", 0)):
    at_least(key, config.get(key, least), least)


def translation_config(algorithm: str, preset: str) -> ConfigDict:
  """Returns the keys of a game that translates images.

  A config adds `generator`, `critic` and `optimizers`.

  Args:
    algorithm: the name of the game, which adds the `weights` of its terms.
    preset: see `jaxgan.data.presets.translation`.
  """
  config = shared_config(algorithm, presets.translation(preset))
  # Published translators do not average their weights.
  config.ema_decay = 0.0
  # A name in jaxgan/objectives/losses.py, and constants if it has any.
  config.loss = ConfigDict({"name": "least_squares"})
  # A name in jaxgan/objectives/penalties.py, or "" for none, its weight, and
  # constants if it has any.
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  return config
