"""Convolutions of 3x3 with 4/9 of the products: Winograd's.

After Lavin and Gray 2015 (arXiv:1509.09308), F(2x2, 3x3) of section 4.1: a tile
of 4x4 pixels, which overlaps its neighbours by two, makes 2x2 results. Tiles
and kernels are transformed by small matrices and multiplied entry by entry,
which over all tiles and channels is 16 matrix products. In float32, results are
as accurate as the plain sums.

The three functions are those of `convolutions.py` at stride 1, without padding,
for results of even sides.
"""

import operator
from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# B^T, G and A^T of the paper.
_TILE = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_KERNEL = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2
_RESULT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

Grid = Sequence[Sequence[jax.Array]]


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """`[B, H + 2, W + 2, C]`, `[3, 3, C, F]` -> `[B, H, W, F]`."""
  products = _product(_of_tiles(x), _of_kernel(kernel), 2, 1)
  size = x.shape[0], x.shape[1] // 2 - 1, x.shape[2] // 2 - 1
  return _interleave(_transform(_RESULT, _grid(products, *size)))


def conv_transpose(y: jax.Array, kernel: jax.Array) -> jax.Array:
  """`[B, H, W, F]`, `[3, 3, C, F]` -> `[B, H + 2, W + 2, C]`."""
  products = _product(_of_result(y), _of_kernel(kernel), 2, 2)
  size = y.shape[0], y.shape[1] // 2, y.shape[2] // 2
  tiles = _transform(_TILE.T, _grid(products, *size))

  def overlap(first: jax.Array, second: jax.Array, axis: int) -> jax.Array:
    """Adds the second half of each tile to the first half of the next."""
    edges = [[(0, 0)] * 4 for _ in range(2)]
    edges[0][axis], edges[1][axis] = (0, 1), (1, 0)
    return jnp.pad(first, edges[0]) + jnp.pad(second, edges[1])

  rows = [
    [overlap(tiles[i][j], tiles[i + 2][j], 1) for j in range(4)]
    for i in range(2)
  ]
  return _interleave(
    [[overlap(row[j], row[j + 2], 2) for j in range(2)] for row in rows]
  )


def conv_kernel_grad(x: jax.Array, y: jax.Array) -> jax.Array:
  """`[B, H + 2, W + 2, C]`, `[B, H, W, F]` -> `[3, 3, C, F]`."""
  products = _product(_of_tiles(x), _of_result(y), 1, 1)
  kernel = _transform(_KERNEL.T, _grid(products, *products.shape[1:2]))
  return jnp.stack([jnp.stack(row) for row in kernel])


def _of_tiles(x: jax.Array) -> jax.Array:
  height, width = x.shape[1] - 2, x.shape[2] - 2
  tiles = [
    [x[:, i : i + height : 2, j : j + width : 2] for j in range(4)]
    for i in range(4)
  ]
  return _flat(_transform(_TILE, tiles))


def _of_result(y: jax.Array) -> jax.Array:
  phases = [[y[:, i::2, j::2] for j in range(2)] for i in range(2)]
  return _flat(_transform(_RESULT.T, phases))


def _of_kernel(kernel: jax.Array) -> jax.Array:
  return _flat(_transform(_KERNEL, kernel))


def _transform(matrix: np.ndarray, grid: Grid) -> Grid:
  """`matrix grid matrix^T`, each entry of the grid an array."""
  columns = [_times(matrix, column) for column in zip(*grid, strict=True)]
  return [_times(matrix, row) for row in zip(*columns, strict=True)]


def _times(matrix: np.ndarray, entries: Sequence[jax.Array]) -> list[jax.Array]:
  return [
    reduce(
      operator.add,
      [float(c) * x for c, x in zip(row, entries, strict=True) if c],
    )
    for row in matrix
  ]


def _flat(grid: Grid) -> jax.Array:
  """`[16, N, C]`, of a grid of `[..., C]`."""
  return jnp.stack([x.reshape(-1, x.shape[-1]) for row in grid for x in row])


def _grid(products: jax.Array, *size: int) -> Grid:
  """Inverts `_flat`: entries `[*size, C]`."""
  return products.reshape(4, 4, *size, products.shape[2])


def _product(x: jax.Array, y: jax.Array, *axes: int) -> jax.Array:
  """16 matrix products, summed over these axes."""
  # Without barriers, operands would be transformed anew for each block of the
  # product, and the product made anew for each reader.
  x, y = lax.optimization_barrier((x, y))
  contracted = tuple((axis,) for axis in axes)
  products = lax.dot_general(x, y, (contracted, ((0,), (0,))))
  return lax.optimization_barrier(products)


def _interleave(phases: Grid) -> jax.Array:
  """`[B, 2 H, 2 W, C]`, of a 2x2 grid of `[B, H, W, C]`."""
  x = jnp.stack([jnp.stack(row, 3) for row in phases], 2)
  b, h, _, w, _, c = x.shape
  return x.reshape(b, 2 * h, 2 * w, c)
