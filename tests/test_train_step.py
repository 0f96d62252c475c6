"""The engine: order of play, isolation of players, devices, averages."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.configs import load_config, shrink
from helpers.games import difference, play, random_batches, with_schedule
from jax import lax
from ml_collections import ConfigDict

from jaxgan import game, models
from jaxgan.algorithms import create_train_state, from_latents, gan, ot_gan
from jaxgan.game import (
  AXIS,
  Game,
  Turn,
  minibatches,
  sampling_variables,
)
from jaxgan.models.layers import norms


class Toy(Game):
  """Each player's loss is its weight times the mean of its minibatch."""

  averaged = ("generator",)

  def __init__(self, turns, optimizers=None):
    rates = {p: optax.sgd(1.0) for p in ("critic", "generator")}
    super().__init__(None, optimizers or rates)
    object.__setattr__(self, "turns", turns)

  @property
  def schedule(self):
    return tuple(
      Turn(player, partial(self.loss, player), *rest)
      for player, *rest in self.turns
    )

  def init(self, rng, batch):
    return (
      {p: jnp.zeros(2) for p in self.optimizers},
      {p: {"moves": jnp.float32(0)} for p in self.optimizers},
    )

  def loss(self, player, params, state, batch, rng):
    own = params[player]
    others = sum(p.sum() for name, p in params.items() if name != player)
    value = (own * batch["image"].mean() + others).sum()
    moves = state.model_state[player]["moves"] + 1
    # The order of play: how far the other player has come.
    seen = sum(s["moves"] for s in state.model_state.values())
    return value, ({"moves": moves}, {"seen": seen.astype("float32")})


def counting(updates, size=8):
  """Minibatch i of round t is filled with 10 t + i + 1."""

  def batches(t):
    values = 10 * t + np.arange(updates) + 1
    return {"image": np.repeat(values[:, None], size, 1).astype("float32")}

  return batches


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_schedule(kind):
  algorithm = Toy((("critic", 3), ("generator", 2)))
  assert minibatches(algorithm) == 3
  state, metrics = play(algorithm, counting(3), rounds=2, kind=kind)
  assert state.step == 2
  assert state.model_state["critic"]["moves"] == 6
  assert state.model_state["generator"]["moves"] == 4
  # SGD with rate 1 on a loss w * mean: the weight is minus the sum of the
  # means of the minibatches that the player saw.
  np.testing.assert_allclose(
    state.params["critic"], -(1 + 2 + 3 + 11 + 12 + 13)
  )
  np.testing.assert_allclose(state.params["generator"], -(1 + 2 + 11 + 12))
  # In round 2 the critic moves first: before it 5 moves were made, before
  # the generator 8; metrics are means over a turn.
  assert metrics["critic/seen"] == np.mean([5, 6, 7])
  assert metrics["generator/seen"] == np.mean([8, 9])


def test_generator_may_move_first():
  algorithm = Toy((("generator", 1), ("critic", 1)))
  _, metrics = play(algorithm, counting(1))
  assert (metrics["generator/seen"], metrics["critic/seen"]) == (0, 1)


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_a_turn_that_is_taken_at_every_third_step(kind):
  # One player, two losses: at steps 0 and 3 the critic moves a second time.
  game = Toy((("critic", 1), ("critic", 1, 3, "slow"), ("generator", 1)))
  state, metrics = play(game, counting(1), rounds=4, kind=kind)
  assert state.model_state["critic"]["moves"] == 4 + 2
  np.testing.assert_allclose(
    state.params["critic"], -((1 + 11 + 21 + 31) + (1 + 31))
  )
  assert metrics["slow/taken"]
  # Before it, the critic has moved 5 times, the generator 3.
  assert metrics["slow/seen"] == 5 + 3
  _, metrics = play(game, counting(1), rounds=3, kind=kind)
  assert not metrics["slow/taken"]
  assert metrics["slow/loss"] == metrics["slow/grad_norm"] == 0


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5])
def test_ema_against_hand_computation(decay):
  algorithm = Toy((("critic", 1), ("generator", 1)))
  state, _ = play(algorithm, counting(1), rounds=3, ema_decay=decay)
  average, weight, moves = 0.0, 0.0, 0.0
  for t in range(3):
    weight -= 10 * t + 1
    d = min(decay, (1 + t) / (10 + t))
    average = d * average + (1 - d) * weight
    moves = d * moves + (1 - d) * (t + 1)
  np.testing.assert_allclose(state.ema_params["generator"], average, rtol=1e-6)
  np.testing.assert_allclose(
    state.ema_model_state["generator"]["moves"], moves, rtol=1e-6
  )
  assert set(state.ema_params) == {"generator"}
  params, model_state = sampling_variables(state)
  assert params["generator"] is state.ema_params["generator"]
  assert params["critic"] is state.params["critic"]
  assert model_state["generator"] is state.ema_model_state["generator"]
  raw, _ = sampling_variables(state, averaged=False)
  assert raw["generator"] is state.params["generator"]


