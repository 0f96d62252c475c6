import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.objectives import losses

REAL = np.array([0.3, -1.2, 2.5, 0.0])
FAKE = np.array([-0.7, 1.9, -3.1, 0.4])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def cross_entropy():
  return -(np.log(sigmoid(REAL)) + np.log(1 - sigmoid(FAKE))).mean()


@pytest.mark.parametrize(
  ("name", "critic", "generator"),
  [
    ("minimax", cross_entropy(), np.log(1 - sigmoid(FAKE)).mean()),
    ("non_saturating", cross_entropy(), -np.log(sigmoid(FAKE)).mean()),
    (
      "least_squares",
      ((REAL - 1) ** 2 / 2).mean() + (FAKE**2 / 2).mean(),
      ((FAKE - 1) ** 2 / 2).mean(),
    ),
    ("wasserstein", (FAKE - REAL).mean(), -FAKE.mean()),
    (
      "hinge",
      np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean(),
      -FAKE.mean(),
    ),
    (
      "relativistic",
      -np.log(sigmoid(REAL - FAKE)).mean(),
      -np.log(sigmoid(FAKE - REAL)).mean(),
    ),
  ],
)
def test_closed_forms(name, critic, generator):
  loss = getattr(losses, name)
  if name == "least_squares":  # with constants, 0, 1 and 1
    loss = loss()
  np.testing.assert_allclose(loss.critic(REAL, FAKE), critic, rtol=1e-5)
  np.testing.assert_allclose(loss.generator(REAL, FAKE), generator, rtol=1e-5)


def test_undecided_critic():
  zero = jnp.zeros(3)
  log2 = np.log(2)
  for loss in (losses.minimax, losses.non_saturating):
    np.testing.assert_allclose(loss.critic(zero, zero), 2 * log2, rtol=1e-6)
  np.testing.assert_allclose(
    losses.minimax.generator(zero, zero), -log2, rtol=1e-6
  )
  np.testing.assert_allclose(losses.hinge.critic(zero, zero), 2)
  np.testing.assert_allclose(
    losses.relativistic.critic(zero, zero), log2, rtol=1e-6
  )


def test_minimax_saturates_where_the_critic_is_sure():
  fake = jnp.full(4, -20.0)
  minimax, non_saturating = (
    jnp.abs(jax.grad(loss.generator, argnums=1)(fake, fake)).sum()
    for loss in (losses.minimax, losses.non_saturating)
  )
  assert minimax < 1e-8
  np.testing.assert_allclose(non_saturating, 1, rtol=1e-5)


def test_extreme_logits_stay_finite():
  huge = jnp.array([1e4, -1e4])
  for name in ("minimax", "non_saturating", "relativistic"):
    loss = getattr(losses, name)
  if name == "least_squares":  # with constants, 0, 1 and 1
    loss = loss()
    for side in (loss.critic, loss.generator):
      value, grads = jax.value_and_grad(side, argnums=(0, 1))(huge, -huge)
      assert np.isfinite(value)
      assert np.isfinite(grads).all()


def test_zero_sum_games():
  # Of all others, the sides do not cancel.
  for name, loss in vars(losses).items():
    if isinstance(loss, losses.AdversarialLoss):
      sides = [
        jax.grad(side, argnums=1)(REAL, FAKE)
        for side in (loss.critic, loss.generator)
      ]
      cancel = np.allclose(sides[0], -sides[1])
      assert cancel == loss.zero_sum == (name in ("minimax", "wasserstein"))
