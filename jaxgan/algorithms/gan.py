"""Unconditional GANs: an objective, a penalty and two networks.

GAN, NSGAN, DCGAN, LSGAN, WGAN, WGAN-GP, SNGAN and R3GAN are settings of it:
see `configs/`; unrolling, feature matching and minibatch discrimination are
switches. Batches hold `image`, `[B, H, W, C]` in [-1, 1], or `[B, D]`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.algorithms.from_latents import FromLatents
from jaxgan.algorithms.gan_settings import check
from jaxgan.algorithms.gan_settings import (
  default_config as default_config,  # `algorithms.create` asks for its keys
)
from jaxgan.checks import one_of
from jaxgan.data import example_shape
from jaxgan.game import Batch, Params, TrainState, Turn, example_keys
from jaxgan.objectives import adversarial, optimizers
from jaxgan.objectives.feature_matching import feature_distance
from jaxgan.objectives.unroll import unroll


@dataclasses.dataclass(frozen=True, eq=False)
class GAN(FromLatents):
  """A generator against one critic."""

  objective: adversarial.Objective

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (
      Turn("critic", self.critic_loss, self.config.n_critic),
      Turn("generator", self.generator_loss),
    )

  def init(self, rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    return self.init_networks(rng, critic=self.objective.critic)

  def critic_loss(self, params: Params, state: TrainState, batch: Batch, rng):
    critic = params["critic"], state.model_state["critic"]
    return self.objective.critic_loss(
      *critic, batch["image"], batch["fake"], rng
    )

  def generator_loss(
    self, params: Params, state: TrainState, batch: Batch, rng
  ):
    config, real = self.config, batch["image"]
    keys = example_keys(rng, config.generator_batches * real.shape[0])
    fake, model_state = self.generate(params, state, keys)

    def unrolled_loss(params: Params, model_state: Any):
      total, (model_state, _) = self.objective.critic_loss(
        params, model_state, real, fake, rng
      )
      return total, model_state

    critic = unroll(
      unrolled_loss,
      self.optimizers["critic"],
      params["critic"],
      state.model_state["critic"],
      state.opt_state["critic"],
      config.unroll_steps,
    )
    if config.feature_matching:
      loss = feature_distance(
        self.objective.critic, *critic, config.feature_matching, real, fake
      )
    else:
      unrolled = config.unroll_steps > 0
      loss = self.objective.generator_loss(*critic, real, fake, unrolled)
    return loss, (model_state, {})


def create(config: ConfigDict) -> GAN:
  """Returns the game that a config describes; refuses what cannot work."""
  check(config)
  minibatch = config.minibatch_discrimination
  kernels = (minibatch.kernels, minibatch.dims) if minibatch.kernels else None
  layers = {"minibatch": kernels} if kernels else {}
  critic = models.create("Critic", config, "critic", **layers)
  shape = example_shape(config.data)
  if config.feature_matching:
    known = models.layer_names(critic, jnp.zeros((1, *shape)))
    one_of("feature_matching", config.feature_matching, known)
  return GAN(
    config,
    optimizers.of_players(config, {"critic": config.n_critic, "generator": 1}),
    models.create("Generator", config, "generator", shape=shape),
    adversarial.create(config, critic, bool(kernels), config.critic_output),
  )
