"""Convolutions whose every derivative is fast.

A convolution `conv(x, w)`, its gradient in x (`conv_transpose`) and its
gradient in w (`conv_kernel_grad`) are bilinear, and the derivatives of each
are again members of this trio. XLA:CPU runs the three forms well, but not
what automatic differentiation makes of the second and third: the gradient
penalty of a convolutional critic took 5 times longer that way. So each is a
`jax.custom_vjp` whose rule calls the other two, and derivatives of every
order stay on good forms. Forward-mode differentiation is not available.

On CPU, shapes for which XLA has no good form get one from here, where
`benchmarks/convolutions.py` shows that it wins.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan import xla_cpu
from jaxgan.models.layers.cpu import winograd

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, ...]

# Channels: below the first, XLA:CPU's convolutions are slow; from the second
# on, those of `winograd.py` are faster.
_FEW, _MANY = 16, 256


def _conv(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def _by_phases(
  y: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """Computes `conv_transpose` by a convolution for each phase of its result.

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


def _by_products(
  y: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """Computes `conv_transpose` by a matrix product of shifted terms."""
  # Flattened first: of more dimensions, XLA would copy the kernel.
  flat = y.reshape(-1, y.shape[3]), kernel.reshape(-1, kernel.shape[3])
  terms = lax.dot_general(*flat, (((1,), (1,)), ((), ())))
  # Without it, XLA would make the terms again for each reader.
  terms = lax.optimization_barrier(terms)
  terms = terms.reshape(*y.shape[:3], *kernel.shape[:3])

  def edges(axis: int, tap: int) -> tuple[int, int, int]:
    before, gap = tap - padding[axis][0], strides[axis] - 1
    covered = strides[axis] * (y.shape[1 + axis] - 1) + 1
    return before, size[axis] - before - covered, gap

  none = (0, 0, 0)
  return sum(
    lax.pad(
      terms[:, :, :, i, j],
      terms.dtype.type(0),
      (none, edges(0, i), edges(1, j), none),
    )
    for i, j in np.ndindex(kernel.shape[:2])
  )


def _patches(
  x: jax.Array, kernel: Pair, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """Returns the patches for a result of `size`, `[B H' W', h w C]`."""
  x = _pad(x, padding)

  def along(axis: int, tap: int) -> slice:
    return slice(tap, tap + strides[axis] * (size[axis] - 1) + 1, strides[axis])

  shifted = [x[:, along(0, i), along(1, j)] for i, j in np.ndindex(kernel)]
  patches = lax.optimization_barrier(jnp.concatenate(shifted, -1))
  return patches.reshape(-1, patches.shape[-1])


def _pad(x: jax.Array, padding: Padding) -> jax.Array:
  return jnp.pad(x, ((0, 0), *padding, (0, 0)))


def _turned(kernel: jax.Array) -> jax.Array:
  """Returns the kernel with which `conv` of stride 1 is `conv_transpose`."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _turned_padding(padding: Padding, kernel: Pair) -> Padding:
  """Returns the padding with which `conv` is so."""
  return tuple(
    (k - 1 - a, k - 1 - b) for k, (a, b) in zip(kernel, padding, strict=True)
  )


def _form(y: jax.Array, kernel: Shape, strides: Pair) -> str:
  """Returns the form of `conv` and its derivatives for a result and a kernel.

  Returns:
    "thin": too few results for XLA:CPU, but the convolution is the transpose of
    one that has more. "small": fewer pixels than channels; patches of the image
    then cost less than what XLA:CPU does to the kernel, which a matrix product
    takes as it lies. "winograd": so many channels that its transforms pay.
    "few": few channels. "plain": none of these. "": not on CPU.
  """
  (height, width, channels, features), (_, *sides, _) = kernel, y.shape
  if not xla_cpu.on_cpu():
    return ""
  if features < _FEW <= channels and strides == (1, 1):
    return "thin"
  if y.size < features**2:
    return "small"
  if (
    (height, width, *strides) == (3, 3, 1, 1)
    and not any(side % 2 for side in sides)
    and min(channels, features) >= _MANY
    and y.dtype == jnp.float32
  ):
    return "winograd"
  return "few" if channels < _FEW else "plain"


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """Convolves x `[B, H, W, C]`, kernel `[h, w, C, F]` to `[B, H', W', F]`.

  The strides are vertical and horizontal, the padding is zeros
  `((top, bottom), (left, right))`.
  """
  window = kernel.shape[:2]
  y = jax.eval_shape(lambda x, w: _conv(x, w, strides, padding), x, kernel)
  form = _form(y, kernel.shape, strides)
  if form == "thin":
    turned = _turned(kernel), strides, _turned_padding(padding, window)
    return _by_products(x, *turned, y.shape[1:3])
  if form == "small":
    patches = _patches(x, window, strides, padding, y.shape[1:3])
    return (patches @ kernel.reshape(-1, y.shape[3])).reshape(y.shape)
  if form == "winograd":
    return winograd.conv(_pad(x, padding), kernel)
  return _conv(x, kernel, strides, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv_transpose(
  y: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, size: Pair
) -> jax.Array:
  """Returns the gradient of `conv` in x, `[B, *size, C]`: its transpose.

  `y [B, H', W', F]` is the gradient of its result; kernel, strides and padding
  are those of the convolution.
  """
  form = _form(y, kernel.shape, strides)
  if form == "winograd":
    (top, _), (left, _) = padding
    x = winograd.conv_transpose(y, kernel)
    return x[:, top : top + size[0], left : left + size[1]]
  # A "small" result, or one of up to twice as many pixels as channels.
  if form == "few" or (form and y.size <= 2 * y.shape[3] ** 2):
    return _by_products(y, kernel, strides, padding, size)
  if form:
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
  """Returns the gradient of `conv` in its kernel, `[*size, C, F]`.

  `y [B, H', W', F]` is the gradient of its result.
  """
  kernel = jax.ShapeDtypeStruct((*size, x.shape[3], y.shape[3]), x.dtype)
  form = _form(y, kernel.shape, strides)
  if form == "thin":
    # Padded first, or it would take 100 times as long.
    y, none = _pad(y, _turned_padding(padding, size)), ((0, 0), (0, 0))
    return _turned(conv_kernel_grad(y, x, strides, none, size))
  if form == "winograd":
    return winograd.conv_kernel_grad(_pad(x, padding), y)
  if form:
    # XLA transposes both. Fused with what makes them, that takes three times
    # as long as the two by themselves.
    x, y = lax.optimization_barrier((x, y))
  if form == "small" or (form and size == (1, 1)):
    # Flattened first: of several summed dimensions, XLA would copy.
    patches = _patches(x, size, strides, padding, y.shape[1:3])
    y = y.reshape(-1, y.shape[3])
    w = lax.dot_general(patches, y, (((0,), (0,)), ((), ())))
    return w.reshape(kernel.shape)
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
