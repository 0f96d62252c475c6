"""Convolutional and dense layers, and their initialisers."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxgan.checks import one_of
from jaxgan.errors import InputError
from jaxgan.models.layers.cpu.convolutions import Padding, conv, conv_transpose


def initializer(name: str, fan_in: float, fan_out: float, gain: float = 1.0):
  """Returns a kernel initialiser.

  Args:
    name: "normal" is N(0, 0.02), as in DCGAN; "wide" is N(0, 0.05), as in
      the code of weight normalisation; "uniform" has variance
      2 gain / (fan_in + fan_out), as in WGAN-GP: Glorot's for gain 1, and
      with gain 2 what its code uses before a ReLU; "orthogonal" is 0.8 times
      an orthogonal matrix, as for the mixtures of unrolled GAN.
    fan_in: inputs that an output sees.
    fan_out: outputs that an input reaches.
    gain: see "uniform".

  Raises:
    InputError: for another name.
  """
  deviations = {"normal": 0.02, "wide": 0.05}
  one_of("kernel_init", name, (*deviations, "orthogonal", "uniform"))
  if name in deviations:
    return nn.initializers.normal(deviations[name])
  if name == "orthogonal":
    return nn.initializers.orthogonal(0.8)
  bound = (6 * gain / (fan_in + fan_out)) ** 0.5

  def uniform(rng, shape, dtype=jnp.float32):
    return jax.random.uniform(rng, shape, dtype, -bound, bound)

  return uniform


class _Layer(nn.Module):
  features: int
  kernel_size: int = 3
  use_bias: bool = True
  kernel_init: str = "normal"
  gain: float = 2.0
  padding: int | None = None
  dtype: Any = jnp.float32

  def _kernel_and_bias(
    self, shape: tuple[int, ...], fan_in: float, fan_out: float
  ) -> tuple[jax.Array, jax.Array | None]:
    """Returns the kernel, and the bias or None."""
    initialize = initializer(self.kernel_init, fan_in, fan_out, self.gain)
    kernel = self.param("kernel", initialize, shape)
    if not self.use_bias:
      return kernel, None
    return kernel, self.param("bias", nn.initializers.zeros, (self.features,))

  def _padding(self, kernel_size: int, stride: int) -> Padding:
    """Returns `padding`, or as much as makes sides the stride's quotients."""
    if self.padding is None:
      return _same(kernel_size, stride)
    return ((self.padding,) * 2,) * 2


class Conv(_Layer):
  """Convolution `[B, H, W, C] -> [B, H / stride, W / stride, features]`.

  Without `padding`, sides must be multiples of the stride; with it, the size of
  the result follows the usual formula.

  With `resample` "up", of the input with each pixel repeated 2x2; with "down",
  followed by means of 2x2. Both are computed as a single convolution of stride
  2, with a kernel larger by one: for 3x3, at 4/9 of the operations.

  Attributes:
    features: channels of the result.
    kernel_size: of both sides; odd where there is resampling.
    use_bias: whether to add one; not before a norm, where its gradient is 0.
    kernel_init: see `initializer`.
    gain: see `initializer`.
    padding: zeros on each side, as in PyTorch; by default as many as it takes,
      which for a kernel of 3 and stride 2 is another number.
    dtype: of the arithmetic.
    stride: in both directions; 1 where there is resampling.
    resample: "none", "up" or "down".
  """

  stride: int = 1
  resample: str = "none"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    k, stride, channels = self.kernel_size, self.stride, x.shape[-1]
    if self.resample != "none" and k % 2 == 0:
      raise InputError(f"kernel_size={k}: give an odd one to resample")
    fans = k**2 * channels, k**2 * self.features / stride**2
    kernel, bias = self._kernel_and_bias((k, k, channels, self.features), *fans)
    if self.resample == "up":
      kernel = _sum_of_shifts(kernel[::-1, ::-1]).swapaxes(2, 3)
    elif self.resample == "down":
      kernel, stride = _sum_of_shifts(kernel) / 4, 2
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    if self.resample == "up":
      size = 2 * x.shape[1], 2 * x.shape[2]
      x = conv_transpose(x, kernel, (2, 2), _same(k + 1, 2), size)
    else:
      padding = self._padding(kernel.shape[0], stride)
      x = conv(x, kernel, (stride, stride), padding)
    return x if bias is None else x + bias


class ConvTranspose(_Layer):
  """Transposed convolution, `[B, H, W, C] -> [B, 2 H, 2 W, features]`.

  The transpose of `Conv` with stride 2. Attributes: as of `Conv`.
  """

  kernel_size: int = 4

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    k, (height, width, channels) = self.kernel_size, x.shape[1:]
    fans = k**2 * channels / 4, k**2 * self.features
    kernel, bias = self._kernel_and_bias((k, k, self.features, channels), *fans)
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    size = 2 * height, 2 * width
    x = conv_transpose(x, kernel, (2, 2), self._padding(k, 2), size)
    return x if bias is None else x + bias


class WeightNorm(nn.Module):
  """`[..., C] -> [..., F]`: `scale * layer(x) / |v| + bias`.

  Salimans and Kingma 2016 (arXiv:1602.07868): v are the weights of an output,
  eq. 2. Scale and bias are initialised so that on the batch given to `init`
  every output has mean 0 and deviation `init_scale` (eqs. 5 and 6). The layer
  is a `Conv` or `dense` without bias; its kernel's last axis is F.
  """

  layer: nn.Module
  init_scale: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = self.layer(x)
    # Not flax's WeightNorm, which initialises v with length 1: the longer v,
    # the less it turns in an update.
    v = self.layer.variables["params"]["kernel"]
    length = jnp.sqrt(jnp.square(v).sum(range(v.ndim - 1)))
    axes = tuple(range(x.ndim - 1))
    scale = self.param(
      "scale",
      lambda _: self.init_scale * lax.rsqrt((x / length).var(axes) + 1e-8),
    )
    factor = scale / length
    bias = self.param("bias", lambda _: -factor * x.mean(axes))
    return x * factor.astype(x.dtype) + bias.astype(x.dtype)


def dense(
  features: int,
  use_bias: bool = True,
  kernel_init: str = "normal",
  dtype: Any = jnp.float32,
) -> nn.Dense:
  """Returns a new matrix product `[B, D] -> [B, features]`."""
  if kernel_init == "uniform":
    initialize = nn.initializers.xavier_uniform()
  else:
    initialize = initializer(kernel_init, 1, 1)
  return nn.Dense(features, use_bias, dtype, kernel_init=initialize)


def _sum_of_shifts(kernel: jax.Array) -> jax.Array:
  """Convolves a kernel `[h, w, ...]` with 2x2 ones: both sides grow by 1."""
  rest = [(0, 0)] * (kernel.ndim - 2)
  return sum(
    jnp.pad(kernel, ((i, 1 - i), (j, 1 - j), *rest))
    for i in (0, 1)
    for j in (0, 1)
  )


def _same(kernel_size: int, stride: int) -> Padding:
  total = max(kernel_size - stride, 0)
  side = total // 2, total - total // 2
  return side, side
