"""DCGAN: stacks of stride-2 convolutions.

Radford et al. 2016 (arXiv:1511.06434), and with `kernel_size=5` the DCGAN-like
networks of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028).

For images of side S = 2^n the generator goes from 4x4 to S by n - 2 transposed
convolutions, the critic back; for S = 3 * 2^n, from 6x6. The first and last
layer, 4x4 convolutions of a 1x1 and a 4x4 map in the reference, are matrix
products here: the same function with as many parameters.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.errors import InputError
from jaxgan.models.layers.conv import Conv, ConvTranspose, dense
from jaxgan.models.layers.minibatch_discrimination import (
  MinibatchDiscrimination,
)
from jaxgan.models.layers.norms import normalize, spectral


def doublings(shape: tuple[int, ...], sizes: tuple[int, ...]) -> int:
  """Returns how many doublings lead from 4x4, or 6x6, to images of `shape`.

  Raises:
    InputError: where `shape` is not square with a side among `sizes`.
  """
  if len(shape) != 3 or shape[0] != shape[1] or shape[0] not in sizes:
    raise InputError(
      f"this network makes images of side {', '.join(map(str, sizes))}, not "
      f"{'x'.join(map(str, shape))}: set data.image_size to one of these"
    )
  return shape[0].bit_length() - 3


SIZES = (16, 24, 32, 48, 64, 96, 128)


class Generator(nn.Module):
  """`z [B, Z] -> images [B, S, S, C]` in [-1, 1].

  Attributes:
    shape: `(S, S, C)`, S one of `SIZES`.
    width: channels of the last hidden layer, doubled by each layer before.
    kernel_size: 4, or 5 as in WGAN-GP.
    use_bias: whether layers have biases where no batch norm follows; DCGAN's
      have none.
  """

  shape: tuple[int, int, int]
  width: int = 64
  kernel_size: int = 4
  norm: str = "batch"
  use_bias: bool = False
  kernel_init: str = "normal"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: jax.Array, train: bool) -> jax.Array:
    n = doublings(self.shape, SIZES)
    positive(width=self.width, kernel_size=self.kernel_size)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    hidden_bias = self.use_bias and self.norm != "batch"

    def activate(x):
      return nn.relu(normalize(self.norm, x, train, self.dtype))

    features, side = self.width * 2 ** (n - 1), self.shape[0] >> n
    x = dense(side**2 * features, hidden_bias, **common)(z)
    x = activate(x.reshape(-1, side, side, features))
    for _ in range(n - 1):
      features //= 2
      x = ConvTranspose(features, self.kernel_size, hidden_bias, **common)(x)
      x = activate(x)
    channels = self.shape[-1]
    x = ConvTranspose(channels, self.kernel_size, self.use_bias, **common)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Critic(nn.Module):
  """`images [B, S, S, C] -> logits [B]`, or `[B, outputs]` for several.

  Attributes: as of `Generator`; `width` is that of the first layer, which has
  no norm.
  """

  width: int = 64
  kernel_size: int = 4
  norm: str = "batch"
  spectral_norm: bool = False
  use_bias: bool = False
  minibatch: tuple[int, int] | None = None
  outputs: int = 1
  kernel_init: str = "normal"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    positive(width=self.width, kernel_size=self.kernel_size)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    for i in range(doublings(x.shape[1:], SIZES)):
      norm = self.norm if i else "none"
      use_bias = self.use_bias and norm != "batch"
      features = self.width * 2**i
      layer = Conv(features, self.kernel_size, use_bias, stride=2, **common)
      x = spectral(self.spectral_norm, layer, train)(x)
      x = nn.leaky_relu(normalize(norm, x, train, self.dtype), 0.2)
      self.sow("intermediates", f"hidden_{i}", x)
    x = x.reshape(x.shape[0], -1)
    if self.minibatch:
      x = MinibatchDiscrimination(*self.minibatch, self.kernel_init)(x)
    layer = dense(self.outputs, self.use_bias, **common)
    x = spectral(self.spectral_norm, layer, train)(x).astype(jnp.float32)
    return x[:, 0] if self.outputs == 1 else x
