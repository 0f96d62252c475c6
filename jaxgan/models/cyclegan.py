"""The residual generator of CycleGAN: Zhu et al. 2017 (arXiv:1703.10593).

After Johnson et al. 2016 (arXiv:1603.08155), with layers, paddings and names as
in the authors' code for PyTorch: a convolution of 7x7, two of stride 2,
residual blocks, two transposed ones, and one of 7x7.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.models.layers.conv import Conv, ConvTranspose
from jaxgan.models.layers.norms import AXIS, normalize
from jaxgan.models.layers.padding import pad_to_multiple, reflect


class Generator(nn.Module):
  """`images [B, H, W, C] -> images [B, H, W, channels]` in [-1, 1].

  Sides that are no multiples of 4 are enlarged by reflection, and the result is
  cut back.

  Attributes:
    channels: of the result.
    width: channels of the first layer; doubled by each halving.
    blocks: residual blocks; 9 for images of 256x256, 6 for smaller ones.
  """

  channels: int
  width: int = 64
  blocks: int = 9
  norm: str = "instance"
  kernel_init: str = "normal"
  axis: str | None = AXIS
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    positive(width=self.width)
    hidden = {**common, "use_bias": self.norm == "none"}

    def norm(x):
      return normalize(self.norm, x, train, self.dtype, self.axis)

    def conv(x, features, kernel_size):
      x = reflect(x, kernel_size // 2)
      return norm(Conv(features, kernel_size, padding=0, **hidden)(x))

    x, cut = pad_to_multiple(images, 4, least=5)
    x = nn.relu(conv(x, self.width, 7))
    for factor in (2, 4):
      x = Conv(self.width * factor, stride=2, padding=1, **hidden)(x)
      x = nn.relu(norm(x))
    for _ in range(self.blocks):
      y = nn.relu(conv(x, x.shape[-1], 3))
      x = x + conv(y, x.shape[-1], 3)
    for factor in (2, 1):
      x = ConvTranspose(self.width * factor, 3, padding=1, **hidden)(x)
      x = nn.relu(norm(x))
    x = Conv(self.channels, 7, padding=0, **common)(reflect(x, 3))
    return jnp.tanh(cut(x).astype(jnp.float32))
