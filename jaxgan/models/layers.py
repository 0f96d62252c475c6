"""Convolutions whose every derivative is fast, and their initialisers.

A convolution `conv(x, w)`, its gradient in x (`conv_transpose`) and its
gradient in w (`conv_kernel_grad`) are bilinear, and the derivatives of each
are again members of this trio. XLA:CPU runs the three forms well, but not
what automatic differentiation makes of the second and third: the gradient
penalty of a convolutional critic took 5 times longer that way. So each is a
`jax.custom_vjp` whose rule calls the other two, and derivatives of every
order stay on good forms. Forward-mode differentiation is not available.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxgan.config import InputError

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def _conv(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def _by_phases(
  y: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """`conv_transpose` as a convolution of stride 1 for each phase of its result.

  Results whose positions agree modulo the stride see the same taps of the
  kernel. XLA:CPU's own form costs a fifth more, and 20 times as much where the
  map is smaller than the kernel (`benchmarks/convolutions.py`).
  """

  def along(axis: int, phase: int):
    stride = strides[axis]
    shift, first = divmod(phase + padding[axis][0], stride)
    taps = len(range(first, kernel.shape[axis], stride))
    results = len(range(phase, size[axis], stride))
    pad = taps - 1 - shift, results + shift - y.shape[1 + axis]
    after = size[axis] - phase - (stride * (results - 1) + 1)
    return slice(first, None, stride), pad, (phase, after, stride - 1)

  x = jnp.zeros((y.shape[0], *size, kernel.shape[2]), y.dtype)
  for row in range(min(strides[0], size[0])):
    for column in range(min(strides[1], size[1])):
      rows, top, height = along(0, row)
      columns, left, width = along(1, column)
      taps = kernel[rows, columns][::-1, ::-1].swapaxes(2, 3)
      if taps.size:
        part = _conv(y, taps, (1, 1), (top, left))
        none = (0, 0, 0)
        x += lax.pad(part, x.dtype.type(0), (none, height, width, none))
  # Without it, every reader of x would put the phases together again.
  return lax.optimization_barrier(x)


def _on_cpu() -> bool:
  return jax.default_backend() == "cpu"


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """Convolution.

  Args:
    x: `[B, H, W, C]`.
    kernel: `[h, w, C, F]`.
    strides: vertical and horizontal.
    padding: zeros `((top, bottom), (left, right))`.

  Returns:
    `[B, H', W', F]`.
  """
  return _conv(x, kernel, strides, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv_transpose(
  y: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """The gradient of `conv` in x: a transposed convolution.

  Args:
    y: `[B, H', W', F]`.
    kernel: `[h, w, C, F]`, that of the convolution it transposes.
    strides: of that convolution.
    padding: of that convolution.
    size: `(H, W)` of the result.

  Returns:
    `[B, H, W, C]`.
  """
  # For a few channels, the convolutions of the phases would be too thin.
  if _on_cpu() and kernel.shape[2] >= 16:
    return _by_phases(y, kernel, strides, padding, size)
  x = jax.ShapeDtypeStruct((y.shape[0], *size, kernel.shape[2]), y.dtype)
  transpose = jax.linear_transpose(
    lambda x: _conv(x, kernel, strides, padding), x
  )
  return transpose(y)[0]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv_kernel_grad(
  x: jax.Array, y: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """The gradient of `conv` in its kernel, for the gradient y of its result.

  Args:
    x: `[B, H, W, C]`.
    y: `[B, H', W', F]`.
    strides: of the convolution.
    padding: of the convolution.
    size: `(h, w)` of the kernel.

  Returns:
    `[h, w, C, F]`.
  """
  if _on_cpu():
    # XLA transposes both. Fused with what makes them, that takes three times
    # as long as the two by themselves.
    x, y = lax.optimization_barrier((x, y))
    if size == strides == (1, 1) and x.shape[:3] == y.shape[:3]:
      # Flattened first: of several summed dimensions, XLA would copy.
      x, y = x.reshape(-1, x.shape[3]), y.reshape(-1, y.shape[3])
      return lax.dot_general(x, y, (((0,), (0,)), ((), ())))[None, None]
  kernel = jax.ShapeDtypeStruct((*size, x.shape[3], y.shape[3]), x.dtype)
  transpose = jax.linear_transpose(
    lambda kernel: _conv(x, kernel, strides, padding), kernel
  )
  return transpose(y)[0]


def _conv_bwd(strides, padding, saved, ct):
  x, kernel = saved
  return (
    conv_transpose(ct, kernel, strides, padding, x.shape[1:3]),
    conv_kernel_grad(x, ct, strides, padding, kernel.shape[:2]),
  )


def _conv_transpose_bwd(strides, padding, size, saved, ct):
  del size
  y, kernel = saved
  return (
    conv(ct, kernel, strides, padding),
    conv_kernel_grad(ct, y, strides, padding, kernel.shape[:2]),
  )


def _conv_kernel_grad_bwd(strides, padding, size, saved, ct):
  del size
  x, y = saved
  return (
    conv_transpose(y, ct, strides, padding, x.shape[1:3]),
    conv(x, ct, strides, padding),
  )


conv.defvjp(lambda x, w, *static: (conv(x, w, *static), (x, w)), _conv_bwd)
conv_transpose.defvjp(
  lambda y, w, *static: (conv_transpose(y, w, *static), (y, w)),
  _conv_transpose_bwd,
)
conv_kernel_grad.defvjp(
  lambda x, y, *static: (conv_kernel_grad(x, y, *static), (x, y)),
  _conv_kernel_grad_bwd,
)


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
  if name in deviations:
    return nn.initializers.normal(deviations[name])
  if name == "orthogonal":
    return nn.initializers.orthogonal(0.8)
  if name != "uniform":
    choices = ", ".join([*deviations, "orthogonal", "uniform"])
    raise InputError(f"kernel_init={name!r}: choose one of {choices}")
  bound = (6 * gain / (fan_in + fan_out)) ** 0.5

  def uniform(rng, shape, dtype=jnp.float32):
    return jax.random.uniform(rng, shape, dtype, -bound, bound)

  return uniform


class Conv(nn.Module):
  """Convolution `[B, H, W, C] -> [B, H / stride, W / stride, features]`.

  A side of the input must be a multiple of the stride, but for a given
  `padding`, of which the size of the result then depends.

  With `resample` "up", of the input with each pixel repeated 2x2; with "down",
  followed by means of 2x2. Both are computed as a single convolution of stride
  2, with a kernel larger by one: for 3x3, at 4/9 of the operations.

  Attributes:
    features: channels of the result.
    kernel_size: of both sides; odd where there is resampling.
    stride: in both directions; 1 where there is resampling.
    resample: "none", "up" or "down".
    use_bias: whether to add one; not before a norm, where its gradient is 0.
    kernel_init: see `initializer`.
    gain: see `initializer`.
    padding: zeros on each side, as in PyTorch; by default as many as it takes,
      which for a kernel of 3 and stride 2 is another number.
    dtype: of the arithmetic.
  """

  features: int
  kernel_size: int = 3
  stride: int = 1
  resample: str = "none"
  use_bias: bool = True
  kernel_init: str = "normal"
  gain: float = 2.0
  padding: int | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    k, stride, channels = self.kernel_size, self.stride, x.shape[-1]
    if self.resample != "none" and k % 2 == 0:
      raise InputError(f"kernel_size={k}: give an odd one to resample")
    fans = k**2 * channels, k**2 * self.features / stride**2
    kernel = self.param(
      "kernel",
      initializer(self.kernel_init, *fans, self.gain),
      (k, k, channels, self.features),
    )
    bias = _bias(self, self.features)
    if self.resample == "up":
      kernel = _sum_of_shifts(kernel[::-1, ::-1]).swapaxes(2, 3)
    elif self.resample == "down":
      kernel, stride = _sum_of_shifts(kernel) / 4, 2
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    if self.resample == "up":
      size = 2 * x.shape[1], 2 * x.shape[2]
      x = conv_transpose(x, kernel, (2, 2), _same(k + 1, 2), size)
    else:
      padding = _padding(self.padding, kernel.shape[0], stride)
      x = conv(x, kernel, (stride, stride), padding)
    return x if bias is None else x + bias


class ConvTranspose(nn.Module):
  """Transposed convolution, `[B, H, W, C] -> [B, 2 H, 2 W, features]`.

  The transpose of `Conv` with stride 2. Attributes as there.
  """

  features: int
  kernel_size: int = 4
  use_bias: bool = True
  kernel_init: str = "normal"
  gain: float = 2.0
  padding: int | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    k, (height, width, channels) = self.kernel_size, x.shape[1:]
    fans = k**2 * channels / 4, k**2 * self.features
    kernel = self.param(
      "kernel",
      initializer(self.kernel_init, *fans, self.gain),
      (k, k, self.features, channels),
    )
    bias = _bias(self, self.features)
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    size = 2 * height, 2 * width
    padding = _padding(self.padding, k, 2)
    x = conv_transpose(x, kernel, (2, 2), padding, size)
    return x if bias is None else x + bias


class WeightNorm(nn.Module):
  """`[..., C] -> [..., F]`: `scale * layer(x) / |v| + bias`.

  Salimans and Kingma 2016 (arXiv:1602.07868): v are the weights of an output,
  eq. 2. Scale and bias are initialised so that on the batch given to `init`
  every output has mean 0 and deviation `init_scale` (eqs. 5 and 6).

  Attributes:
    layer: a `Conv` or `dense` without bias; its kernel's last axis is F.
    init_scale: see above.
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
  """The kernel convolved with 2x2 ones: `[h, w, ...]`, both sides + 1."""
  rest = [(0, 0)] * (kernel.ndim - 2)
  return sum(
    jnp.pad(kernel, ((i, 1 - i), (j, 1 - j), *rest))
    for i in (0, 1)
    for j in (0, 1)
  )


def _padding(given: int | None, kernel_size: int, stride: int) -> Padding:
  if given is None:
    return _same(kernel_size, stride)
  return (given, given), (given, given)


def _same(kernel_size: int, stride: int) -> Padding:
  total = max(kernel_size - stride, 0)
  side = total // 2, total - total // 2
  return side, side


def _bias(module: nn.Module, features: int) -> jax.Array | None:
  if not module.use_bias:
    return None
  return module.param("bias", nn.initializers.zeros, (features,))
