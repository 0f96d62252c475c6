"""The game of OT-GAN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.games import turn_loss
from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.algorithms import create_train_state, ot_gan
from jaxgan.errors import InputError
from jaxgan.game import AXIS


def small(**values):
  config = shrink(load_config("ot_gan"))
  config.update_from_flattened_dict(values)
  return config


def images(count=16, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.uniform(-1, 1, (count, 16, 16, 1)), jnp.float32)


def start(config, scale=1.0):
  """The game, and its first state for images of that contrast."""
  algorithm = ot_gan.create(config)
  state = jax.jit(
    lambda x: create_train_state(algorithm, jax.random.key(0), {"image": x})
  )(scale * images())
  return algorithm, state


def gradients(config):
  """Both players' losses, metrics and gradients on one batch."""
  algorithm, state = start(config)

  @jax.jit
  def of(state, batch):
    def differentiate(player):
      def loss(own):
        params = {**state.params, player: own}
        return turn_loss(algorithm, player)(params, state, batch, rng)

      return jax.value_and_grad(loss, has_aux=True)(state.params[player])

    return {player: differentiate(player) for player in algorithm.optimizers}

  rng = jax.random.key(1)
  on_one = jax.vmap(of, (None, 0), axis_name=AXIS)
  results = on_one(state, {"image": images()[None]})
  return jax.tree.map(lambda x: x[0], results)


def test_the_setting_of_the_paper():
  config = load_config("ot_gan", "cifar10")
  assert config.batch_size == 8000
  assert config.transport.epsilon == 1 / 500
  assert config.generator.width == config.critic.width == 128
  algorithm = ot_gan.create(config)
  assert [(turn.player, turn.updates) for turn in algorithm.schedule] == [
    ("critic", 1),
    ("generator", 3),
  ]
  # The code's Adam on the sums of 4000 gradients is ours on their means.
  optimizer = algorithm.optimizers["critic"]
  for gradient in (1e-3, 1e-5, 1e-7):
    update, _ = optimizer.update(gradient / 4000, optimizer.init(0.0))
    expected = -3e-4 * gradient / np.sqrt(gradient**2 + 1e-8)
    np.testing.assert_allclose(update, expected, rtol=1e-3)


def test_generator_and_critic_move_the_same_distance_in_two_directions():
  config = small()
  found = gradients(config)
  (down, (state, metrics)), _ = found["generator"]
  (up, _), _ = found["critic"]
  np.testing.assert_allclose(down, -up, rtol=1e-5)
  assert state == {}
  assert set(metrics) == {"unconverged", "marginal_error"}

  algorithm, state = start(config)
  rng = jax.random.key(1)

  @jax.jit
  def distance(params):
    return jax.vmap(
      lambda x: turn_loss(algorithm, "generator")(
        params, state, {"image": x}, rng
      ),
      axis_name=AXIS,
    )(images()[None])[0][0]

  for player, direction in (("generator", -1), ("critic", 1)):
    gradient = found[player][1]
    rate = 0.01 / np.sqrt(
      sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradient))
    )
    moved = jax.tree.map(
      lambda p, g, rate=rate: p - rate * g, state.params[player], gradient
    )
    change = distance({**state.params, player: moved}) - down
    assert direction * change > 1e-5


def test_chunks_change_nothing_but_memory():
  whole, chunks = gradients(small()), gradients(small(chunk_size=4))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), whole, chunks
  )


@pytest.mark.parametrize(
  ("size", "rows"),
  [(0, 12), (1, 1), (5, 4), (6, 6), (11, 6), (12, 12), (99, 12)],
)
def test_size_of_chunks(size, rows):
  seen = []

  def function(x):
    seen.append(len(x))
    return 2 * x

  x = jnp.arange(12.0)
  np.testing.assert_array_equal(ot_gan.in_chunks(function, x, size), 2 * x)
  assert set(seen) == {rows}


