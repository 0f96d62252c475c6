"""Losses and penalties of a critic that is linear, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers.configs import load_config
from helpers.games import alone

from jaxgan.models import dcgan
from jaxgan.objectives import adversarial, losses, penalties

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(2, 6, 3)).astype(np.float32)
W = np.float32([0.5, -1.0, 2.0])


class Linear(nn.Module):
  """The logit of x is w x."""

  @nn.compact
  def __call__(self, x, train):
    w = self.param("w", nn.initializers.constant(W), (3,))
    return x @ w


class OfBatch(nn.Module):
  """The logit of x is its distance to the mean of its batch."""

  @nn.compact
  def __call__(self, x, train):
    return (x - x.mean(0)).sum(-1)


def objective(loss, **values):
  defaults = {
    "critic": Linear(),
    "loss": loss,
    "penalty": None,
    "penalty_weight": 0.0,
    "activation": lambda logits: logits,
    "separate_batches": False,
  }
  return adversarial.Objective(**(defaults | values))


def critic_loss(it, params=None, real=REAL, fake=FAKE):
  """Returns the loss and gradient of the critic, and its metrics."""

  def loss(params):
    key = jax.random.key(0)
    value, (_, metrics) = it.critic_loss(params, {}, real, fake, key)
    return value, metrics

  params = {"w": W} if params is None else params
  return alone(jax.value_and_grad(loss, has_aux=True))(params)


def test_wgan_gp():
  it = objective(
    losses.wasserstein, penalty=penalties.wgan_gp, penalty_weight=3.0
  )
  (loss, metrics), gradient = critic_loss(it)
  norm = np.linalg.norm(W)
  penalty = (norm - 1) ** 2  # the gradient of a linear critic is w
  means = REAL.mean(0), FAKE.mean(0)
  np.testing.assert_allclose(metrics["real"], means[0] @ W, rtol=1e-5)
  np.testing.assert_allclose(metrics["fake"], means[1] @ W, rtol=1e-5)
  np.testing.assert_allclose(metrics["penalty"], penalty, rtol=1e-5)
  expected = (means[1] - means[0]) @ W + 3 * penalty
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  expected = means[1] - means[0] + 3 * 2 * (norm - 1) * W / norm
  np.testing.assert_allclose(gradient["w"], expected, rtol=1e-4)


def test_the_generator_climbs_the_critic():
  it = objective(losses.wasserstein)
  gradient = jax.grad(lambda x: it.generator_loss({"w": W}, {}, REAL, x))(FAKE)
  np.testing.assert_allclose(gradient, np.tile(-W / 6, (6, 1)), rtol=1e-5)


@pytest.mark.parametrize("name", ["minimax", "hinge"])
def test_an_unrolled_zero_sum_loss_is_minus_the_critics(name):
  loss = getattr(losses, name)
  it = objective(loss)
  (of_critic, _), _ = critic_loss(it)
  plain, unrolled = (
    it.generator_loss({"w": W}, {}, REAL, FAKE, unrolled)
    for unrolled in (False, True)
  )
  np.testing.assert_allclose(unrolled, -of_critic if loss.zero_sum else plain)
  assert unrolled != plain or not loss.zero_sum


def test_the_activation_is_of_both_sides():
  it = objective(losses.least_squares(), activation=jax.nn.sigmoid)
  (loss, metrics), _ = critic_loss(it)
  real, fake = (1 / (1 + np.exp(-x @ W)) for x in (REAL, FAKE))
  np.testing.assert_allclose(metrics["fake"], fake.mean(), rtol=1e-5)
  expected = ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  found = it.generator_loss({"w": W}, {}, REAL, FAKE)
  np.testing.assert_allclose(found, ((fake - 1) ** 2).mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("separate", [False, True])
def test_real_and_fake_are_separate_batches(separate):
  it = objective(
    losses.wasserstein, critic=OfBatch(), separate_batches=separate
  )
  means = [
    critic_loss(it, {}, fake=fake)[0][1]["real"] for fake in (FAKE, FAKE + 1)
  ]
  # Together, half of the shift is in the mean that is subtracted.
  np.testing.assert_allclose(
    means[0] - means[1], 0 if separate else 1.5, atol=1e-5
  )


def test_names_and_constants_of_a_config():
  config = load_config("lsgan")
  config.loss = {"name": "least_squares", "c": 0.5}
  it = adversarial.create(config, Linear())
  logit = jnp.float32([0.5])
  assert it.loss.generator(logit, logit) == 0
  assert it.loss.generator(logit, logit + 1) == 0.5
  assert it.penalty is None
  # A critic says itself whether it ties the examples of a batch.
  assert not it.separate_batches
  assert adversarial.create(config, dcgan.Critic()).separate_batches
  coupled = adversarial.create(config, Linear(), couples_examples=True)
  assert coupled.separate_batches
  config = load_config("wgan_gp")
  it = adversarial.create(config, Linear())
  (loss, metrics), _ = critic_loss(it)
  (free, _), _ = critic_loss(objective(losses.wasserstein))
  np.testing.assert_allclose(loss - free, 10 * metrics["penalty"], rtol=1e-5)
