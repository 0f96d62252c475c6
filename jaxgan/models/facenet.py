"""FaceNet: Inception-ResNet-v1, whose features tell faces apart.

Schroff et al. 2015 (arXiv:1503.03832) and Szegedy et al. 2016
(arXiv:1602.07261), in the form of the published PyTorch weights, of VGGFace2
and CASIA-WebFace, whose names the modules bear.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxgan.game import AXIS

SIDE = 160  # of the faces that the published weights are for
FEATURES = 512
REPEATS = 5, 10, 5  # of the blocks at each of three scales
EPSILON = 1e-3


class Unit(nn.Module):
  """Convolution, batch norm, ReLU.

  Attributes:
    features: channels of the result.
    kernel_size: height and width.
    stride: in both directions.
    padding: "SAME" or "VALID".
    train: whether batch norm uses the batch's own statistics.
    dtype: of the arithmetic.
  """

  features: int
  kernel_size: tuple[int, int]
  stride: int = 1
  padding: str = "SAME"
  train: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.Conv(
      self.features,
      self.kernel_size,
      self.stride,
      self.padding,
      use_bias=False,
      dtype=self.dtype,
      name="conv",
    )(x)
    return nn.relu(_batch_norm(self.train, self.dtype, "bn")(x))


class Residual(nn.Module):
  """`x + scale * conv(branches of x)`, with a ReLU at the end.

  Attributes:
    branches: chains of units, each by features and kernel size.
    scale: of what is added.
    relu: whether to end with one.
    train: see `Unit`.
    dtype: see `Unit`.
  """

  branches: tuple[tuple[tuple[int, tuple[int, int]], ...], ...]
  scale: float
  relu: bool = True
  train: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    unit = partial(Unit, train=self.train, dtype=self.dtype)
    y = [_chain(unit, i, links, x) for i, links in enumerate(self.branches)]
    y = nn.Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="conv2d")(
      jnp.concatenate(y, -1)
    )
    x = x + self.scale * y
    return nn.relu(x) if self.relu else x


class Reduction(nn.Module):
  """Branches that halve the image, and a maximum beside them.

  Attributes:
    branches: as of `Residual`; the last unit of each has stride 2.
    train: see `Unit`.
    dtype: see `Unit`.
  """

  branches: tuple[tuple[tuple[int, tuple[int, int]], ...], ...]
  train: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    unit = partial(Unit, train=self.train, dtype=self.dtype)
    last = {"stride": 2, "padding": "VALID"}
    y = [
      _chain(unit, i, links, x, **last) for i, links in enumerate(self.branches)
    ]
    return jnp.concatenate([*y, nn.max_pool(x, (3, 3), (2, 2))], -1)


class Classifier(nn.Module):
  """`images [B, H, W, 3] -> features [B, 512], logits [B, K]`.

  The images are faces in [-1, 1], of 160x160 pixels for the published weights,
  and are brought to the scale that these were trained with, (x - 127.5) / 128
  of values up to 255. The features have length 1.

  Attributes:
    classes: K; 8631 people of VGGFace2, 10575 of CASIA-WebFace.
    dtype: of the arithmetic.
  """

  classes: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    kinds = {"train": train, "dtype": self.dtype}
    unit = partial(Unit, **kinds)
    valid = {"padding": "VALID"}
    x = images * (127.5 / 128)
    x = unit(32, (3, 3), 2, **valid, name="conv2d_1a")(x)
    x = unit(32, (3, 3), **valid, name="conv2d_2a")(x)
    x = unit(64, (3, 3), name="conv2d_2b")(x)
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = unit(80, (1, 1), name="conv2d_3b")(x)
    x = unit(192, (3, 3), **valid, name="conv2d_4a")(x)
    x = unit(256, (3, 3), 2, **valid, name="conv2d_4b")(x)
    repeats = iter(REPEATS)
    for i in range(next(repeats)):
      x = Residual(_REPEAT_1, 0.17, **kinds, name=f"repeat_1.{i}")(x)
    x = Reduction(_MIXED_6A, **kinds, name="mixed_6a")(x)
    for i in range(next(repeats)):
      x = Residual(_REPEAT_2, 0.1, **kinds, name=f"repeat_2.{i}")(x)
    x = Reduction(_MIXED_7A, **kinds, name="mixed_7a")(x)
    for i in range(next(repeats)):
      x = Residual(_REPEAT_3, 0.2, **kinds, name=f"repeat_3.{i}")(x)
    x = Residual(_REPEAT_3, 1.0, relu=False, **kinds, name="block8")(x)
    x = x.mean((1, 2))
    x = nn.Dense(
      FEATURES, use_bias=False, dtype=self.dtype, name="last_linear"
    )(x)
    x = _batch_norm(train, self.dtype, "last_bn")(x)
    x = x.astype(jnp.float32)
    logits = nn.Dense(self.classes, name="logits")(x)
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * lax.rsqrt(jnp.maximum(square, 1e-24)), logits


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


def _chain(
  unit: Callable[..., nn.Module],
  branch: int,
  links: tuple[tuple[int, tuple[int, int]], ...],
  x: jax.Array,
  **last: Any,
) -> jax.Array:
  for i, link in enumerate(links):
    name = f"branch{branch}.{i}" if len(links) > 1 else f"branch{branch}"
    x = unit(*link, **(last if i == len(links) - 1 else {}), name=name)(x)
  return x


def _batch_norm(train: bool, dtype: Any, name: str) -> nn.Module:
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    epsilon=EPSILON,
    dtype=dtype,
    axis_name=AXIS,
    name=name,
  )