def nan_at(t_bad, i_bad, updates):
  def batches(t):
    batch = counting(updates)(t)
    if t == t_bad:
      batch["image"][i_bad] = np.nan
    return batch

  return batches


@pytest.mark.parametrize(("update", "weight"), [(0, 0), (1, -11)])
def test_non_finite_update_is_not_made_and_stops_the_run(update, weight):
  algorithm = Toy((("critic", 2), ("generator", 1)))
  before, _ = play(algorithm, nan_at(9, 0, 2), rounds=1)
  after, _ = play(algorithm, nan_at(1, update, 2), rounds=2)
  later, _ = play(algorithm, nan_at(1, update, 2), rounds=5)
  assert after.halted
  assert after.step == 1
  np.testing.assert_allclose(
    after.params["critic"], before.params["critic"] + weight
  )
  np.testing.assert_array_equal(
    after.params["generator"], before.params["generator"]
  )
  jax.tree.map(np.testing.assert_array_equal, after, later)
  _, metrics = play(algorithm, nan_at(1, update, 2), rounds=2)
  assert np.isnan(metrics["critic/loss"])


def small_gan(optimizer="sgd", **overrides):
  config = shrink(load_config("wgan_gp"))
  config.update_from_flattened_dict(
    {
      "data.name": "ring",
      "n_critic": 2,
      # Not Wasserstein: there the critic's last bias has gradient 1 - 1, whose
      # rounding Adam would turn into full steps.
      "loss.name": "non_saturating",
      "generator": ConfigDict({"name": "mlp", "hidden": (8,), "norm": "batch"}),
      "critic": ConfigDict({"name": "mlp", "hidden": (8,), "norm": "none"}),
      **overrides,
    }
  )
  for player in ("generator", "critic"):
    config.optimizers[player] = ConfigDict(
      {"name": optimizer, "learning_rate": 0.02}
    )
  return config


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_devices_do_not_change_the_result(optimizer):
  algorithm = gan.create(small_gan(optimizer))
  run = lambda **how: play(algorithm, random_batches((2,)), 10, **how)[0]  # noqa: E731
  one = run()
  for count, kind in (
    (2, "pmap"),
    (8, "pmap"),
    (1, "shard_map"),
    (8, "shard_map"),
  ):
    error = difference(one, run(devices=count, kind=kind))
    print(f"{optimizer}, {kind}, {count} devices: {error:.1e}")
    assert error < 2e-6


def test_devices_do_not_change_convolutional_networks():
  config = shrink(load_config("dcgan"))
  for optimizer in config.optimizers.values():
    optimizer.learning_rate = 1e-3
  algorithm = gan.create(config)
  batches = random_batches((16, 16, 1), updates=1)
  one, _ = play(algorithm, batches, 3)
  eight, _ = play(algorithm, batches, 3, devices=8)
  # Adam amplifies the rounding of gradients that are nearly zero.
  assert difference(one, eight) < 1e-4


def test_devices_do_not_change_ot_gan():
  config = shrink(load_config("ot_gan"))
  # Rounding may decide when to stop; and plans that are far from converged
  # amplify it.
  config.transport.update({"threshold": 0.0, "max_iterations": 150})
  for player in ("generator", "critic"):
    config.optimizers[player] = ConfigDict(
      {"name": "sgd", "learning_rate": 0.02}
    )
  algorithm = ot_gan.create(config)
  batches = random_batches((16, 16, 1))
  one, metrics = play(algorithm, batches, 3)
  eight, theirs = play(algorithm, batches, 3, devices=8)
  error = difference(one, eight)
  print(f"{error:.1e}")
  assert error < 1e-5
  for name in ("critic/loss", "generator/loss", "generator/marginal_error"):
    np.testing.assert_allclose(metrics[name], theirs[name], atol=1e-5)


