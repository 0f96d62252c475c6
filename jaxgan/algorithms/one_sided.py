"""Games of one generator that translates images, and one critic.

Pix2Pix and the one-sided L1 model are settings of it; CycleGAN, which has two
of each, is `algorithms/cyclegan.py`. Batches hold `source` and `target`, both
`[B, H, W, C]` in [-1, 1].
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.game import (
  Batch,
  Direction,
  Game,
  Params,
  TrainState,
  example_keys,
)
from jaxgan.objectives import adversarial as objective_lib
from jaxgan.objectives import optimizers

# What samples are called: in this order they stand beside each other.
FORWARD, BACKWARD = "source -> target", "target -> source"
IDENTITY = "target -> target"


def one_sided(
  config: ConfigDict,
  toward: str,
  sees: Callable[[Batch, jax.Array], jax.Array] = lambda batch, images: images,
  noisy: bool = False,
) -> Game:
  """Returns a game in which a generator is drawn to an image by an L1 term.

  The generator minimises `weights.adversarial` times its side of the objective
  plus `weights.l1` times the mean of |G(source) - batch[toward]|.

  Args:
    config: of the run.
    toward: "source" or "target".
    sees: `(batch, images) -> x`, what the critic sees of images in the target's
      place.
    noisy: whether the generator makes noise from keys, which are then the
      latents of samples. With a latent, the noise is on, and batch norm has the
      statistics of the image alone if it was trained on batches of one, else
      the running ones. Without, there is no noise, and these.

  Raises:
    InputError: for values that cannot work.
  """
  check(config)
  shapes = data.example_shapes(config.data)
  channels = shapes["target"][-1]
  if toward == "source" and shapes["source"][-1] != channels:
    raise InputError(
      "data.source.channels and data.target.channels differ: the L1 term "
      "compares the two; give both the same"
    )
  generator = create_generator(config, channels)
  critic = models.create("Critic", config.critic, config.dtype)
  objective = objective_lib.create(config, critic)
  schedule = (("critic", config.n_critic), ("generator", 1))

  def generate(
    params: Params, model_state: Any, batch: Batch
  ) -> tuple[jax.Array, Any]:
    noise = {"noise": batch["noise"]} if noisy else {}
    return models.apply(
      generator, params, model_state, batch["source"], True, **noise
    )

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rngs = jax.random.split(rng)
    example = {key: jnp.zeros((1, *shape)) for key, shape in shapes.items()}
    params, model_state = {}, {}
    for player, network, rng, x in (
      ("generator", generator, rngs[0], example["source"]),
      ("critic", critic, rngs[1], sees(example, example["target"])),
    ):
      params[player], model_state[player] = models.init(network, rng, x)
    return params, model_state

  def before(state: TrainState, batches: Batch, rng: jax.Array) -> Batch:
    if noisy:
      rngs = jax.random.split(rng, len(batches["source"]))
      noise = [
        generator.noise(example_keys(own, len(x)), x.shape[1:])
        for own, x in zip(rngs, batches["source"], strict=True)
      ]
      noise = jax.tree.map(lambda *x: jnp.stack(x), *noise)
      batches = {**batches, "noise": noise}
    player = state.params["generator"], state.model_state["generator"]
    # Not mapped over the minibatches: then the compiler sees that the
    # generator's turn begins with the same computation.
    fakes = [
      generate(*player, jax.tree.map(lambda x, i=i: x[i], batches))[0]
      for i in range(config.n_critic)
    ]
    return {**batches, "fake": jnp.stack(fakes)}

  def critic_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    return objective.critic(
      params["critic"],
      state.model_state["critic"],
      sees(batch, batch["target"]),
      sees(batch, batch["fake"]),
      rng,
    )

  def generator_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    fake, model_state = generate(
      params["generator"], state.model_state["generator"], batch
    )
    adversarial = objective.generator(
      params["critic"],
      state.model_state["critic"],
      sees(batch, batch["target"]),
      sees(batch, fake),
    )
    l1 = jnp.abs(fake - batch[toward]).mean()
    weights = config.weights
    total = weights.adversarial * adversarial + weights.l1 * l1
    return total, (model_state, {"adversarial": adversarial, "l1": l1})

  alone, single = generator.clone(axis=None), config.batch_size == 1

  def sample(
    params: Mapping[str, Params],
    model_state: Mapping[str, Any],
    batch: Batch,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    player = params["generator"], model_state["generator"]

    def one(x: jax.Array, latent: jax.Array) -> jax.Array:
      keys = jax.random.wrap_key_data(latent[None])
      noise = generator.noise(keys, x.shape)
      return models.apply(alone, *player, x[None], single, noise=noise)[0][0]

    if "latent" in batch:
      images = jax.vmap(one)(batch["source"], batch["latent"])
    else:
      images = models.apply(generator, *player, batch["source"], train)[0]
    shown = {"source": batch["source"], FORWARD: images}
    if "target" in batch:
      shown["target"] = batch["target"]
    return shown

  return Game(
    init=init,
    losses={"critic": critic_loss, "generator": generator_loss},
    optimizers=optimizers.of_players(config, schedule),
    schedule=schedule,
    sample=sample,
    ema=averaged(config),
    before=before,
    inputs=(lambda keys: {"latent": jax.random.key_data(keys)})
    if noisy
    else None,
    directions=(Direction("forward", "source", "target", FORWARD),),
  )


def create_generator(config: ConfigDict, channels: int) -> nn.Module:
  """Returns the network `config.generator` for images of so many channels."""
  return models.create(
    "Generator", config.generator, config.dtype, channels=channels
  )


def averaged(config: ConfigDict) -> tuple[str, ...]:
  """`Algorithm.ema`: nobody where weights are not averaged.

  A copy of the weights, which are large, would cost memory and time.
  """
  return ("generator",) if config.ema_decay else ()


def check(config: ConfigDict) -> None:
  """Refuses values that no translation could work with.

  Raises:
    InputError: with a remedy.
  """
  check_domains(config)
  objective_lib.check(config)
  check_norms(
    config,
    generator=("batch", "instance", "none"),
    critic=("batch", "instance", "spectral", "none"),
  )


def check_norms(config: ConfigDict, **known: tuple[str, ...]) -> None:
  """Refuses norms that the players' networks do not know.

  Raises:
    InputError: naming those that they know.
  """
  for player, norms in known.items():
    if config[player].norm not in norms:
      raise InputError(
        f"{player}.norm={config[player].norm!r}: choose one of {list(norms)}"
      )


def check_domains(config: ConfigDict) -> None:
  """Refuses data that is not of two domains, and counts below their least.

  Raises:
    InputError: with a remedy.
  """
  if not data.is_translation(config.data):
    raise InputError(
      f"{config.algorithm} translates images: choose a preset with a source "
      "and a target"
    )
  for key, weight in config.weights.items():
    if not 0 <= weight < float("inf"):
      raise InputError(f"weights.{key}={weight}: give 0 or more")
  for key, least in (("n_critic", 1), ("n_generator", 1), ("pool_size", 0)):
    if config.get(key, least) < least:
      raise InputError(f"{key}={config[key]}: give {least} or more")


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
  config.loss = "least_squares"  # a name in jaxgan/objectives/losses.py
  # A name in jaxgan/objectives/penalties.py, or "" for none, and its weight.
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  return config
