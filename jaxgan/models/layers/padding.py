"""Images of any size for networks that halve them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.errors import InputError


def reflect(x: jax.Array, pad: int) -> jax.Array:
  """Images `[B, H, W, C]` with `pad` more pixels on each side, reflected."""
  edge = (pad, pad)
  return jnp.pad(x, ((0, 0), edge, edge, (0, 0)), mode="reflect")


def fit(
  x: jax.Array, multiple: int, least: int = 2
) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
  """Enlarges images by reflection until both sides are multiples.

  Args:
    x: `[B, H, W, C]`.
    multiple: of what.
    least: side of the smallest image that the network takes.

  Returns:
    The larger images, and a function that cuts images of their size back to
    `[B, H, W, ...]`.

  Raises:
    InputError: where a side is too small; reflection adds less than a side.
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
