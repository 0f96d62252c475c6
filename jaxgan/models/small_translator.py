"""A small generator of seven convolutions, for one-sided translation."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.models.layers.conv import Conv, ConvTranspose
from jaxgan.models.layers.norms import AXIS, normalize
from jaxgan.models.layers.padding import pad_to_multiple


class Generator(nn.Module):
  """`images [B, H, W, C] -> images [B, H, W, channels]` in [-1, 1].

  ReLUs follow all layers but the last. The second halves the image, the sixth
  doubles it; odd sides are enlarged by reflection, and the result is cut back.

  Attributes:
    channels: of the result.
    width: channels of the first and sixth layer, half of those between.
  """

  channels: int
  width: int = 64
  norm: str = "none"
  kernel_init: str = "uniform"
  axis: str | None = AXIS
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    positive(width=self.width)
    hidden = {**common, "use_bias": self.norm == "none"}

    def activate(x):
      return nn.relu(normalize(self.norm, x, train, self.dtype, self.axis))

    x, cut = pad_to_multiple(images, 2)
    x = activate(Conv(self.width, **hidden)(x))
    x = activate(Conv(2 * self.width, 4, stride=2, **hidden)(x))
    for _ in range(3):
      x = activate(Conv(2 * self.width, **hidden)(x))
    x = activate(ConvTranspose(self.width, **hidden)(x))
    x = Conv(self.channels, gain=1.0, **common)(x)
    return jnp.tanh(cut(x).astype(jnp.float32))
