"""Convolution, batch norm and ReLU, named as in published PyTorch weights."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.game import AXIS


class ConvBNReLU(nn.Module):
  """`[B, H, W, C] -> [B, H', W', features]`, the convolution without bias.

  Attributes: as of Flax's `Conv`; see `batch_norm` for `train`.
  """

  features: int
  kernel_size: tuple[int, int]
  stride: int = 1
  padding: str = "SAME"
  train: bool = False
  precision: str | None = None
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
      precision=self.precision,
      name="conv",
    )(x)
    return nn.relu(batch_norm(self.train, self.dtype, "bn")(x))


def batch_norm(train: bool, dtype: Any, name: str) -> nn.BatchNorm:
  """Returns a batch norm; if `train`, of the statistics of all devices."""
  return nn.BatchNorm(
    not train,
    axis_name=AXIS,
    momentum=0.9,
    epsilon=1e-3,
    dtype=dtype,
    name=name,
  )
