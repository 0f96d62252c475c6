"""Unconditional GANs: an objective, a penalty and two networks.

GAN, NSGAN, DCGAN, LSGAN, WGAN, WGAN-GP, SNGAN and R3GAN are settings of it:
see `configs/`; unrolling, feature matching and minibatch discrimination are
switches. Batches hold `image`, `[B, H, W, C]` in [-1, 1], or `[B, D]`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from jaxgan import latents, losses, models, optimizers, penalties
from jaxgan.config import InputError
from jaxgan.data import example_shape
from jaxgan.parallel import AXIS, example_keys
from jaxgan.train_step import Algorithm, Batch, Params, TrainState
from jaxgan.unroll import unroll


def create(config: ConfigDict) -> Algorithm:
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
  loss = getattr(losses, config.loss)
  layer = config.feature_matching
  name = config.penalty.name
  penalty = getattr(penalties, name) if name else None

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

  def criticize(
    params: Params, model_state: Any, images: jax.Array
  ) -> tuple[jax.Array, Any]:
    logits, model_state = models.apply(
      critic, params, model_state, images, True
    )
    if config.critic_output == "sigmoid":
      logits = jax.nn.sigmoid(logits)
    return logits, model_state

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rngs = jax.random.split(rng)
    params, model_state = {}, {}
    for player, network, rng, x in (
      ("generator", generator, rngs[0], jnp.zeros((1, config.latent_size))),
      ("critic", critic, rngs[1], jnp.zeros((1, *shape))),
    ):
      params[player], model_state[player] = models.init(network, rng, x)
    return params, model_state

  def add_fakes(state: TrainState, batches: Batch, rngs: jax.Array) -> Batch:
    # All fakes of the critic's turn in one pass; each minibatch keeps its own
    # batch statistics.
    def one(rng: jax.Array) -> jax.Array:
      keys = example_keys(jax.random.split(rng)[0], batches["image"].shape[1])
      params = state.params["generator"]
      return generate(params, state.model_state["generator"], keys)[0]

    return {**batches, "fake": jax.vmap(one)(rngs)}

  def critic_objective(
    params: Params, model_state: Any, real: jax.Array, fake: jax.Array, rng
  ) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
    if config.critic.norm == "batch" or minibatch.kernels:
      # One batch after the other: what is of a batch must not mix them.
      real_logits, model_state = criticize(params, model_state, real)
      fake_logits, model_state = criticize(params, model_state, fake)
    else:
      both = jnp.concatenate([real, fake])
      logits, model_state = criticize(params, model_state, both)
      real_logits, fake_logits = jnp.split(logits, 2)
    total = loss.critic(real_logits, fake_logits)
    metrics = {"real": real_logits.mean(), "fake": fake_logits.mean()}
    if penalty:
      metrics["penalty"] = penalty(
        lambda x: criticize(params, model_state, x)[0],
        real,
        fake,
        jax.random.split(rng)[1],
      )
      total += config.penalty.weight * metrics["penalty"]
    return total, (model_state, metrics)

  def critic_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    return critic_objective(
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
      total, (model_state, _) = critic_objective(
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
        lax.pmean(models.features(critic, *own, x)[layer].mean(0), AXIS)
        for x in (real, fake)
      )
      return jnp.abs(real_mean - fake_mean).mean(), (model_state, {})
    # Where neither unrolled nor relativistic losses look at the real logits,
    # the compiler drops this pass.
    real_logits, _ = criticize(*own, real)
    fake_logits, _ = criticize(*own, fake)
    if config.unroll_steps and loss.zero_sum:
      return -loss.critic(real_logits, fake_logits), (model_state, {})
    return loss.generator(real_logits, fake_logits), (model_state, {})

  return Algorithm(
    init=init,
    losses={"critic": critic_loss, "generator": generator_loss},
    before={"critic": add_fakes},
    optimizers=players,
    schedule=schedule,
    sample=models.sampler(generator),
    latents=draw,
  )


def check(config: ConfigDict) -> None:
  """Refuses combinations that cannot work, or are known to do harm.

  Raises:
    InputError: with a remedy.
  """
  wasserstein = config.loss == "wasserstein"
  clipping = config.optimizers.critic.get("clip_weights", 0.0)
  for key, value, allowed in (
    (
      "loss",
      config.loss,
      [
        name
        for name, value in vars(losses).items()
        if isinstance(value, losses.AdversarialLoss)
      ],
    ),
    (
      "penalty.name",
      config.penalty.name,
      ["", "wgan_gp", "dragan", "r1", "r2", "r1_r2"],
    ),
    ("latent", config.latent, list(latents.PRIORS)),
    ("critic_output", config.critic_output, ["linear", "sigmoid"]),
    ("generator.norm", config.generator.norm, ["batch", "layer", "none"]),
    ("critic.norm", config.critic.norm, ["batch", "layer", "spectral", "none"]),
  ):
    if value not in allowed:
      raise InputError(f"{key}={value!r}: choose one of {allowed}")
  kernels = config.minibatch_discrimination.kernels
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
  if (config.penalty.weight > 0) != bool(config.penalty.name):
    raise InputError(
      f"penalty.weight={config.penalty.weight} with penalty.name="
      f"{config.penalty.name!r}: give a name and a weight above 0, or neither"
    )
  if config.penalty.name and config.critic.norm == "batch":
    raise InputError(
      "critic.norm='batch' with a gradient penalty: the penalty is on the "
      "gradient of each example, which batch norm ties to the others; set "
      "critic.norm to 'layer' or 'none'"
    )
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
  if config.penalty.name and clipping:
    raise InputError(
      "weight clipping with a gradient penalty: both bound the critic's "
      "slope; set optimizers.critic.clip_weights=0.0 or penalty.name=''"
    )
  if config.critic_output == "sigmoid" and config.loss != "least_squares":
    raise InputError(
      f"critic_output='sigmoid' with loss={config.loss!r}: "
      + (
        "a Wasserstein critic is unbounded"
        if wasserstein
        else "this loss takes logits"
      )
      + "; set critic_output='linear'"
    )
  if wasserstein and not (
    clipping
    or config.penalty.name
    or (config.critic.norm == "spectral" and not kernels)
  ):
    raise InputError(
      "loss='wasserstein' needs a critic of bounded slope: set "
      + (
        "optimizers.critic.clip_weights=0.01; spectral norm does not bound "
        "minibatch discrimination"
        if kernels
        else "penalty.name='wgan_gp', optimizers.critic.clip_weights=0.01 or "
        "critic.norm='spectral'"
      )
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
