"""PatchGAN: a critic of patches, Isola et al. 2017 (arXiv:1611.07004).

Section 6.1.2, with layers as in the authors' code for PyTorch, which CycleGAN
shares. With 3 layers a logit sees 70x70 pixels, with 2 layers 34x34, with 1
layer 16x16.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.errors import InputError
from jaxgan.models.layers.conv import Conv
from jaxgan.models.layers.norms import normalize, spectral


class Critic(nn.Module):
  """`images [B, H, W, C] -> logits [B, H', W']`, one for each patch.

  Attributes:
    width: channels of the first layer, doubled by each, up to 8 times.
    layers: of stride 2; two of stride 1 follow.
    norm: the first and the last layer have none.
  """

  width: int = 64
  layers: int = 3
  norm: str = "instance"
  spectral_norm: bool = False
  kernel_init: str = "normal"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    sides, n = x.shape[1:3], self.layers
    positive(width=self.width, layers=n)
    # Each layer of stride 1 takes a row and a column away.
    if min(sides) >> n < 3:
      fewer = (min(sides) // 3).bit_length() - 1
      raise InputError(
        f"images of {sides[0]}x{sides[1]} are too small for a critic of {n} "
        f"layers: give sides of {3 << n} or more"
        + (f", or {self.name or 'critic'}.layers={fewer}" if fewer > 0 else "")
      )

    def conv(features, stride, use_bias, x):
      layer = Conv(
        features, 4, use_bias, self.kernel_init, stride=stride, padding=1,
        dtype=self.dtype,
      )  # fmt: skip
      return spectral(self.spectral_norm, layer, train)(x)

    hidden_bias = self.norm == "none"
    x = nn.leaky_relu(conv(self.width, 2, True, x), 0.2)
    for i in range(1, n + 1):
      features = self.width * min(2**i, 8)
      x = conv(features, 2 if i < n else 1, hidden_bias, x)
      x = nn.leaky_relu(normalize(self.norm, x, train, self.dtype), 0.2)
    return conv(1, 1, True, x)[..., 0].astype(jnp.float32)
