"""The U-Net of Pix2Pix: Isola et al. 2017 (arXiv:1611.07004), section 6.1.1.

Layers as in the authors' code for PyTorch. Images are halved to 1x1 (those of
side 2^downs) and doubled again, each map on the way up beside the one of its
size on the way down.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.models.layers.conv import Conv, ConvTranspose
from jaxgan.models.layers.norms import AXIS, normalize
from jaxgan.models.layers.padding import pad_to_multiple

# By layer on the way up, the units that are not dropped, `[B, h, w, c]`.
Noise = dict[int, jax.Array]


class Generator(nn.Module):
  """`images [B, H, W, C] -> images [B, H, W, channels]` in [-1, 1].

  Sides that are no multiples of 2^downs are enlarged by reflection, and the
  result is cut back.

  Attributes:
    channels: of the result.
    width: channels of the first layer; doubled by each halving, up to 8 times.
    downs: halvings; 8 for images of 256x256, 7 for 128x128.
    dropout: whether layers on the way up, from the second on, drop half of
      their units, which is the noise of Pix2Pix: as many as `downs` is above
      5, and one at least, if there are three halvings.
  """

  channels: int
  width: int = 64
  downs: int = 8
  dropout: bool = True
  norm: str = "batch"
  kernel_init: str = "normal"
  axis: str | None = AXIS
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, images: jax.Array, noise: Noise | None = None, *, train: bool
  ) -> jax.Array:
    """Applies the network; without noise, nothing is dropped."""
    positive(width=self.width, downs=self.downs)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    common |= {"kernel_size": 4, "padding": 1}

    def norm(x):
      return normalize(self.norm, x, train, self.dtype, self.axis)

    last = self.downs - 1
    x, cut = pad_to_multiple(images, 2**self.downs)
    skips = []
    for i in range(self.downs):
      # The first and last have no norm; its bias remains but under batch norm.
      normed = self.norm if 0 < i < last else "none"
      bias = normed == "none" and self.norm != "batch"
      x = Conv(self._width(i), stride=2, use_bias=bias, **common)(x)
      x = norm(x) if normed != "none" else x
      skips.append(x)
      x = nn.leaky_relu(x, 0.2)
    x = skips.pop()
    for i in range(last, 0, -1):
      bias = self.norm == "none"
      x = ConvTranspose(self._width(i - 1), use_bias=bias, **common)(nn.relu(x))
      x = norm(x)
      if noise and i in noise:
        x = jnp.where(noise[i], 2 * x, 0)
      x = jnp.concatenate([skips.pop(), x], axis=-1)
    x = ConvTranspose(self.channels, **common)(nn.relu(x))
    return jnp.tanh(cut(x).astype(jnp.float32))

  def noise(self, keys: jax.Array, shape: tuple[int, ...]) -> Noise:
    """Draws the noise of images `[H, W, C]`, by one key `[B]` for each.

    It is an input of the network, so that the compiler can merge two passes
    with equal noise.
    """
    if not self.dropout:
      return {}
    last = self.downs - 1
    noise = {}
    for i in range(max(1, last - max(self.downs - 5, 1)), last):
      scale = 2 ** (last + 1 - i)
      sides = [-(-side // 2**self.downs) * scale for side in shape[:2]]
      draw = partial(jax.random.bernoulli, shape=(*sides, self._width(i - 1)))
      layer_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, i)
      noise[i] = jax.vmap(draw)(layer_keys)
    return noise

  def _width(self, i: int) -> int:
    return self.width * min(2**i, 8)
