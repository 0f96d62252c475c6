"""The trio of convolutions against `lax`, in value and derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.models.layers.cpu import convolutions

CASES = [
  # form, size, channels, features, kernel, strides, padding
  ("few", (8, 8), 3, 4, (4, 4), (2, 2), ((1, 1), (1, 1))),
  # Maps smaller than kernels.
  ("plain", (8, 6), 16, 4, (5, 5), (2, 2), ((1, 2), (1, 2))),
  ("plain", (7, 5), 16, 4, (3, 2), (1, 2), ((1, 1), (0, 1))),
  ("few", (6, 6), 3, 4, (1, 1), (1, 1), ((0, 0), (0, 0))),
  # No matrix product.
  ("few", (6, 6), 3, 4, (1, 1), (1, 1), ((1, 0), (0, 1))),
  # Phases without taps.
  ("plain", (7, 10), 16, 4, (1, 2), (2, 3), ((0, 0), (1, 0))),
  ("thin", (6, 7), 16, 3, (4, 4), (1, 1), ((1, 2), (2, 1))),
  ("thin", (9, 8), 16, 1, (7, 7), (1, 1), ((0, 0), (0, 0))),
  ("small", (4, 5), 16, 24, (4, 4), (2, 2), ((1, 1), (1, 1))),
  ("small", (3, 4), 3, 32, (3, 3), (1, 1), ((1, 1), (1, 1))),
  # Small enough for the products of a transpose.
  ("plain", (6, 6), 16, 12, (4, 4), (2, 2), ((1, 1), (1, 1))),
  ("winograd", (6, 8), 16, 20, (3, 3), (1, 1), ((1, 1), (0, 2))),
  ("winograd", (8, 10), 17, 16, (3, 3), (1, 1), ((0, 0), (0, 0))),
]


def reference(x, w, strides, padding):
  return lax.conv_general_dilated(
    x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


@pytest.fixture(autouse=True)
def many_are_few(monkeypatch):
  monkeypatch.setattr(convolutions, "_MANY", 16)


def arrays(size, channels, features, kernel, dtype=jnp.float32):
  k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(k1, (2, *size, channels), dtype)
  w = jax.random.normal(k2, (*kernel, channels, features), dtype)
  w /= channels**0.5
  return x, w, k3


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values(case, dtype):
  form, size, channels, features, kernel, strides, padding = case
  x, w, key = arrays(size, channels, features, kernel, dtype)
  y = convolutions.conv(x, w, strides, padding)
  expected = reference(x, w, strides, padding)
  if form != "winograd" or dtype == "float32":
    assert convolutions._form(y, w.shape, strides) == form
  assert y.dtype == dtype
  tolerance = {"rtol": 1e-5, "atol": 1e-5}
  if dtype == "bfloat16":
    tolerance = {"rtol": 5e-2, "atol": 0.2}
  close = partial(np.testing.assert_allclose, **tolerance)
  close(y.astype("float32"), expected.astype("float32"))

  ct = jax.random.normal(key, y.shape, dtype)
  grads = jax.vjp(lambda x, w: reference(x, w, strides, padding), x, w)[1](ct)
  got = (
    convolutions.conv_transpose(ct, w, strides, padding, size),
    convolutions.conv_kernel_grad(x, ct, strides, padding, kernel),
  )
  for a, b in zip(got, grads, strict=True):
    assert a.dtype == dtype
    close(a.astype("float32"), b.astype("float32"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_first_and_second_derivatives(case):
  _, size, channels, features, kernel, strides, padding = case
  x, w, key = arrays(size, channels, features, kernel)

  def close(a, b):
    if features == 4:
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)
    else:  # the values are larger or sums of more terms
      assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()

  def losses(conv):
    def loss(x, w):
      return jnp.sin(conv(x, w, strides, padding)).sum()

    def penalty(x, w):
      return sum(
        jnp.square(g).sum() for g in jax.grad(loss, argnums=(0, 1))(x, w)
      )

    return loss, penalty

  for ours, theirs in zip(
    losses(convolutions.conv), losses(reference), strict=True
  ):
    for a, b in zip(
      jax.grad(ours, argnums=(0, 1))(x, w),
      jax.grad(theirs, argnums=(0, 1))(x, w),
      strict=True,
    ):
      close(a, b)

  # The transposed convolution's own derivatives, to second order.
  y = jax.random.normal(key, reference(x, w, strides, padding).shape)

  def transposed(y, w):
    return jnp.sin(
      convolutions.conv_transpose(y, w, strides, padding, size)
    ).sum()

  def transposed_reference(y, w):
    x = jnp.zeros((2, *size, channels))
    conv = jax.vjp(lambda x: reference(x, w, strides, padding), x)[1]
    return jnp.sin(conv(y)[0]).sum()

  def penalty(loss, y, w):
    return sum(
      jnp.square(g).sum() for g in jax.grad(loss, argnums=(0, 1))(y, w)
    )

  for f in (lambda loss: loss, lambda loss: partial(penalty, loss)):
    for a, b in zip(
      jax.grad(f(transposed), argnums=(0, 1))(y, w),
      jax.grad(f(transposed_reference), argnums=(0, 1))(y, w),
      strict=True,
    ):
      close(a, b)
