"""Latents, from which a generator makes samples: drawn, truncated, mixed."""

import jax
import jax.numpy as jnp

from jaxgan.checks import one_of, positive

PRIORS = {
  "normal": jax.random.normal,
  "uniform": lambda key, shape: jax.random.uniform(
    key, shape, minval=-1.0, maxval=1.0
  ),
}


def draw(prior: str, keys: jax.Array, size: int) -> jax.Array:
  """Draws latents `[B, size]` from a prior of `PRIORS`, one for each key.

  Raises:
    InputError: for another prior or size.
  """
  one_of("latent", prior, PRIORS)
  positive(latent_size=size)
  return jax.vmap(lambda key: PRIORS[prior](key, (size,)))(keys)


def truncate(prior: str, latents: jax.Array, bound: float) -> jax.Array:
  """Bounds the entries of latents `[..., Z]` in absolute value.

  The truncation trick (Brock et al. 2019, arXiv:1809.11096, section 3.1), but
  instead of drawing again, each entry becomes the same quantile of the
  truncated prior, so that a sample changes continuously with the bound, which
  is above 0 and for the uniform prior at most 1.
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
  """Returns latents `[..., T, Z]` from `a` to `b [..., Z]`, at shares `t [T]`.

  They lie on a line for the uniform prior. For the normal one they lie on the
  arc (White 2016, arXiv:1609.04468), since the middle of the line is shorter
  than draws of the prior; lengths go evenly from one to the other.
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