def test_chunks_need_less_memory():
  w = jnp.ones((64, 64))

  def loss(w, size):
    def deep(x):
      for _ in range(16):
        x = jnp.tanh(x @ w)
      return x

    return ot_gan.in_chunks(deep, jnp.ones((4096, 64)), size).sum()

  def memory(size):
    compiled = (
      jax.jit(jax.grad(loss), static_argnums=1).lower(w, size).compile()
    )
    return compiled.memory_analysis().temp_size_in_bytes

  assert memory(256) < memory(0) / 2


@pytest.mark.slow
def test_initial_networks_suit_the_data():
  algorithm, state = start(small(latent_size=100))
  z = algorithm.inputs(jax.random.split(jax.random.key(2), 256))["latent"]
  made = algorithm.sample(state.params, state.model_state, {"latent": z})
  made = np.arctanh(made["generated"])
  np.testing.assert_allclose(made.std(), 0.1, rtol=0.3)
  np.testing.assert_allclose(made.mean(), 0, atol=0.03)

  _, other = start(small(latent_size=100), scale=0.5)
  same = jax.tree.map(
    np.array_equal, other.params["generator"], state.params["generator"]
  )
  assert all(jax.tree.leaves(same))
  ours, theirs = (
    s.params["critic"]["WeightNorm_0"]["scale"] for s in (state, other)
  )
  np.testing.assert_allclose(theirs, 2 * ours, rtol=1e-4)


@pytest.mark.parametrize(
  ("values", "remedy"),
  [
    ({"latent": "gaussian"}, "normal"),
    ({"latent_size": 0}, "give 1 or more"),
    ({"n_generator": 0}, "give 1 or more"),
    ({"batch_size": 9}, "even"),
    ({"chunk_size": -1}, "0 .all at once. or more"),
    ({"transport.epsilon": 0.0}, "1e-6 to 1000"),
    ({"transport.epsilon": float("nan")}, "1e-6 to 1000"),
    ({"transport.momentum": 2.0}, "below 2"),
    ({"transport.momentum": 0.9}, "below 2"),
    ({"transport.epsilon": 1e-40}, "1e-6"),
    ({"transport.annealing": (50.0, 1.1)}, "the decay in"),
    ({"transport.annealing": (50.0, 1.0)}, "the decay in"),
    ({"transport.annealing": (float("inf"), 0.9)}, "the factor"),
    ({"transport.annealing": (50.0,)}, "factor, decay"),
    ({"transport.annealing": (50.0, 0.9, 1.0)}, "factor, decay"),
    ({"transport.annealing": (None, 0.9)}, "factor, decay"),
    ({"transport.max_iterations": 0}, "give 1 or more"),
    ({"transport.threshold": -1.0}, "0 or more"),
    ({"critic.width": 0}, "critic.width=0"),
  ],
)  # fmt: skip
def test_impossible_values_are_refused(values, remedy):
  config = small(**values)
  with pytest.raises(InputError, match=remedy):
    algorithms.initial_state(config, ot_gan.create(config))


@pytest.mark.parametrize(
  ("player", "network", "remedy"),
  [
    (
      "generator",
      {"name": "dcgan", "width": 4, "norm": "batch"},
      "norm='none'",
    ),
    ("critic", {"name": "dcgan", "width": 4, "norm": "none"}, "'ot_gan'"),
  ],
)
def test_networks_that_do_not_suit_it(player, network, remedy):
  config = load_config("ot_gan")
  config[player] = ConfigDict(network)
  with pytest.raises(InputError, match=remedy):
    algorithms.initial_state(config, ot_gan.create(config))


def test_a_generator_of_another_kind():
  config = load_config("ot_gan")
  config.generator = ConfigDict({"name": "dcgan", "width": 4, "norm": "none"})
  _, state = algorithms.initial_state(config, ot_gan.create(config))
  assert "ConvTranspose_0" in state.params["generator"]
