"""FaceNet: Inception-ResNet-v1, whose features tell faces apart.

Schroff et al. 2015 (arXiv:1503.03832) and Szegedy et al. 2016
(arXiv:1602.07261), in the form of the published PyTorch weights, of VGGFace2
and CASIA-WebFace, whose names the modules bear.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.models.layers.conv_bn import ConvBNReLU, batch_norm
from jaxgan.models.layers.norms import unit_length

SIDE = 160  # of the faces that the published weights are for
FEATURES = 512
REPEATS = 5, 10, 5  # of the blocks at each of three scales


# Chains of `ConvBNReLU` side by side, each by features and kernel size.
Branches = tuple[tuple[tuple[int, tuple[int, int]], ...], ...]


class Residual(nn.Module):
  """`x + scale * conv(branches of x)`, with a ReLU at the end if `relu`."""

  branches: Branches
  scale: float
  relu: bool = True
  train: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = jnp.concatenate(_side_by_side(self, x), -1)
    y = nn.Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="conv2d")(y)
    x = x + self.scale * y
    return nn.relu(x) if self.relu else x


class Reduction(nn.Module):
  """Branches that halve the image, and a maximum beside them."""

  branches: Branches
  train: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = _side_by_side(self, x, stride=2, padding="VALID")
    return jnp.concatenate([*y, nn.max_pool(x, (3, 3), (2, 2))], -1)


def _side_by_side(
  module: Residual | Reduction, x: jax.Array, **last: Any
) -> list[jax.Array]:
  """Returns the results of the branches, whose last layers differ by `last`."""
  layer = partial(ConvBNReLU, train=module.train, dtype=module.dtype)
  results = []
  for branch, links in enumerate(module.branches):
    y = x
    for i, link in enumerate(links, start=1):
      name = f"branch{branch}.{i - 1}" if len(links) > 1 else f"branch{branch}"
      y = layer(*link, **(last if i == len(links) else {}), name=name)(y)
    results.append(y)
  return results


class Classifier(nn.Module):
  """`images [B, H, W, 3] -> features [B, 512], logits [B, K]`.

  The images are faces in [-1, 1], of 160x160 pixels for the published weights,
  and are brought to the scale that these were trained with, (x - 127.5) / 128
  of values up to 255. The features have length 1.

  K is `classes`; 0 for the features alone, as the imported weights have it.
  """

  classes: int = 0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    kinds = {"train": train, "dtype": self.dtype}
    unit = partial(ConvBNReLU, **kinds)
    valid = {"padding": "VALID"}
    x = images * (127.5 / 128)
    x = unit(32, (3, 3), 2, **valid, name="conv2d_1a")(x)
    x = unit(32, (3, 3), **valid, name="conv2d_2a")(x)
    x = unit(64, (3, 3), name="conv2d_2b")(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = unit(80, (1, 1), name="conv2d_3b")(x)
    x = unit(192, (3, 3), **valid, name="conv2d_4a")(x)
    x = unit(256, (3, 3), 2, **valid, name="conv2d_4b")(x)
    for i in range(REPEATS[0]):
      x = Residual(_REPEAT_1, 0.17, **kinds, name=f"repeat_1.{i}")(x)
    x = Reduction(_MIXED_6A, **kinds, name="mixed_6a")(x)
    for i in range(REPEATS[1]):
      x = Residual(_REPEAT_2, 0.1, **kinds, name=f"repeat_2.{i}")(x)
    x = Reduction(_MIXED_7A, **kinds, name="mixed_7a")(x)
    for i in range(REPEATS[2]):
      x = Residual(_REPEAT_3, 0.2, **kinds, name=f"repeat_3.{i}")(x)
    x = Residual(_REPEAT_3, 1.0, relu=False, **kinds, name="block8")(x)
    last = nn.Dense(FEATURES, False, self.dtype, name="last_linear")
    x = last(x.mean((1, 2)))
    x = batch_norm(train, self.dtype, "last_bn")(x)
    x = x.astype(jnp.float32)
    logits = jnp.zeros((len(x), 0))
    if self.classes:
      logits = nn.Dense(self.classes, name="logits")(x)
    return unit_length(x), logits


_REPEAT_1 = (
  ((32, (1, 1)),),
  ((32, (1, 1)), (32, (3, 3))),
  ((32, (1, 1)), (32, (3, 3)), (32, (3, 3))),
)
_MIXED_6A = (((384, (3, 3)),), ((192, (1, 1)), (192, (3, 3)), (256, (3, 3))))
_REPEAT_2 = (
  ((128, (1, 1)),),
  ((128, (1, 1)), (128, (1, 7)), (128, (7, 1))),
)
_MIXED_7A = (
  ((256, (1, 1)), (384, (3, 3))),
  ((256, (1, 1)), (256, (3, 3))),
  ((256, (1, 1)), (256, (3, 3)), (256, (3, 3))),
)
_REPEAT_3 = (
  ((192, (1, 1)),),
  ((192, (1, 1)), (192, (1, 3)), (192, (3, 1))),
)
