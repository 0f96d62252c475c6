"""Gradient penalties, by `jax.grad` of the critic in its input.

Each is a function `(critic, real, fake, rng) -> scalar` without its weight:
`critic` maps images `[B, H, W, C]` (or points `[B, D]`) to logits, of any
shape with one row for each example; `rng` is a key.
The critic must treat the examples of a batch independently (no batch norm): row
i of the gradient of the sum of its outputs is then that of example i.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.game import example_keys, pmean

CriticFn = Callable[[Array], Array]


def _squared_norms(critic: CriticFn, x: Array) -> Array:
  """Squared norm `[B]`, over all of an example, of the critic's gradient."""
  grads = jax.grad(lambda x: critic(x).sum())(x)
  return jnp.square(grads).sum(range(1, x.ndim))


def _norms(critic: CriticFn, x: Array) -> Array:
  """Norm `[B]`, over all of an example, of the critic's gradient."""
  squared = _squared_norms(critic, x)
  # The square root has no derivative at 0; a critic that is flat at x has the
  # norm 0 there and gets no gradient from it, instead of NaN.
  flat = squared == 0
  return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squared)))


def _between(real: Array, fake: Array, rng: Array) -> Array:
  """Real + e (fake - real), with one e ~ U(0, 1) for each example."""
  mix = jax.vmap(jax.random.uniform)(example_keys(rng, real.shape[0]))
  return real + mix.reshape(-1, *[1] * (real.ndim - 1)) * (fake - real)


def wgan_gp(critic: CriticFn, real: Array, fake: Array, rng: Array) -> Array:
  """E `(|grad D(x)| - 1)^2` on lines between real and generated examples.

  Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3.
  """
  norms = _norms(critic, _between(real, fake, rng))
  return jnp.square(norms - 1).mean()


def dragan(critic: CriticFn, real: Array, fake: Array, rng: Array) -> Array:
  """E `(|grad D(x)| - 1)^2` around real examples.

  Kodali et al. 2017 (arXiv:1705.07215), algorithm 1, as their code has it:
  x = real + e d with d = 0.5 std(batch) u, where u ~ U(0, 1) is drawn for
  every pixel, and e ~ U(0, 1) for each example.
  """
  del fake

  def noise(key: Array) -> Array:
    mix_key, noise_key = jax.random.split(key)
    u = jax.random.uniform(noise_key, real.shape[1:])
    return jax.random.uniform(mix_key) * u

  mean = pmean(real.mean())
  std = jnp.sqrt(pmean(jnp.square(real - mean).mean()))
  keys = example_keys(rng, real.shape[0])
  norms = _norms(critic, real + 0.5 * std * jax.vmap(noise)(keys))
  return jnp.square(norms - 1).mean()


def r1(critic: CriticFn, real: Array, fake: Array, rng: Array) -> Array:
  """E `|grad D(x)|^2` / 2 on real examples.

  Mescheder et al. 2018 (arXiv:1801.04406), eq. 9, gamma being the weight.
  """
  del fake, rng
  return 0.5 * _squared_norms(critic, real).mean()


def r2(critic: CriticFn, real: Array, fake: Array, rng: Array) -> Array:
  """E `|grad D(x)|^2` / 2 on generated examples (the same, eq. 10)."""
  del real, rng
  return 0.5 * _squared_norms(critic, fake).mean()


def r1_r2(critic: CriticFn, real: Array, fake: Array, rng: Array) -> Array:
  """The sum of `r1` and `r2`: Huang et al. 2024 (arXiv:2501.05441)."""
  return r1(critic, real, fake, rng) + r2(critic, real, fake, rng)
