"""The pool of generated images of Shrivastava et al. 2017 (arXiv:1612.07828).

The critic sees older images, too, so that the generator cannot return to what
once deceived it. As CycleGAN's code has it: the pool takes the first images;
then half of the new ones pass, and each other one is swapped with one in the
pool.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.game import AXIS


class Pool(NamedTuple):
  """Images and how many there are; the same on all devices."""

  images: jax.Array  # [N, H, W, C]; N is 0 where there is no pool
  count: jax.Array  # int32 scalar; rows from it on are empty


def create(size: int, shape: tuple[int, ...]) -> Pool:
  """Returns an empty pool for `size` images of `shape`."""
  return Pool(jnp.zeros((size, *shape)), jnp.int32(0))


def query(
  pool: Pool, images: jax.Array, rng: jax.Array
) -> tuple[jax.Array, Pool]:
  """Exchanges images `[B, H, W, C]` with the pool, within a mapped step.

  `rng` is the same on all devices.

  Returns:
    The images for the critic, and the pool after those of all devices, in the
    order of the global batch.
  """
  size = len(pool.images)
  if size == 0:
    return images, pool
  everyone = lax.all_gather(images, AXIS, tiled=True)
  swaps = jax.random.bernoulli(rng, 0.5, (len(everyone),))
  places = jax.random.randint(jax.random.fold_in(rng, 1), swaps.shape, 0, size)

  def one(pool: Pool, inputs: tuple[jax.Array, ...]):
    image, swap, place = inputs
    filling = pool.count < size
    place = jnp.where(filling, pool.count, place)
    old = pool.images[place]
    stored = jnp.where(filling | swap, image, old)
    result = jnp.where(filling | ~swap, image, old)
    count = jnp.minimum(pool.count + 1, size)
    return Pool(pool.images.at[place].set(stored), count), result

  pool, results = lax.scan(one, pool, (everyone, swaps, places))
  first = lax.axis_index(AXIS) * len(images)
  return lax.dynamic_slice_in_dim(results, first, len(images)), pool
