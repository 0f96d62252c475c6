"""Inception-v3 in the form whose features define FID, and its input.

Szegedy et al. 2015 (arXiv:1512.00567). The network that the metrics use is
TensorFlow's of 2015-12-05, which differs from later ones: 1008 classes, means
that leave out the padding, and a maximum in the last block's pool.

The modules bear the names of the published PyTorch weights.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxgan.models.layers.conv_bn import ConvBNReLU

SIDE = 299  # of the network's input

# The chains of convolutions that see a block's input side by side. A link is
# its channels and the kernels of convolutions that see the same map.
Branches = Mapping[str, tuple[tuple, ...]]


def _mixed_5(pool: int) -> Branches:
  return {
    "branch1x1": ((64, (1, 1)),),
    "branch5x5": ((48, (1, 1)), (64, (5, 5))),
    "branch3x3dbl": ((64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
    "branch_pool": ((pool, (1, 1)),),
  }


_MIXED_6A = {
  "branch3x3": ((384, (3, 3)),),
  "branch3x3dbl": ((64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
  "branch_pool": (),
}


def _mixed_6(width: int) -> Branches:
  return {
    "branch1x1": ((192, (1, 1)),),
    "branch7x7": ((width, (1, 1)), (width, (1, 7)), (192, (7, 1))),
    "branch7x7dbl": (
      (width, (1, 1)), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)),
      (192, (1, 7)),
    ),
    "branch_pool": ((192, (1, 1)),),
  }  # fmt: skip


_MIXED_7A = {
  "branch3x3": ((192, (1, 1)), (320, (3, 3))),
  "branch7x7x3": ((192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3))),
  "branch_pool": (),
}

_MIXED_7 = {
  "branch1x1": ((320, (1, 1)),),
  "branch3x3": ((384, (1, 1)), (384, (1, 3), (3, 1))),
  "branch3x3dbl": ((448, (1, 1)), (384, (3, 3)), (384, (1, 3), (3, 1))),
  "branch_pool": ((192, (1, 1)),),
}


# Published figures are of float32, which is not every device's default.
Unit = partial(ConvBNReLU, precision="highest")


class Block(nn.Module):
  """Branches side by side, `[B, H, W, C] -> [B, H', W', D]`.

  Attributes:
    branches: see `Branches`; "branch_pool" begins with a 3x3 pool.
    reduce: whether every branch ends with stride 2 and without padding.
    max_pool: whether the pool takes the maximum, not the mean.
  """

  branches: Branches
  reduce: bool = False
  max_pool: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    ending = (2, "VALID") if self.reduce else (1, "SAME")

    def pool(x):
      stride, padding = ending
      window = (3, 3), (stride, stride), padding
      if self.max_pool:
        return nn.max_pool(x, *window)
      return nn.avg_pool(x, *window, count_include_pad=False)

    results = []
    for branch, links in self.branches.items():
      y = pool(x) if branch == "branch_pool" else x
      for i, (features, *kernels) in enumerate(links, start=1):
        name = f"{branch}_{i}" if len(links) > 1 else branch
        form = ending if i == len(links) else ()
        letters = "ab" if len(kernels) > 1 else [""]
        parts = [
          Unit(features, kernel, *form, name=name + letter)(y)
          for kernel, letter in zip(kernels, letters, strict=True)
        ]
        y = jnp.concatenate(parts, axis=-1)
      results.append(y)
    return jnp.concatenate(results, axis=-1)


class Inception(nn.Module):
  """`images [B, 299, 299, 3] -> features [B, 2048], logits [B, 1008]`.

  The images are in [-1, 1), as `resize` makes them. The features are the means
  of the last map. The logits lack the bias, as in the Inception score of
  torch-fidelity. For inference alone.
  """

  @nn.compact
  def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = Unit(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(images)
    x = Unit(32, (3, 3), padding="VALID", name="Conv2d_2a_3x3")(x)
    x = Unit(64, (3, 3), name="Conv2d_2b_3x3")(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = Unit(80, (1, 1), name="Conv2d_3b_1x1")(x)
    x = Unit(192, (3, 3), padding="VALID", name="Conv2d_4a_3x3")(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    for letter, pool in (("b", 32), ("c", 64), ("d", 64)):
      x = Block(_mixed_5(pool), name=f"Mixed_5{letter}")(x)
    x = Block(_MIXED_6A, reduce=True, max_pool=True, name="Mixed_6a")(x)
    for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
      x = Block(_mixed_6(width), name=f"Mixed_6{letter}")(x)
    x = Block(_MIXED_7A, reduce=True, max_pool=True, name="Mixed_7a")(x)
    x = Block(_MIXED_7, name="Mixed_7b")(x)
    x = Block(_MIXED_7, max_pool=True, name="Mixed_7c")(x)
    x = x.mean((1, 2))
    fc = nn.Dense(1008, use_bias=False, precision="highest", name="fc")
    return x, fc(x)


def resize(images: jax.Array) -> jax.Array:
  """Returns uint8 `[B, H, W, 1 or 3]` as `[B, 299, 299, 3]` in [-1, 1).

  Bilinear as in TensorFlow 1, at destination * size / 299: neither centred
  pixels nor smoothing before a reduction. The metrics are defined by it.

  Raises:
    TypeError: for images that are not uint8.
    ValueError: for another number of channels.
  """
  if images.dtype != jnp.uint8:
    raise TypeError(f"images of uint8 are needed, not of {images.dtype}")
  x = jnp.einsum(
    "yh,bhwc,xw->byxc",
    _interpolation(images.shape[1]),
    jnp.asarray(images, jnp.float32),
    _interpolation(images.shape[2]),
    precision="highest",
  )
  return (jnp.broadcast_to(x, (*x.shape[:3], 3)) - 128) / 128


def _interpolation(size: int) -> np.ndarray:
  """Returns the matrix `[299, size]` of linear interpolation of one side."""
  # In float32 as in TensorFlow: of a long side, its rounding shows.
  at = np.arange(SIDE, dtype=np.float32) * np.float32(size / SIDE)
  at = np.minimum(at, np.float32(size - 1))
  pixels = np.arange(size, dtype=np.float32)
  return np.maximum(0, 1 - np.abs(at[:, None] - pixels))
