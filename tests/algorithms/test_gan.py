"""The switches of the unconditional algorithm."""

import re
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.games import (
  alone,
  difference,
  play,
  random_batches,
  turn_loss,
  with_schedule,
)
from jax import lax

from jaxgan.algorithms import create_train_state, gan
from jaxgan.errors import InputError
from jaxgan.objectives import losses
from jaxgan.train_step import make_train_step

SWITCHES = {
  "unroll_steps": 1,
  "feature_matching": "hidden_0",
  "minibatch_discrimination.kernels": 3,
}
OBJECTIVES = [
  name
  for name, value in vars(losses).items()
  if isinstance(value, losses.AdversarialLoss)
]


def switched(*names, **overrides):
  config = shrink(load_config("mixture", "ring_gan"))
  config.update_from_flattened_dict({n: SWITCHES[n] for n in names} | overrides)
  return config


def eager_scan(body, carry, inputs, **_):
  results = []
  for i in range(len(jax.tree.leaves(inputs)[0])):
    carry, result = body(carry, jax.tree.map(lambda x, i=i: x[i], inputs))
    results.append(result)
  return carry, jax.tree.map(lambda *x: jnp.stack(x), *results)


@pytest.mark.slow
def test_every_switch_matters_to_every_objective(monkeypatch):
  """The eight combinations give eight finite generators; not which ones."""
  # Operation by operation: no round is worth compiling that is played once.
  monkeypatch.setattr(lax, "scan", eager_scan)
  monkeypatch.setattr(jax, "checkpoint", lambda function: function)
  # And on the only device: mapped, each operation takes twice as long.
  monkeypatch.setattr(lax, "axis_size", lambda axis: 1)
  monkeypatch.setattr(lax, "all_gather", lambda x, *_, **__: x)
  monkeypatch.setattr(lax, "axis_index", lambda axis: 0)
  batches = {"image": jnp.array(random_batches((2,), 1)(0)["image"])}
  for objective in OBJECTIVES:
    sgd = {"name": "sgd", "learning_rate": 0.1, "clip_weights": 0.5}
    moved = set()
    for used in product([False, True], repeat=3):
      names = [n for n, use in zip(SWITCHES, used, strict=True) if use]
      config = switched(
        *names, **{"loss.name": objective, "generator.hidden": (8,)}
      )
      config.optimizers = {"generator": dict(sgd), "critic": sgd}
      algorithm = gan.create(config)
      state = create_train_state(algorithm, jax.random.key(0), {})
      step = make_train_step(algorithm, jax.random.key(1), 0.9)
      new, metrics = step(state, batches)
      assert not new.halted
      assert np.isfinite(metrics["generator/loss"])
      flat = jax.tree.leaves(new.params["generator"])
      moved.add(np.concatenate([x.ravel() for x in flat]).tobytes())
    assert len(moved) == 8


def critic_state(names, images=None):
  algorithm = gan.create(switched(*names))
  images = random_batches((2,), 1)(0)["image"][0] if images is None else images
  state = create_train_state(algorithm, jax.random.key(0), {"image": images})
  return algorithm, state


def fakes(algorithm, state, rng):
  """What the generator's loss makes of the key."""
  keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(16))
  batch = {"latent": algorithm.inputs(keys)["latent"]}
  return algorithm.sample(state.params, state.model_state, batch)["generated"]


@pytest.mark.slow
def test_feature_matching_is_the_distance_of_mean_features():
  algorithm, state = critic_state(["feature_matching"])
  real = random_batches((2,), 1)(1)["image"][0]
  rng = jax.random.key(5)
  loss, _ = alone(turn_loss(algorithm, "generator"))(
    state.params, state, {"image": real}, rng
  )
  fake = fakes(algorithm, state, rng)
  layer = state.params["critic"]["Dense_0"]
  means = [
    np.maximum(x @ layer["kernel"] + layer["bias"], 0).mean(0)
    for x in (real, fake)
  ]
  np.testing.assert_allclose(
    loss, np.abs(means[0] - means[1]).mean(), rtol=1e-5
  )


def test_minibatch_discrimination_keeps_real_and_fake_apart():
  algorithm, state = critic_state(["minibatch_discrimination.kernels"])
  real, *fakes = (random_batches((2,), 1)(i)["image"][0] for i in range(3))
  logits = []
  for fake in fakes:
    _, (_, metrics) = alone(turn_loss(algorithm, "critic"))(
      state.params,
      state,
      {"image": real, "fake": fake},
      jax.random.key(0),
    )
    logits.append(metrics)
  assert logits[0]["real"] == logits[1]["real"]
  assert logits[0]["fake"] != logits[1]["fake"]


def test_unrolling_leaves_the_critic_alone():
  algorithm, start = critic_state(["unroll_steps"])
  only = with_schedule(algorithm, generator=1)
  state, _ = play(only, random_batches((2,), 1))
  for part in ("params", "model_state", "opt_state"):
    jax.tree.map(
      np.testing.assert_array_equal,
      getattr(start, part)["critic"],
      getattr(state, part)["critic"],
    )


def without_means(monkeypatch):
  original = lax.pmean

  def pmean(tree, axis):
    # The train step's is of (gradients, metrics).
    return original(tree, axis) if isinstance(tree, tuple) else tree

  monkeypatch.setattr(lax, "pmean", pmean)


def without_others(monkeypatch):
  monkeypatch.setattr(
    lax, "all_gather", lambda x, *_, **__: jnp.concatenate([x] * 8, 2)
  )


def test_devices_do_not_change_the_result_of_all_switches(monkeypatch):
  config = switched(*SWITCHES)
  # With SGD, so that an update that is too large by a factor shows.
  for player in ("generator", "critic"):
    config.optimizers[player] = {"name": "sgd", "learning_rate": 0.1}
  algorithm = gan.create(config)

  def run(devices, kind="pmap"):
    batches = random_batches((2,), 1)
    return play(algorithm, batches, 5, devices=devices, kind=kind)[0]

  one = run(1)
  assert difference(one, run(8)) < 2e-6
  assert difference(one, run(8, "shard_map")) < 2e-6
  # The comparison can fail.
  for mistake in (without_means, without_others):
    with monkeypatch.context() as patch:
      mistake(patch)
      error = difference(one, run(8))
      print(f"{mistake.__name__}: {error:.1e}")
      assert error > 1e-4


@pytest.mark.parametrize("hidden", [(8,), ()])
def test_a_layer_that_the_critic_has_not(hidden):
  overrides = {"feature_matching": "hidden_7", "critic.hidden": hidden}
  names = [f"hidden_{i}" for i in range(len(hidden))]
  with pytest.raises(InputError, match=re.escape(str(names))):
    gan.create(switched(**overrides))


@pytest.mark.slow
def test_an_unrolled_zero_sum_game_is_minus_the_critics():
  # A critic that hardly moves, so that its objective is still the same.
  config = switched("unroll_steps", **{"optimizers.critic.learning_rate": 1e-9})
  algorithm = gan.create(config)
  real, rng = random_batches((2,), 1)(0)["image"][0], jax.random.key(5)
  state = create_train_state(algorithm, rng, {})
  fake = fakes(algorithm, state, rng)
  value, _ = alone(turn_loss(algorithm, "generator"))(
    state.params, state, {"image": real}, rng
  )
  batch = {"image": real, "fake": fake}
  critic, _ = alone(turn_loss(algorithm, "critic"))(
    state.params, state, batch, rng
  )
  np.testing.assert_allclose(value, -critic, rtol=1e-6)
