import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.game import AXIS
from jaxgan.objectives import penalties

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(6, 4, 4, 2)).astype(np.float32)
FAKE = RNG.normal(size=(6, 4, 4, 2)).astype(np.float32)
W = RNG.normal(size=(4, 4, 2)).astype(np.float32)


def evaluate(penalty, critic, real=REAL, fake=FAKE, seed=0):
  """The penalty as a mapped step would see it, on one device."""
  key = jax.random.key(seed)
  return jax.vmap(lambda r, f: penalty(critic, r, f, key), axis_name=AXIS)(
    real[None], fake[None]
  )[0]


def linear(x):
  return (x * W).sum((1, 2, 3))


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("wgan_gp", (np.linalg.norm(W) - 1) ** 2),
    ("dragan", (np.linalg.norm(W) - 1) ** 2),
    ("r1", (W**2).sum() / 2),
    ("r2", (W**2).sum() / 2),
    ("r1_r2", (W**2).sum()),
  ],
)
def test_linear_critic(name, expected):
  penalty = getattr(penalties, name)
  np.testing.assert_allclose(evaluate(penalty, linear), expected, rtol=1e-5)


def test_wgan_gp_mixes_each_example_with_one_factor():
  # The gradient of sum(x^2) / 2 is x itself, so a stub of the squared norms
  # sees the points at which the penalty is taken.
  seen = []

  def critic(x):
    jax.debug.callback(lambda x: seen.append(np.array(x)), x)
    return jnp.square(x).sum((1, 2, 3)) / 2

  value = evaluate(penalties.wgan_gp, critic)
  jax.effects_barrier()
  points = seen[0].reshape(REAL.shape)
  factors = (points - REAL) / (FAKE - REAL)
  factor = factors.mean((1, 2, 3), keepdims=True)
  np.testing.assert_allclose(
    factors, np.broadcast_to(factor, factors.shape), atol=1e-3
  )
  assert ((factor > 0) & (factor < 1)).all()
  assert factor.std() > 0.05
  norms = np.linalg.norm(points.reshape(6, -1), axis=1)
  np.testing.assert_allclose(value, ((norms - 1) ** 2).mean(), rtol=1e-4)


def test_r1_and_r2_see_their_own_images():
  def critic(x):
    return jnp.square(x).sum((1, 2, 3)) / 2

  half = lambda x: (x**2).sum((1, 2, 3)).mean() / 2  # noqa: E731
  np.testing.assert_allclose(evaluate(penalties.r1, critic), half(REAL), 1e-5)
  np.testing.assert_allclose(evaluate(penalties.r2, critic), half(FAKE), 1e-5)


def test_flat_critic_has_a_penalty_and_a_finite_gradient():
  def loss(w):
    return evaluate(penalties.wgan_gp, lambda x: w * x.sum((1, 2, 3)))

  value, grad = jax.value_and_grad(loss)(0.0)
  assert value == 1
  assert np.isfinite(grad)


def test_gradient_agrees_with_finite_differences():
  def critic(x, w):
    return jnp.tanh(x.reshape(len(x), -1) @ w).sum(1)

  w = jnp.asarray(RNG.normal(size=(32, 5)) / 6, jnp.float32)
  for name in ("wgan_gp", "dragan", "r1_r2"):
    penalty = getattr(penalties, name)
    loss = lambda w: evaluate(penalty, lambda x: critic(x, w))  # noqa: B023, E731
    grad = jax.grad(loss)(w)
    step = jnp.asarray(RNG.normal(size=w.shape), jnp.float32)
    step *= 1e-2 / jnp.linalg.norm(step)
    slope = (loss(w + step) - loss(w - step)) / 2
    np.testing.assert_allclose(slope, (grad * step).sum(), rtol=2e-2)
