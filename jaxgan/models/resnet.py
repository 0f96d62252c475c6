"""The residual networks of WGAN-GP, which SNGAN uses too.

Gulrajani et al. 2017 (arXiv:1704.00028), appendix F. At 32x32 with widths of
128 they are those of the paper's CIFAR-10 code; other sizes have more or
fewer blocks that resample.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.errors import InputError
from jaxgan.models.dcgan import doublings
from jaxgan.models.layers.conv import Conv, dense
from jaxgan.models.layers.minibatch_discrimination import (
  MinibatchDiscrimination,
)
from jaxgan.models.layers.norms import normalize, spectral

SIZES = (16, 32, 64, 128, 256)


def upsample(x: jax.Array) -> jax.Array:
  """Doubles both sides by repetition: `[B, H, W, C] -> [B, 2H, 2W, C]`."""
  return x.repeat(2, axis=1).repeat(2, axis=2)


def downsample(x: jax.Array) -> jax.Array:
  """Halves both sides by means of 2x2: `[B, H, W, C] -> [B, H/2, W/2, C]`."""
  # Not a reduction: XLA:CPU would fuse the convolutions around it into that,
  # in a slower form.
  rows = x[:, ::2] + x[:, 1::2]
  return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4


class Block(nn.Module):
  """Pre-activated residual block.

  Attributes:
    features: channels of the result.
    resample: "up", "down" or "none".
    first: a critic's first block, whose input is not activated.
  """

  features: int
  resample: str
  first: bool = False
  norm: str = "batch"
  spectral_norm: bool = False
  kernel_init: str = "uniform"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    channels = x.shape[-1]
    up, down = self.resample == "up", self.resample == "down"

    def conv(x, features, kernel_size, gain, use_bias=True, resample="none"):
      layer = Conv(
        features, kernel_size, use_bias, self.kernel_init, gain,
        resample=resample, dtype=self.dtype,
      )  # fmt: skip
      return spectral(self.spectral_norm, layer, train)(x)

    def activate(x):
      return nn.relu(normalize(self.norm, x, train, self.dtype))

    shortcut = x
    if up or down or channels != self.features:
      # A 1x1 convolution commutes with both kinds of resampling, and is
      # cheapest on the smaller image.
      shortcut = downsample(x) if down else x
      shortcut = conv(shortcut, self.features, 1, 1.0)
      shortcut = upsample(shortcut) if up else shortcut

    x = x if self.first else activate(x)
    # A block that reduces widens in its second convolution.
    hidden = channels if down and not self.first else self.features
    use_bias = self.norm != "batch"
    x = conv(x, hidden, 3, 2.0, use_bias, "up" if up else "none")
    x = activate(x)
    x = conv(x, self.features, 3, 2.0, resample="down" if down else "none")
    return shortcut + x


def _check_widths(widths: tuple[int, ...], shape: tuple[int, ...]) -> int:
  n = doublings(shape, SIZES)
  if len(widths) != n + 1:
    raise InputError(
      f"widths={widths}: images of side {shape[0]} need {n + 1} widths"
    )
  positive(widths=widths)
  return n


class Generator(nn.Module):
  """`z [B, Z] -> images [B, S, S, C]` in [-1, 1].

  Attributes:
    shape: `(S, S, C)`, S a power of two from 16 to 256.
    widths: channels of the 4x4 map and of each block, log2(S) - 1 in all.
    spectral_norm: of every block.
  """

  shape: tuple[int, int, int]
  widths: tuple[int, ...] = (128, 128, 128, 128)
  norm: str = "batch"
  spectral_norm: bool = False
  kernel_init: str = "uniform"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: jax.Array, train: bool) -> jax.Array:
    _check_widths(self.widths, self.shape)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    norms = {"norm": self.norm, "spectral_norm": self.spectral_norm}
    x = dense(16 * self.widths[0], **common)(z)
    x = x.reshape(-1, 4, 4, self.widths[0])
    for features in self.widths[1:]:
      x = Block(features, "up", **norms, **common)(x, train)
    x = nn.relu(normalize(self.norm, x, train, self.dtype))
    x = Conv(self.shape[-1], 3, gain=1.0, **common)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Critic(nn.Module):
  """`images [B, S, S, C] -> logits [B]`.

  Attributes: as of `Generator`, but `widths` are those of the blocks: each
  halves the image until it is 8x8, two more keep it, so log2(S) - 1 in all;
  `spectral_norm` is of all layers; `sum_pool` adds up the last map, as SNGAN
  does, in place of the mean.
  """

  widths: tuple[int, ...] = (128, 128, 128, 128)
  norm: str = "none"
  spectral_norm: bool = False
  sum_pool: bool = False
  minibatch: tuple[int, int] | None = None
  kernel_init: str = "uniform"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    n = _check_widths(self.widths, x.shape[1:])
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    norms = {"norm": self.norm, "spectral_norm": self.spectral_norm}
    for i, features in enumerate(self.widths):
      resample = "down" if i < n - 1 else "none"
      x = Block(features, resample, i == 0, **norms, **common)(x, train)
      self.sow("intermediates", f"hidden_{i}", x)
    x = nn.relu(x)
    x = x.sum((1, 2)) if self.sum_pool else x.mean((1, 2))
    self.sow("intermediates", f"hidden_{len(self.widths)}", x)
    if self.minibatch:
      x = MinibatchDiscrimination(*self.minibatch, self.kernel_init)(x)
    logits = spectral(self.spectral_norm, dense(1, **common), train)(x)
    return logits[:, 0].astype(jnp.float32)