def local_gradients(monkeypatch):
  original = lax.pmean

  def pmean(tree, axis, **kwargs):
    if isinstance(tree, tuple):  # (gradients, metrics) of the train step
      return tree
    return original(tree, axis, **kwargs)

  monkeypatch.setattr("jaxgan.train_step.lax.pmean", pmean)


def same_noise_everywhere(monkeypatch):
  def keys(rng, count):
    return jax.random.split(rng, count)

  for module in (gan, from_latents):
    monkeypatch.setattr(module, "example_keys", keys)


def batch_norm_of_each_device(monkeypatch):
  monkeypatch.setattr(norms.normalize, "__defaults__", (None,))


@pytest.mark.parametrize(
  "mistake",
  [local_gradients, same_noise_everywhere, batch_norm_of_each_device],
)
def test_the_equality_of_devices_can_fail(mistake, monkeypatch):
  mistake(monkeypatch)
  algorithm = gan.create(small_gan())
  one, _ = play(algorithm, random_batches((2,)), 10)
  eight, _ = play(algorithm, random_batches((2,)), 10, devices=8)
  assert difference(one, eight) > 1e-3


def test_players_do_not_leak_into_each_other():
  # Batch norm in both networks: a critic's turn runs the generator in
  # training mode, and the other way round, but each keeps its own state.
  config = small_gan(
    **{
      "n_critic": 1,
      "loss.name": "non_saturating",
      "penalty.name": "",
      "penalty.weight": 0.0,
      "critic.norm": "batch",
    }
  )
  algorithm = gan.create(config)
  states = {}
  for player in ("critic", "generator"):
    only = with_schedule(algorithm, **{player: 1})
    states[player], _ = play(only, random_batches((2,), 1))
  create = jax.jit(lambda rng: create_train_state(algorithm, rng, {"image": 1}))
  start = jax.device_get(create(jax.random.key(0)))
  for actor, other in (("critic", "generator"), ("generator", "critic")):
    for part in ("params", "model_state", "opt_state"):
      before, after = getattr(start, part), getattr(states[actor], part)
      jax.tree.map(np.testing.assert_array_equal, before[other], after[other])
    for part in ("params", "model_state"):
      before, after = getattr(start, part), getattr(states[actor], part)
      changed = jax.tree.map(
        lambda a, b: np.abs(a - b).max() > 0, before[actor], after[actor]
      )
      assert any(jax.tree.leaves(changed))


def test_generator_batches(monkeypatch):
  drawn = []
  original = game.example_keys

  def keys(rng, count):
    drawn.append(count)
    return original(rng, count)

  for module in (gan, from_latents):
    monkeypatch.setattr(module, "example_keys", keys)
  algorithm = gan.create(small_gan(generator_batches=3))
  play(algorithm, random_batches((2,)), devices=2)
  assert set(drawn) == {8, 24}  # a critic's and a generator's turn


def test_fakes_of_a_round_are_those_of_its_updates():
  # Made in one pass, yet each minibatch has its own batch statistics.
  config = shrink(load_config("dcgan"))
  config.n_critic = 3
  algorithm = gan.create(config)
  state = create_train_state(algorithm, jax.random.key(0), {})
  generator = models.create("Generator", config, "generator", shape=(16, 16, 1))

  def fakes(images):
    rng = jax.random.key(1)
    together = algorithm.prepare_step(state, {"image": images}, rng)["fake"]
    alone = [
      models.apply(
        generator,
        state.params["generator"],
        state.model_state["generator"],
        algorithm.inputs(game.example_keys(key, 8))["latent"],
        train=True,
      )[0]
      for key in jax.random.split(rng, 3)
    ]
    return together, jnp.stack(alone)

  images = jnp.zeros((1, 3, 8, 16, 16, 1))
  together, alone = (x[0] for x in jax.vmap(fakes, axis_name=AXIS)(images))
  assert together.shape == (3, 8, 16, 16, 1)
  np.testing.assert_allclose(together, alone, atol=1e-5)
  assert abs(together[0] - together[1]).max() > 1e-3
