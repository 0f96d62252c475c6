"""The order of examples: shuffled, and a function of the seed alone."""

import hashlib
from typing import Any

import jax
import numpy as np


def shuffled_indices(
  seed: int, positions: np.ndarray | jax.Array, length: int, xp: Any = np
) -> np.ndarray | jax.Array:
  """Returns the indices at `positions` of an endless shuffled sequence.

  The sequence is one permutation of `length` examples after the other, epoch e
  being drawn from (seed, e). A permutation is a Feistel network on the bits
  of an index, repeated where the result is no index (cycle walking), so that
  it costs the same everywhere and needs no memory.

  Args:
    seed: any integer.
    positions: of 0 or more, `[n]`; on a device below 2^32, as uint32.
    length: of an epoch.
    xp: `numpy`, or `jax.numpy` within a compiled function.
  """
  epochs = (positions // length).astype("uint32")
  half = np.uint32(max(1, -(-(length - 1).bit_length() // 2)))
  mask = np.uint32((1 << int(half)) - 1)
  keys = []
  for i in range(6):
    salt = hashlib.sha256(f"{seed} {i}".encode()).digest()
    keys.append(_mix(epochs ^ np.uint32(int.from_bytes(salt[:4], "big"))))

  def permute(x):
    left, right = x >> half, x & mask
    for key in keys:
      left, right = right, left ^ (_mix(right ^ key) & mask)
    return left << half | right

  def outside(x):
    return (x >= np.uint32(length)).any()

  def again(x):
    return xp.where(x >= np.uint32(length), permute(x), x)

  indices = permute((positions % length).astype("uint32"))
  if xp is np:
    while outside(indices):
      indices = again(indices)
    return indices.astype("int64")
  return jax.lax.while_loop(outside, again, indices).astype("int32")


def _mix(x: Any) -> Any:
  """Maps uint32 one to one, so that every bit depends on every other."""
  x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
  x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
  return x ^ (x >> np.uint32(16))
