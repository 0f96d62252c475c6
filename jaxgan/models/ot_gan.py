"""The networks of OT-GAN: Salimans et al. 2018 (arXiv:1803.05573).

All layers are weight-normalised, with data-dependent initialisation. For
images of side S = 2^n the generator goes from 4x4 to S by n - 2 convolutions of
doubled maps, the critic back by convolutions of stride 2.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.models.dcgan import SIZES, doublings
from jaxgan.models.layers.conv import Conv, WeightNorm, dense
from jaxgan.models.layers.norms import unit_length


class Generator(nn.Module):
  """`z [B, Z] -> images [B, S, S, C]` in [-1, 1], with gated linear units.

  Attributes:
    shape: `(S, S, C)`, S one of 16, 32, 64, 128.
    width: channels of the last hidden layer, doubled by each layer before; the
      paper's is 128.
    kernel_size: odd.
  """

  shape: tuple[int, int, int]
  width: int = 128
  kernel_size: int = 5
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: jax.Array, train: bool) -> jax.Array:
    n = doublings(self.shape, SIZES)
    positive(width=self.width, kernel_size=self.kernel_size)
    features = self.width * 2**n
    # Each unit has a second one for its gate.
    layers = {"kernel_init": "wide", "dtype": self.dtype, "use_bias": False}
    x = WeightNorm(dense(2 * 16 * features, **layers))(z)
    x = nn.glu(x).reshape(-1, 4, 4, features)
    layers["kernel_size"] = self.kernel_size
    for _ in range(n):
      features //= 2
      x = WeightNorm(Conv(2 * features, resample="up", **layers))(x)
      x = nn.glu(x)
    x = WeightNorm(Conv(self.shape[-1], **layers), init_scale=0.1)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Critic(nn.Module):
  """`images [B, S, S, C] -> features [B, D]` of length 1.

  D is 16 * 2 * width * 2^n for n halvings: the paper's 32768 for S = 32.

  Attributes: as of `Generator`; `width` is that of the first layer.
  """

  width: int = 128
  kernel_size: int = 5
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    positive(width=self.width, kernel_size=self.kernel_size)
    for i in range(doublings(x.shape[1:], SIZES) + 1):
      layer = Conv(
        self.width * 2**i, self.kernel_size, use_bias=False, kernel_init="wide",
        stride=2 if i else 1, dtype=self.dtype,
      )  # fmt: skip
      x = WeightNorm(layer)(x)
      x = nn.relu(jnp.concatenate([x, -x], -1))
    return unit_length(x.reshape(x.shape[0], -1))
