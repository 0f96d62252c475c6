"""Unconditional GANs: an objective, a penalty and two networks.

GAN, NSGAN, DCGAN, LSGAN, WGAN, WGAN-GP, SNGAN and R3GAN are settings of it:
see `configs/`; unrolling, feature matching and minibatch discrimination are
switches. Batches hold `image`, `[B, H, W, C]` in [-1, 1], or `[B, D]`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.config import shared_config
from jaxgan.data import example_shape, presets
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game, Params, TrainState, example_keys, pmean
from jaxgan.models import latents
from jaxgan.objectives import adversarial as objective_lib
from jaxgan.objectives import optimizers
from jaxgan.objectives.unroll import unroll


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for names that do not exist and combinations that cannot work.
  """
  check(config)
  shape = example_shape(config.data)
  generator = models.create(
    "Generator", config.generator, config.dtype, shape=shape
  )
  minibatch = config.minibatch_discrimination
  critic = models.create(
    "Critic",
    config.critic,
    config.dtype,
    minibatch=(minibatch.kernels, minibatch.dims)
    if minibatch.kernels
    else None,
  )
  objective = objective_lib.create(
    config,
    critic,
    of_batch=minibatch.kernels > 0,
    activation=jax.nn.sigmoid
    if config.critic_output == "sigmoid"
    else lambda logits: logits,
  )
  layer = config.feature_matching

  if layer:
    known = models.layer_names(critic, jnp.zeros((1, *shape)))
    if layer not in known:
      raise InputError(
        f"feature_matching={layer!r}: this critic has the layers {known}"
      )
  schedule = (("critic", config.n_critic), ("generator", 1))
  players = optimizers.of_players(config, schedule)

  def draw(keys: jax.Array) -> jax.Array:
    return latents.draw(config.latent, keys, config.latent_size)

  def generate(
    params: Params, model_state: Any, keys: jax.Array
  ) -> tuple[jax.Array, Any]:
    return models.apply(generator, params, model_state, draw(keys), True)

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rngs = jax.random.split(rng)
    params, model_state = {}, {}
    for player, network, rng, x in (
      ("generator", generator, rngs[0], jnp.zeros((1, config.latent_size))),
      ("critic", critic, rngs[1], jnp.zeros((1, *shape))),
    ):
      params[player], model_state[player] = models.init(network, rng, x)
    return params, model_state

  def add_fakes(state: TrainState, batches: Batch, rng: jax.Array) -> Batch:
    # All fakes of the critic's turn in one pass; each minibatch keeps its own
    # batch statistics.
    def one(rng: jax.Array) -> jax.Array:
      keys = example_keys(rng, batches["image"].shape[1])
      params = state.params["generator"]
      return generate(params, state.model_state["generator"], keys)[0]

    rngs = jax.random.split(rng, config.n_critic)
    return {**batches, "fake": jax.vmap(one)(rngs)}

  def critic_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    return objective.critic(
      params["critic"],
      state.model_state["critic"],
      batch["image"],
      batch["fake"],
      rng,
    )

  def generator_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    real = batch["image"]
    keys = example_keys(rng, config.generator_batches * real.shape[0])
    fake, model_state = generate(
      params["generator"], state.model_state["generator"], keys
    )

    def unrolled_loss(params: Params, model_state: Any):
      total, (model_state, _) = objective.critic(
        params, model_state, real, fake, rng
      )
      return total, model_state

    own = unroll(
      unrolled_loss,
      players["critic"],
      params["critic"],
      state.model_state["critic"],
      state.opt_state["critic"],
      config.unroll_steps,
    )
    if layer:
      real_mean, fake_mean = (
        pmean(models.features(critic, *own, x)[layer].mean(0))
        for x in (real, fake)
      )
      return jnp.abs(real_mean - fake_mean).mean(), (model_state, {})
    total = objective.generator(*own, real, fake, config.unroll_steps > 0)
    return total, (model_state, {})

  return Game(
    init=init,
    losses={"critic": critic_loss, "generator": generator_loss},
    before=add_fakes,
    optimizers=players,
    schedule=schedule,
    sample=models.sampler(generator),
    inputs=lambda keys: {"latent": draw(keys)},
  )


def check(config: ConfigDict) -> None:
  """Refuses combinations that cannot work, or are known to do harm.

  Raises:
    InputError: with a remedy.
  """
  kernels = config.minibatch_discrimination.kernels
  objective_lib.check(config, bounded=not kernels)
  for key, value, allowed in (
    ("latent", config.latent, list(latents.PRIORS)),
    ("critic_output", config.critic_output, ["linear", "sigmoid"]),
    ("generator.norm", config.generator.norm, ["batch", "layer", "none"]),
    ("critic.norm", config.critic.norm, ["batch", "layer", "spectral", "none"]),
  ):
    if value not in allowed:
      raise InputError(f"{key}={value!r}: choose one of {allowed}")
  for key, value, least in (
    ("n_critic", config.n_critic, 1),
    ("latent_size", config.latent_size, 1),
    ("generator_batches", config.generator_batches, 1),
    ("unroll_steps", config.unroll_steps, 0),
    ("minibatch_discrimination.kernels", kernels, 0),
    (
      "minibatch_discrimination.dims",
      config.minibatch_discrimination.dims,
      1,
    ),
  ):
    if value < least:
      raise InputError(f"{key}={value}: give at least {least}")
  if config.penalty.name and kernels:
    raise InputError(
      "minibatch discrimination with a gradient penalty: the penalty is on "
      "the gradient of each example, which it ties to the others; set "
      "minibatch_discrimination.kernels=0, or penalty.name=''"
    )
  if kernels and config.batch_size < 2:
    raise InputError(
      "minibatch discrimination compares the examples of a batch: set "
      "batch_size to 2 or more"
    )
  if config.critic_output == "sigmoid" and config.loss != "least_squares":
    raise InputError(
      f"critic_output='sigmoid' with loss={config.loss!r}: "
      + (
        "a Wasserstein critic is unbounded"
        if config.loss == "wasserstein"
        else "this loss takes logits"
      )
      + "; set critic_output='linear'"
    )
  if config.generator_batches != 1:
    for used, reason in (
      (
        config.loss == "relativistic",
        "loss='relativistic' compares equal numbers of real and generated "
        "images",
      ),
      (kernels, "minibatch discrimination counts neighbours in a batch"),
      (
        config.unroll_steps,
        "unrolling updates the critic with equal numbers of real and "
        "generated images",
      ),
    ):
      if used:
        raise InputError(f"{reason}: set generator_batches=1")


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game, with neutral values.

  A config sets those that its paper gives, and adds `generator`, `critic` and
  `optimizers`.

  Args:
    preset: see `jaxgan.data.presets.images`.
  """
  config = shared_config("gan", presets.images(preset))
  config.loss = "non_saturating"  # a name in jaxgan/objectives/losses.py
  # A name in jaxgan/objectives/penalties.py, or "" for none, and its weight.
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  config.n_critic = 1  # critic updates per step
  config.generator_batches = 1  # the generator's batch, in batches
  config.latent = "normal"  # or "uniform" in [-1, 1]
  config.latent_size = 100
  config.critic_output = "linear"  # or "sigmoid", for least_squares
  # Critic updates that the generator's gradient looks ahead.
  config.unroll_steps = 0
  # Name of the critic's layer whose means the generator matches, in place of
  # its side of the loss, such as "hidden_1"; or "" for none.
  config.feature_matching = ""
  # Of the critic: 100 kernels in the paper, 0 for none.
  config.minibatch_discrimination = ConfigDict({"kernels": 0, "dims": 5})
  return config
