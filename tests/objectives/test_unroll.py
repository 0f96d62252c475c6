import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.configs import load_config, shrink
from helpers.games import alone, play, random_batches, turn_loss
from jax import lax

from jaxgan.algorithms import gan
from jaxgan.objectives.unroll import unroll


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_closed_form(steps):
  # Gradient descent on (p - t)^2 / 2 leaves (1 - rate)^k of the distance.
  start, rate = 3.0, 0.1

  def after(target):
    loss = lambda p, s: (jnp.square(p - target) / 2, s + 1)  # noqa: E731
    optimizer = optax.sgd(rate)
    state = optimizer.init(start)
    return unroll(loss, optimizer, jnp.float32(start), 0, state, steps)

  kept = (1 - rate) ** steps
  params, count = alone(after)(5.0)
  np.testing.assert_allclose(params, 5 + kept * (start - 5), rtol=1e-6)
  assert count == steps
  slope = alone(jax.grad(lambda t: after(t)[0]))(5.0)
  np.testing.assert_allclose(slope, 1 - kept, rtol=1e-5, atol=1e-7)


def test_updates_are_those_of_adam():
  rng = np.random.default_rng(0)
  matrix, start = rng.normal(size=(3, 3)), rng.normal(size=3)
  rate, b1, b2, eps = 0.1, 0.5, 0.9, 1e-8
  optimizer = optax.adam(rate, b1, b2, eps)
  # After two real updates, so that there are moments to go on from.
  state, params = optimizer.init(jnp.array(start)), jnp.array(start)
  grads = lambda p: jnp.array(matrix @ p)  # noqa: E731
  for _ in range(2):
    updates, state = optimizer.update(grads(params), state)
    params = optax.apply_updates(params, updates)
  symmetric = matrix + matrix.T
  loss = lambda p, s: (p @ symmetric @ p / 2, s)  # noqa: E731
  found, _ = alone(lambda: unroll(loss, optimizer, params, {}, state, 4))()

  x, m, v = start, 0, 0
  for t in range(1, 7):
    g = (matrix if t <= 2 else symmetric) @ x
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    x = x - rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
  np.testing.assert_allclose(found, x, rtol=1e-5)


def test_a_gradient_that_is_always_zero():
  # As of a dead unit: second moments of 0, where roots have no derivative.
  def slope(*names):
    def after(x):
      loss = lambda p, s: (jnp.square(p["used"] - x), s)  # noqa: E731
      params = dict.fromkeys(names, jnp.float32(1))
      optimizer = optax.rmsprop(0.1)
      state = optimizer.init(params)
      return unroll(loss, optimizer, params, {}, state, 3)[0]["used"]

    return alone(jax.grad(after))(3.0)

  np.testing.assert_allclose(slope("used", "unused"), slope("used"))


def unrolled_gan(steps, **overrides):
  config = shrink(load_config("mixture"))
  config.update_from_flattened_dict({"unroll_steps": steps} | overrides)
  return config


# Smooth, and a critic so fast that its updates matter.
FAST = {
  "generator.activation": "tanh",
  "critic.activation": "tanh",
  "optimizers.critic.learning_rate": 0.03,
}
WASSERSTEIN = FAST | {
  "loss.name": "wasserstein",
  "penalty.name": "wgan_gp",
  "penalty.weight": 1.0,
}


def gradient_error(steps, overrides):
  """Largest relative error of the gradient, by finite differences."""
  config = unrolled_gan(steps, **overrides)
  # Adam's moments must not be 0.
  quick = gan.create(unrolled_gan(0, **overrides))  # to compile
  state, _ = play(quick, random_batches((2,), 1), 3)
  with jax.enable_x64(True):
    config.dtype = "float64"
    loss = turn_loss(gan.create(config), "generator")
    state = jax.tree.map(
      lambda x: jnp.asarray(x, x.dtype if x.dtype == "int32" else "float64"),
      state,
    )
    rng = jax.random.key(3)
    batch = {"image": jax.random.normal(rng, (16, 2))}

    def value(own):
      params = {**state.params, "generator": own}
      return loss(params, state, batch, rng)[0]

    own = state.params["generator"]
    grads = jax.jit(alone(jax.grad(value)))(own)
    assert jax.tree.leaves(grads)[0].dtype == "float64"
    flat, unflatten = jax.flatten_util.ravel_pytree(own)
    evaluate = jax.jit(alone(lambda flat: value(unflatten(flat))))
    gradient = jax.flatten_util.ravel_pytree(grads)[0]
    step, directions = (
      1e-5,
      np.random.default_rng(0).normal(size=(8, len(flat))),
    )
    differences = [
      (evaluate(flat + step * d) - evaluate(flat - step * d)) / (2 * step)
      for d in directions
    ]
    found = directions @ gradient
    return np.abs(found - np.array(differences)).max() / np.abs(found).max()


@pytest.mark.slow
@pytest.mark.parametrize(
  ("steps", "overrides"),
  [
    (0, FAST),
    (1, FAST),
    (5, FAST),
    (2, FAST | {"feature_matching": "hidden_0"}),
    (2, WASSERSTEIN),
  ],
)
def test_finite_differences_of_the_whole_computation(steps, overrides):
  error = gradient_error(steps, overrides)
  game = overrides.get("feature_matching") or overrides.get(
    "loss.name", "minimax"
  )
  print(f"{steps} steps, {game}: {error:.1e}")
  assert error < 1e-6


@pytest.mark.slow
def test_a_surrogate_without_the_updates_gradient_fails(monkeypatch):
  def surrogate(*args):
    return lax.stop_gradient(unroll(*args))

  monkeypatch.setattr(gan, "unroll", surrogate)
  assert gradient_error(1, FAST) > 0.01


@pytest.mark.slow
def test_memory_grows_slowly_with_the_steps():
  optimizer = optax.adam(1e-3)
  params = [jnp.zeros((32, 32))] * 4
  state = optimizer.init(params)

  def value(params, x):
    for weights in params:
      x = jnp.tanh(x @ weights)
    return jnp.square(x).mean()

  def peak(steps):
    def after(x):
      loss = lambda p, s: (value(p, x), s)  # noqa: E731
      return value(unroll(loss, optimizer, params, {}, state, steps)[0], x)

    gradient = jax.jit(alone(jax.grad(after)))
    compiled = gradient.lower(jnp.zeros((2048, 32))).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  # A step has four activations of 0.26 MB, and the gradients of each.
  assert peak(8) < 2 * peak(2)
