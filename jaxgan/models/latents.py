"""Latents: what a generator makes its samples from."""

import jax
import jax.numpy as jnp

from jaxgan.checks import one_of

PRIORS = {
  "normal": jax.random.normal,
  "uniform": lambda key, shape: jax.random.uniform(
    key, shape, minval=-1.0, maxval=1.0
  ),
}


def draw(prior: str, keys: jax.Array, size: int) -> jax.Array:
  """Returns latents `[B, size]` from a prior of `PRIORS`, one for each key.

  Raises:
    InputError: for another prior.
  """
  one_of("latent", prior, PRIORS)
  return jax.vmap(lambda key: PRIORS[prior](key, (size,)))(keys)


def truncate(prior: str, latents: jax.Array, bound: float) -> jax.Array:
  """Latents with no entry above `bound` in absolute value.

  The truncation trick (Brock et al. 2019, arXiv:1809.11096, section 3.1), by
  quantiles in place of drawing again: an entry of the prior becomes one of the
  prior within the bounds, in the same order, so that a sample moves gradually
  with the bound.

  Args:
    prior: of `PRIORS`.
    latents: drawn from it, `[..., Z]`.
    bound: above 0; of the uniform prior, at most 1.
  """
  if prior == "uniform":
    return bound * latents
  inside = jax.scipy.stats.norm.cdf(bound) - 0.5
  share = jax.scipy.stats.norm.cdf(latents) - 0.5
  moved = jax.scipy.stats.norm.ppf(0.5 + 2 * inside * share)
  # In the far tails, where shares round to 0 or 1.
  return jnp.clip(moved, -bound, bound)


def interpolate(
  prior: str, a: jax.Array, b: jax.Array, t: jax.Array
) -> jax.Array:
  """Latents from `a` to `b`, both `[..., Z]`, at shares `t [T]` of the way.

  Straight for the uniform prior. For the normal one along the arc (White
  2016, arXiv:1609.04468), since the middle of a straight line is shorter than
  what the prior draws; lengths go evenly from one to the other.

  Returns:
    `[..., T, Z]`.
  """
  a, b, t = a[..., None, :], b[..., None, :], t[:, None]
  if prior != "normal":
    return a + t * (b - a)
  lengths = [jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
  u, v = a / lengths[0], b / lengths[1]
  angle = jnp.arccos(jnp.clip((u * v).sum(-1, keepdims=True), -1, 1))
  # Of nearly equal directions, the arc is the line; of opposite ones, any
  # arc would do, and this line passes near 0.
  bent = jnp.sin(angle) > 1e-4
  sine = jnp.where(bent, jnp.sin(angle), 1.0)
  arc = (jnp.sin((1 - t) * angle) * u + jnp.sin(t * angle) * v) / sine
  direction = jnp.where(bent, arc, (1 - t) * u + t * v)
  return direction * ((1 - t) * lengths[0] + t * lengths[1])
