"""Images of any size for networks that halve them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.errors import InputError


def reflect(x: jax.Array, pad: int) -> jax.Array:
  """Reflects `pad` more pixels on each side of images `[B, H, W, C]`."""
  edge = (pad, pad)
  return jnp.pad(x, ((0, 0), edge, edge, (0, 0)), mode="reflect")


def pad_to_multiple(
  x: jax.Array, multiple: int, least: int = 2
) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
  """Enlarges images `[B, H, W, C]` by reflection to sides of a multiple.

  Returns:
    The larger images, and a function that cuts images of their size back to
    `[B, H, W, ...]`.

  Raises:
    InputError: where a side is below `least`, or reflection, which adds less
      than a side, cannot do it.
  """
  sides = x.shape[1:3]
  least = max(least, -(-(multiple + 2) // 3))
  if min(sides) < least:
    raise InputError(
      f"images of {sides[0]}x{sides[1]} are too small for this generator: "
      f"give sides of {least} or more, or a generator with fewer halvings"
    )
  edges = [(-side % multiple // 2, -(side % -multiple // 2)) for side in sides]
  (top, _), (left, _) = edges
  if any(map(any, edges)):
    x = jnp.pad(x, ((0, 0), *edges, (0, 0)), mode="reflect")

  def cut(y: jax.Array) -> jax.Array:
    return y[:, top : top + sides[0], left : left + sides[1]]

  return x, cut
