"""OT-GAN: Salimans et al. 2018 (arXiv:1803.05573).

Both players move the minibatch energy distance between real and generated
images (`jaxgan/transport.py`), measured in features that the critic learns:
the generator down, and less often, the critic up. Batches hold `image`,
`[B, H, W, C]` in [-1, 1], or `[B, D]`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import lax
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.config import flatten, shared_config
from jaxgan.data import example_shape, presets
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game, Params, TrainState, example_keys
from jaxgan.models import latents
from jaxgan.objectives import optimizers
from jaxgan.objectives.transport import energy_distance


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for values that cannot work.
  """
  check(config)
  shape = example_shape(config.data)
  generator = models.create(
    "Generator", config.generator, config.dtype, shape=shape
  )
  critic = models.create("Critic", config.critic, config.dtype)

  def draw(keys: jax.Array) -> jax.Array:
    return latents.draw(config.latent, keys, config.latent_size)

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rng, generator_rng, critic_rng = jax.random.split(rng, 3)
    z = draw(jax.random.split(rng, len(batch["image"])))
    params, model_state = {}, {}
    for player, network, key, x in (
      ("generator", generator, generator_rng, z),
      ("critic", critic, critic_rng, batch["image"]),
    ):
      params[player], model_state[player] = models.init(network, key, x)
      if model_state[player]:
        raise InputError(
          f"{player}: OT-GAN has no use for batch or spectral norm: write "
          "norm='none' or 'layer' into its entry of the config"
        )
    features = models.apply(critic, params["critic"], {}, batch["image"], True)
    if features[0].ndim != 2:
      raise InputError(
        f"critic.name={config.critic.name!r} makes logits, where OT-GAN needs "
        "features: set 'ot_gan', or give an mlp critic.outputs"
      )
    return params, model_state

  def distance(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    def embed(images: jax.Array) -> jax.Array:
      return models.apply(critic, params["critic"], {}, images, True)[0]

    def embed_fakes(z: jax.Array) -> jax.Array:
      return embed(models.apply(generator, params["generator"], {}, z, True)[0])

    images, chunk = batch["image"], config.chunk_size
    z = draw(example_keys(rng, len(images)))
    return energy_distance(
      in_chunks(embed, images, chunk),
      in_chunks(embed_fakes, z, chunk),
      **config.transport,
    )

  def moved(sign: int):
    def loss(*args: Any):
      value, metrics = distance(*args)
      return sign * value, ({}, metrics)

    return loss

  schedule = (("critic", 1), ("generator", config.n_generator))
  return Game(
    init=init,
    losses={"critic": moved(-1), "generator": moved(1)},
    optimizers=optimizers.of_players(config, schedule),
    schedule=schedule,
    sample=models.sampler(generator),
    inputs=lambda keys: {"latent": draw(keys)},
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
    # As in train_step.py.
    unroll=0 if jax.default_backend() == "cpu" else 1,
  )
  return results.reshape(len(x), *results.shape[2:])


def check(config: ConfigDict) -> None:
  """Refuses values that cannot work.

  Raises:
    InputError: with a remedy.
  """
  values = flatten(config)
  at_least_1 = (lambda x: x >= 1, "give at least 1")
  for key, (good, remedy) in {
    "latent": (
      lambda x: x in latents.PRIORS,
      f"choose one of {list(latents.PRIORS)}",
    ),
    "latent_size": at_least_1,
    "n_generator": at_least_1,
    "batch_size": (lambda x: x % 2 == 0, "give an even number, for two halves"),
    "chunk_size": (lambda x: x >= 0, "give 0 (all at once) or more"),
    "transport.epsilon": (
      lambda x: 1e-6 <= x <= 1e3,
      "give a value from 1e-6 to 1000",
    ),
    "transport.momentum": (lambda x: 1 <= x < 2, "give 1 (none) to below 2"),
    "transport.annealing": (
      _is_annealing,
      "give (factor, decay), the factor above 0 and the decay in (0, 1); or "
      "(1.0, 1.0) for none",
    ),
    "transport.max_iterations": at_least_1,
    "transport.threshold": (lambda x: 0 <= x < math.inf, "give 0 or more"),
  }.items():
    if not good(values[key]):
      raise InputError(f"{key}={values[key]}: {remedy}")


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
  config = shared_config("ot_gan", presets.images(preset))
  config.latent = "uniform"  # or "normal"
  config.latent_size = 100
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
