"""OT-GAN: Salimans et al. 2018 (arXiv:1803.05573).

Both players move the minibatch energy distance between real and generated
images (`jaxgan/objectives/transport.py`), measured in features that the critic
learns: the generator down, and less often, the critic up. Batches hold `image`,
`[B, H, W, C]` in [-1, 1], or `[B, D]`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax import lax
from ml_collections import ConfigDict

from jaxgan import models, xla_cpu
from jaxgan.algorithms import from_latents
from jaxgan.algorithms.from_latents import FromLatents
from jaxgan.checks import at_least
from jaxgan.data import example_shape
from jaxgan.errors import InputError
from jaxgan.game import Batch, Metrics, Params, TrainState, Turn, example_keys
from jaxgan.objectives import optimizers
from jaxgan.objectives.transport import energy_distance


@dataclasses.dataclass(frozen=True, eq=False)
class OTGAN(FromLatents):
  """A generator and a critic of features that move one distance."""

  critic: nn.Module

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (
      Turn("critic", self.critic_loss),
      Turn("generator", self.generator_loss, self.config.n_generator),
    )

  def init(self, rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rng, *rngs = jax.random.split(rng, 3)
    images = batch["image"]
    latents = self.inputs(jax.random.split(rng, len(images)))["latent"]
    params, model_state = {}, {}
    for player, network, key, x in (
      ("generator", self.generator, rngs[0], latents),
      ("critic", self.critic, rngs[1], images),
    ):
      params[player], model_state[player] = models.init(network, key, x)
      if model_state[player]:
        raise InputError(
          f"{player}: OT-GAN has no use for batch or spectral norm: write "
          "norm='none' or 'layer' into its entry of the config, and no "
          "spectral_norm"
        )
    features, _ = models.apply(
      self.critic, params["critic"], {}, images, train=True
    )
    if features.ndim != 2:
      raise InputError(
        f"critic.name={self.config.critic.name!r} makes logits, where OT-GAN "
        "needs features: set 'ot_gan', or give an mlp critic.outputs"
      )
    return params, model_state

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Returns the minibatches as they are: each turn makes its own fakes."""
    return batches

  def distance(
    self, params: Params, batch: Batch, rng: jax.Array
  ) -> tuple[jax.Array, Metrics]:
    """Returns the energy distance of the batch and as many fakes."""

    def embed(images: jax.Array) -> jax.Array:
      return models.apply(
        self.critic, params["critic"], {}, images, train=True
      )[0]

    def embed_fakes(z: jax.Array) -> jax.Array:
      player = params["generator"], {}
      return embed(models.apply(self.generator, *player, z, train=True)[0])

    images, chunk = batch["image"], self.config.chunk_size
    latents = self.inputs(example_keys(rng, len(images)))["latent"]
    return energy_distance(
      in_chunks(embed, images, chunk),
      in_chunks(embed_fakes, latents, chunk),
      **self.config.transport,
    )

  def critic_loss(self, params: Params, state: TrainState, batch: Batch, rng):
    distance, metrics = self.distance(params, batch, rng)
    return -distance, ({}, metrics)

  def generator_loss(
    self, params: Params, state: TrainState, batch: Batch, rng
  ):
    distance, metrics = self.distance(params, batch, rng)
    return distance, ({}, metrics)


def create(config: ConfigDict) -> OTGAN:
  """Returns the game that a config describes; refuses what cannot work."""
  check(config)
  updates = {"critic": 1, "generator": config.n_generator}
  shape = example_shape(config.data)
  return OTGAN(
    config,
    optimizers.of_players(config, updates),
    models.create("Generator", config, "generator", shape=shape),
    models.create("Critic", config, "critic"),
  )


def in_chunks(
  function: Callable[[jax.Array], jax.Array], x: jax.Array, size: int
) -> jax.Array:
  """`function(x)`, whose gradient holds the activations of few rows at a time.

  Args:
    function: of each row `[B, ...]` by itself.
    x: `[B, ...]`.
    size: how many rows at most; the backward pass computes the activations of
      each chunk again. 0 for all rows, nothing computed twice.
  """
  if not 0 < size < len(x):
    return function(x)
  count = next(
    n for n in range(-(-len(x) // size), len(x) + 1) if not len(x) % n
  )
  _, results = lax.scan(
    lambda _, chunk: (None, jax.checkpoint(function)(chunk)),
    None,
    x.reshape(count, -1, *x.shape[1:]),
    unroll=xla_cpu.unroll(),
  )
  return results.reshape(len(x), *results.shape[2:])


def check(config: ConfigDict) -> None:
  """Refuses values that cannot work."""
  at_least("n_generator", config.n_generator, 1)
  at_least("chunk_size", config.chunk_size, 0, zero="all at once")
  transport = config.transport
  at_least("transport.max_iterations", transport.max_iterations, 1)
  if config.batch_size % 2:
    raise InputError(
      f"batch_size={config.batch_size}: give an even number, for two halves"
    )
  for key, good, remedy in (
    ("epsilon", lambda x: 1e-6 <= x <= 1e3, "give a value from 1e-6 to 1000"),
    ("momentum", lambda x: 1 <= x < 2, "give 1 (none) to below 2"),
    ("threshold", lambda x: 0 <= x < math.inf, "give 0 or more"),
    (
      "annealing",
      _is_annealing,
      "give (factor, decay), the factor above 0 and the decay in (0, 1); or "
      "(1.0, 1.0) for none",
    ),
  ):
    if not good(transport[key]):
      raise InputError(f"transport.{key}={transport[key]}: {remedy}")


def _is_annealing(x: Any) -> bool:
  if len(x) != 2 or not all(type(value) in (int, float) for value in x):
    return False
  factor, decay = x
  return 0 < factor < math.inf and (0 < decay < 1 or decay == 1 >= factor)


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game, with the values of the authors' code.

  A config adds `generator`, `critic` and `optimizers`.

  Args:
    preset: see `jaxgan.data.presets.images`.
  """
  config = from_latents.default_config("ot_gan", preset)
  config.latent = "uniform"  # or "normal"
  config.n_generator = 3  # generator updates per step; the critic makes one
  config.transport = ConfigDict(
    {
      "epsilon": 1 / 500,
      "max_iterations": 500,
      # The code always makes 500 plain iterations. Annealing and momentum
      # reach the same plan in a third of them or fewer.
      "threshold": 1e-3,
      "annealing": (50.0, 0.9),
      "momentum": 1.5,
    }
  )
  # Images of a device whose activations are held at a time; 0: all.
  config.chunk_size = 0
  return config
