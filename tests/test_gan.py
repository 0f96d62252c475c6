"""The switches of the unconditional algorithm."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import load_config, shrink
from jax import lax
from test_train_step import difference, play, random_batches

from jaxgan import losses
from jaxgan.algorithms import gan
from jaxgan.config import InputError
from jaxgan.parallel import AXIS
from jaxgan.train import initial_state
from jaxgan.train_step import create_train_state, make_train_step

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


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_combination_with_every_objective(objective):
  overrides = {"loss": objective}
  if objective == "wasserstein":
    overrides["optimizers.critic.clip_weights"] = 0.5
  batches = {"image": jnp.array(random_batches((2,), 1)(0)["image"])}
  moved = set()
  for used in product([False, True], repeat=3):
    names = [n for n, use in zip(SWITCHES, used, strict=True) if use]
    algorithm = gan.create(switched(*names, **overrides))
    first = {"image": batches["image"][0]}
    with jax.disable_jit():
      state = create_train_state(algorithm, jax.random.key(0), first)
      step = make_train_step(algorithm, jax.random.key(1), 0.9)
      new, metrics = jax.vmap(
        lambda _, s=state, f=step: f(s, batches), axis_name=AXIS
      )(jnp.zeros(1))
    assert not new.halted
    flat = [x[0] for x in jax.tree.leaves(new.params["generator"])]
    moved.add(np.concatenate([x.ravel() for x in flat]).tobytes())
  assert len(moved) == 8


def critic_state(names, images=None):
  algorithm = gan.create(switched(*names))
  images = random_batches((2,), 1)(0)["image"][0] if images is None else images
  state = create_train_state(algorithm, jax.random.key(0), {"image": images})
  return algorithm, state


def alone(function, *args):
  """`function(*args)` as on the only device."""
  mapped = jax.vmap(lambda _: function(*args), axis_name=AXIS)(jnp.zeros(1))
  return jax.tree.map(lambda x: x[0], mapped)


def test_feature_matching_is_the_distance_of_mean_features():
  algorithm, state = critic_state(["feature_matching"])
  real = random_batches((2,), 1)(1)["image"][0]
  rng = jax.random.key(5)
  loss, _ = alone(
    algorithm.losses["generator"], state.params, state, {"image": real}, rng
  )
  keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(16))
  batch = {"latent": algorithm.latents(keys)}
  fake = algorithm.sample(state.params, state.model_state, batch)["generated"]
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
    _, (_, metrics) = alone(
      algorithm.losses["critic"],
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
  only = algorithm._replace(schedule=(("generator", 1),))
  state, _ = play(only, random_batches((2,), 1))
  for part in ("params", "model_state", "opt_state"):
    jax.tree.map(
      np.testing.assert_array_equal,
      getattr(start, part)["critic"],
      getattr(state, part)["critic"],
    )


def test_devices_do_not_change_the_result_of_all_switches():
  config = switched(*SWITCHES)
  # With SGD, so that an update that is too large by a factor shows.
  for player in ("generator", "critic"):
    config.optimizers[player] = {"name": "sgd", "learning_rate": 0.1}
  algorithm = gan.create(config)
  one, _ = play(algorithm, random_batches((2,), 1), 5)
  eight, _ = play(algorithm, random_batches((2,), 1), 5, devices=8)
  assert difference(one, eight) < 2e-6


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


@pytest.mark.parametrize("mistake", [without_means, without_others])
def test_the_equality_of_devices_can_fail(mistake, monkeypatch):
  algorithm = gan.create(switched(*SWITCHES))
  one, _ = play(algorithm, random_batches((2,), 1), 5)
  mistake(monkeypatch)
  eight, _ = play(algorithm, random_batches((2,), 1), 5, devices=8)
  assert difference(one, eight) > 1e-4


def test_a_layer_that_the_critic_has_not():
  config = switched(feature_matching="hidden_7")
  with pytest.raises(InputError, match="'hidden_0'"):
    initial_state(config, gan.create(config))
