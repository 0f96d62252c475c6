import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from jaxgan.errors import InputError
from jaxgan.objectives import optimizers


def run(config, grads, params):
  optimizer = optimizers.create(ConfigDict(config), len(grads))
  state, history = optimizer.init(params), []
  for grad in grads:
    updates, state = optimizer.update(grad, state, params)
    params = optax.apply_updates(params, updates)
    history.append(params)
  return history


def test_weights_are_clipped_after_every_update():
  params = {"scale": jnp.ones(3), "kernel": jnp.linspace(-2, 2, 7)}
  keys = jax.random.split(jax.random.key(0), 5)
  grads = [
    jax.tree.map(lambda p, k=k: jax.random.normal(k, p.shape), params)
    for k in keys
  ]
  config = {"name": "sgd", "learning_rate": 0.005, "clip_weights": 0.01}
  history = run(config, grads, params)
  for params in history:
    for leaf in jax.tree.leaves(params):
      assert np.abs(leaf).max() <= 0.01 + 1e-8
  # Not stuck at the bound: gradients move weights back inside.
  assert np.abs(history[-1]["kernel"]).min() < 0.0099


def test_rmsprop_is_that_of_the_wgan_code():
  grads, learning_rate = [0.3, -2.0, 0.7], 5e-5
  config = {
    "name": "rmsprop",
    "learning_rate": learning_rate,
    "decay": 0.99,
    "eps": 1e-8,
    "eps_in_sqrt": False,
  }
  history = run(config, [jnp.float32(g) for g in grads], jnp.float32(1.0))
  weight, mean_square = 1.0, 0.0
  for grad, got in zip(grads, history, strict=True):
    mean_square = 0.99 * mean_square + 0.01 * grad**2
    weight -= learning_rate * grad / (np.sqrt(mean_square) + 1e-8)
    np.testing.assert_allclose(got, weight, rtol=1e-6)


def test_linear_schedule_reaches_zero():
  config = {"name": "sgd", "learning_rate": 1.0, "schedule": "linear"}
  history = run(config, [jnp.float32(1.0)] * 4, jnp.float32(0.0))
  steps = -np.diff([0.0, *history])
  np.testing.assert_allclose(steps, [1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
  ("updates", "expected"),
  [
    (8, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
    (5, [1, 1, 1, 2 / 3, 1 / 3]),
    (1, [1]),
  ],
)
def test_half_linear_schedule(updates, expected):
  config = {"name": "sgd", "learning_rate": 0.5, "schedule": "half_linear"}
  history = run(config, [jnp.float32(2.0)] * updates, jnp.float32(0.0))
  steps = -np.diff([0.0, *history])
  np.testing.assert_allclose(steps, expected, rtol=1e-6)


def test_the_schedule_of_a_player_is_over_all_its_updates():
  entry = {"name": "sgd", "learning_rate": 1.0, "schedule": "half_linear"}
  config = ConfigDict({"steps": 4, "optimizers": {"a": entry, "b": entry}})
  players = optimizers.of_players(config, {"a": 1, "b": 3})
  for player, updates in (("a", 4), ("b", 12)):
    state, steps = players[player].init(jnp.float32(0)), []
    for _ in range(updates + 1):
      step, state = players[player].update(jnp.float32(-1), state)
      steps.append(step)
    half = updates // 2
    falling = 1 - np.arange(half + 1) / half
    np.testing.assert_allclose(steps, [*[1] * half, *falling], atol=1e-6)


@pytest.mark.parametrize(
  "config",
  [
    {"name": "adamm", "learning_rate": 1.0},
    {"name": "adam", "learning_rate": 1.0, "momentum": 0.9},
    {"name": "adam", "learning_rate": 1.0, "schedule": "cosine"},
  ],
)
def test_unknown_settings_are_refused(config):
  with pytest.raises(InputError):
    optimizers.create(ConfigDict(config), 10)


@pytest.mark.parametrize(
  ("entries", "message"),
  [
    (("a",), "optimizers has no entry 'b': add it"),
    (("a", "b", "c"), "optimizers.c: no such player makes updates, but a, b"),
  ],
)
def test_optimizers_and_players_are_the_same(entries, message):
  entry = {"name": "sgd", "learning_rate": 1.0}
  config = ConfigDict({"steps": 4, "optimizers": dict.fromkeys(entries, entry)})
  with pytest.raises(InputError, match=message):
    optimizers.of_players(config, {"a": 1, "b": 3})
