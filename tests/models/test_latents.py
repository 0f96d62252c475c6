import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.models import latents


@pytest.mark.parametrize(
  ("prior", "variance"), [("normal", 1), ("uniform", 1 / 3)]
)
def test_draws(prior, variance):
  keys = jax.random.split(jax.random.key(0), 500)
  z = latents.draw(prior, keys, 40)
  assert z.shape == (500, 40)
  np.testing.assert_allclose(z.mean(), 0, atol=0.03)
  np.testing.assert_allclose(z.var(), variance, rtol=0.03)
  # A latent belongs to its key, not to its batch.
  np.testing.assert_array_equal(latents.draw(prior, keys[7:9], 40), z[7:9])


def ends(prior):
  keys = jax.random.split(jax.random.key(1), 6)
  z = latents.draw(prior, keys, 100).reshape(2, 3, 100)
  return z[0], z[1]


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_interpolation_meets_its_ends(prior):
  a, b = ends(prior)
  way = latents.interpolate(prior, a, b, jnp.linspace(0, 1, 5))
  assert way.shape == (3, 5, 100)
  np.testing.assert_allclose(way[:, 0], a, atol=1e-5)
  np.testing.assert_allclose(way[:, -1], b, atol=1e-5)


def test_uniform_latents_go_straight():
  a, b = ends("uniform")
  way = latents.interpolate("uniform", a, b, jnp.array([0.25]))
  np.testing.assert_allclose(way[:, 0], 0.75 * a + 0.25 * b, atol=1e-6)


def test_normal_latents_go_along_the_arc():
  # A quarter of the circle, in equal angles, and from length 1 to 3.
  a, b = jnp.array([1.0, 0.0]), jnp.array([0.0, 3.0])
  t = jnp.linspace(0, 1, 7)
  way = latents.interpolate("normal", a, b, t)
  angle = np.pi / 2 * t
  expected = np.stack([np.cos(angle), np.sin(angle)], 1) * (1 + 2 * t)[:, None]
  np.testing.assert_allclose(way, expected, atol=1e-6)
  # In many dimensions the length stays what the prior draws.
  a, b = ends("normal")
  way = latents.interpolate("normal", a, b, t)
  lengths = np.linalg.norm(way, axis=-1)
  assert (np.abs(lengths - 10) < 2.5).all()
  assert np.linalg.norm((a + b) / 2, axis=-1).max() < 8.5


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-7, -1.0])
def test_degenerate_directions_stay_finite(factor):
  a = ends("normal")[0]
  way = latents.interpolate("normal", a, factor * a, jnp.linspace(0, 1, 5))
  assert np.isfinite(way).all()
  if factor > 0:
    np.testing.assert_allclose(
      way, np.broadcast_to(a[:, None], way.shape), atol=1e-4
    )


@pytest.mark.parametrize("bound", [0.1, 1.0, 3.0])
def test_truncation_of_a_prior(bound):
  keys = jax.random.split(jax.random.key(0), 4000)
  normal = latents.draw("normal", keys, 2)
  found = latents.truncate("normal", normal, bound)
  assert jnp.abs(found).max() <= bound
  order = jnp.argsort(normal[:, 0])
  assert (jnp.diff(found[order, 0]) >= 0).all()
  # Quantiles of the normal distribution within the bound.
  inside = normal[jnp.abs(normal) <= bound]
  for q in (0.1, 0.3, 0.5, 0.9):
    np.testing.assert_allclose(
      jnp.quantile(found, q), jnp.quantile(inside, q), atol=0.07 * bound
    )
  uniform = latents.draw("uniform", keys, 2)
  np.testing.assert_array_equal(
    latents.truncate("uniform", uniform, 0.25), 0.25 * uniform
  )
  np.testing.assert_allclose(
    latents.truncate("normal", normal, 20.0), normal, atol=2e-4
  )
