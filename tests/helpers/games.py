"""Plays games for a few steps, and computes their losses alone."""

import dataclasses
from functools import partial

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from helpers.configs import load_config, shrink
from ml_collections import ConfigDict

from jaxgan import algorithms, data, models
from jaxgan.algorithms import create_train_state
from jaxgan.engine import devices as devices_lib
from jaxgan.evaluation import classifiers
from jaxgan.game import (
  AXIS,
)
from jaxgan.train_step import make_train_step


def play(
  algorithm,
  batches,
  rounds=1,
  devices=1,
  kind="pmap",
  ema_decay=0.9,
  state=None,
):
  mapping = devices_lib.create(kind, jax.devices()[:devices])
  if state is None:
    create = jax.jit(partial(create_train_state, algorithm))
    first = {key: x[0] for key, x in batches(0).items()}
    state = create(jax.random.key(0), first)
  state = mapping.replicate(state)
  step = mapping.map_step(
    make_train_step(algorithm, jax.random.key(1), ema_decay)
  )
  for i in range(rounds):
    state, metrics = step(state, mapping.shard_batch(batches(i)))
  state, metrics = jax.device_get((mapping.unreplicate(state), metrics))
  return state, {key: value.flat[0] for key, value in metrics.items()}


def random_batches(shape, updates=2, size=16):
  def batches(t):
    rng = np.random.default_rng(t)
    return {"image": rng.normal(size=(updates, size, *shape)).astype("f4")}

  return batches


def difference(a, b):
  """The largest difference between the params of two states."""
  leaves = jax.tree.map(
    lambda a, b: np.abs(a - b).max(),
    (a.params, a.model_state, a.ema_params),
    (b.params, b.model_state, b.ema_params),
  )
  return max(jax.tree.leaves(leaves))


def alone(function):
  """The function as on the only device."""
  return lambda *args: jax.tree.map(
    lambda x: x[0],
    jax.vmap(lambda _: function(*args), axis_name=AXIS)(jnp.zeros(1)),
  )


def tiny(name, preset=None, **overrides):
  """A game of 8x8 pixels, in which critics say something from the start."""
  config = shrink(load_config(name, preset))
  if name == "cyclegan":  # which takes any, and has two
    config.generator = ConfigDict(
      {"name": "unet", "width": 4, "downs": 2, "norm": "none"}
    )
  config.data.image_size = 8
  config.critic.update({"layers": 1, "kernel_init": "uniform"})
  config.generator.kernel_init = "uniform"
  if name == "pix2pix":
    config.generator.downs = 3
  config.batch_size = 8
  for player in ("generator", "critic"):
    config.optimizers[player] = ConfigDict(
      {"name": "sgd", "learning_rate": 0.05}
    )
  config.update_from_flattened_dict(overrides)
  return config


def pairs(config, updates=1, size=8):
  """Batches of noise: by round, `[updates, size, H, W, C]`."""
  shapes = data.example_shapes(config.data)

  def batches(t):
    rng = np.random.default_rng(t)
    return {
      key: rng.uniform(-1, 1, (updates, size, *shape)).astype("f4")
      for key, shape in shapes.items()
    }

  return batches


def start(config, updates=1):
  """The game, its first state and batches, with what `before` adds."""
  algorithm = algorithms.create(config)
  batches = pairs(config, updates)(0)
  state = jax.jit(lambda rng: create_train_state(algorithm, rng, {}))(
    jax.random.key(0)
  )
  batches = jax.jit(alone(algorithm.prepare_step))(
    state, batches, jax.random.key(1)
  )
  return algorithm, state, batches


def loss_of(algorithm, player, state, batch, rng=None):
  """`(loss, (model_state, metrics)), gradient` of a player."""
  rng = jax.random.key(2) if rng is None else rng

  def loss(own, state, batch, rng):
    params = {**state.params, player: own}
    return turn_loss(algorithm, player)(params, state, batch, rng)

  value = jax.jit(alone(jax.value_and_grad(loss, has_aux=True)))
  return value(state.params[player], state, batch, rng)


def first_of(batches):
  return jax.tree.map(lambda x: x[0], batches)


def close(a, b, tolerance=1e-5):
  """Checks two trees, to a share of the largest value."""
  scale = max(np.abs(x).max() for x in jax.tree.leaves(b))
  atol = tolerance * max(scale, 1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), a, b
  )


def critic_of(config, **arguments):
  """`(params, model_state, x) -> logits, model_state`, where there is AXIS."""
  network = models.create("Critic", config, "critic", **arguments)

  def apply(params, state, x):
    variables = {"params": params, **state}
    return network.apply(variables, x, train=True, mutable=list(state))

  return apply


def generator_of(config, channels=1):
  """`(params, model_state, x, **noise) -> images, model_state`."""
  network = models.create(
    "Generator", config, "generator", channels=channels
  ).clone(axis=None)

  def apply(params, state, x, **noise):
    variables = {"params": params, **state}
    return network.apply(variables, x, train=True, mutable=list(state), **noise)

  return apply


def turn_loss(game, player):
  """Returns the loss of a player's turn."""
  return next(turn.loss for turn in game.schedule if turn.player == player)


def with_schedule(game, **updates):
  """Returns the game with the turns of these players alone."""

  class Some(type(game)):
    @property
    def schedule(self):
      turns = {turn.player: turn for turn in super().schedule}
      return tuple(
        turns[player]._replace(updates=count)
        for player, count in updates.items()
      )

  fields = dataclasses.fields(game)
  return Some(**{field.name: getattr(game, field.name) for field in fields})


def with_methods(game, **methods):
  """Returns the game with functions in place of its methods."""
  changed = dataclasses.replace(game)
  for name, function in methods.items():
    object.__setattr__(changed, name, function)
  return changed


def weights(game):
  """Returns the pretrained weights that a game asks for."""
  specs = game.pretrained.items()
  return {player: classifiers.weights_of(spec) for player, spec in specs}
