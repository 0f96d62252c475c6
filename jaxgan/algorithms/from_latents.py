"""The common part of games whose generator makes images from latents."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.config import shared_config
from jaxgan.data import example_shape, presets
from jaxgan.game import (
  Batch,
  Game,
  ModelState,
  Params,
  TrainState,
  example_keys,
)
from jaxgan.models import latents


@dataclasses.dataclass(frozen=True, eq=False)
class FromLatents(Game):
  """A game whose generator makes images from latents.

  Attributes:
    generator: the network.
  """

  generator: nn.Module

  def init_networks(self, rng: jax.Array, **critics: nn.Module):
    """Returns params and model state of the generator and of critics."""
    latent = self.inputs(jax.random.split(rng, 1))["latent"]
    image = jnp.zeros((1, *example_shape(self.config.data)))
    networks = {name: (critic, image) for name, critic in critics.items()}
    networks = {"generator": (self.generator, latent), **networks}
    return models.init_players(rng, networks)

  def inputs(self, keys: jax.Array) -> Batch:
    """Returns `latent`, `[B, Z]`, one for each key `[B]`."""
    config = self.config
    return {"latent": latents.draw(config.latent, keys, config.latent_size)}

  def generate(
    self, params: Params, state: TrainState, keys: jax.Array
  ) -> tuple[jax.Array, Any]:
    """Returns fakes, one for each key, and the generator's new model state."""
    return models.apply(
      self.generator,
      params["generator"],
      state.model_state["generator"],
      self.inputs(keys)["latent"],
      train=True,
    )

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Adds `fake`: those of all minibatches, from one pass.

    Each minibatch keeps its own batch statistics.
    """

    def fakes(rng: jax.Array) -> jax.Array:
      keys = example_keys(rng, batches["image"].shape[1])
      return self.generate(state.params, state, keys)[0]

    rngs = jax.random.split(rng, len(batches["image"]))
    return {**batches, "fake": jax.vmap(fakes)(rngs)}

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns `generated` images of the latents."""
    player = params["generator"], model_state["generator"]
    images, _ = models.apply(
      self.generator, *player, batch["latent"], train=train
    )
    return {"generated": images}


def default_config(algorithm: str, preset: str) -> ConfigDict:
  """Returns the shared keys and those of latents, for an algorithm.

  A config adds `generator`, `optimizers` and an entry for each critic.

  Args:
    algorithm: its name.
    preset: see `jaxgan.data.presets.images`.
  """
  config = shared_config(algorithm, presets.images(preset))
  config.latent = "normal"  # or "uniform" in [-1, 1]
  config.latent_size = 100
  return config
