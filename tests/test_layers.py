"""The convolutions against those of `lax`, in value and derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.config import InputError
from jaxgan.models import layers, resnet

CASES = [
  # size, channels, kernel, stride, padding
  ((8, 8), 3, (4, 4), (2, 2), ((1, 1), (1, 1))),
  ((8, 6), 16, (5, 5), (2, 2), ((1, 2), (1, 2))),  # maps smaller than kernels
  ((7, 5), 16, (3, 2), (1, 2), ((1, 1), (0, 1))),
  ((6, 6), 3, (1, 1), (1, 1), ((0, 0), (0, 0))),
  ((6, 6), 3, (1, 1), (1, 1), ((1, 0), (0, 1))),  # no matrix product
  ((7, 10), 16, (1, 2), (2, 3), ((0, 0), (1, 0))),  # phases without taps
]


def reference(x, w, strides, padding):
  return lax.conv_general_dilated(
    x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def arrays(size, channels, kernel, dtype=jnp.float32):
  k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(k1, (2, *size, channels), dtype)
  w = jax.random.normal(k2, (*kernel, channels, 4), dtype) / channels**0.5
  return x, w, k3


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values(case, dtype):
  size, channels, kernel, strides, padding = case
  x, w, key = arrays(size, channels, kernel, dtype)
  y = layers.conv(x, w, strides, padding)
  expected = reference(x, w, strides, padding)
  assert y.dtype == dtype
  tolerance = {"rtol": 1e-5, "atol": 1e-5}
  if dtype == "bfloat16":
    tolerance = {"rtol": 5e-2, "atol": 0.2}
  close = partial(np.testing.assert_allclose, **tolerance)
  close(y.astype("float32"), expected.astype("float32"))

  ct = jax.random.normal(key, y.shape, dtype)
  grads = jax.vjp(lambda x, w: reference(x, w, strides, padding), x, w)[1](ct)
  got = (
    layers.conv_transpose(ct, w, strides, padding, size),
    layers.conv_kernel_grad(x, ct, strides, padding, kernel),
  )
  for a, b in zip(got, grads, strict=True):
    assert a.dtype == dtype
    close(a.astype("float32"), b.astype("float32"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_first_and_second_derivatives(case):
  size, channels, kernel, strides, padding = case
  x, w, key = arrays(size, channels, kernel)

  def losses(conv):
    def loss(x, w):
      return jnp.sin(conv(x, w, strides, padding)).sum()

    def penalty(x, w):
      return sum(
        jnp.square(g).sum() for g in jax.grad(loss, argnums=(0, 1))(x, w)
      )

    return loss, penalty

  for ours, theirs in zip(losses(layers.conv), losses(reference), strict=True):
    for a, b in zip(
      jax.grad(ours, argnums=(0, 1))(x, w),
      jax.grad(theirs, argnums=(0, 1))(x, w),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)

  # The transposed convolution's own derivatives, to second order.
  y = jax.random.normal(key, reference(x, w, strides, padding).shape)

  def transposed(y, w):
    return jnp.sin(layers.conv_transpose(y, w, strides, padding, size)).sum()

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
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("resample", ["up", "down"])
def test_resampling_within_a_convolution(resample, kernel_size):
  x = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))
  fused = layers.Conv(5, kernel_size, resample=resample)
  plain = layers.Conv(5, kernel_size)
  variables = fused.init(jax.random.key(1), x)
  variables["params"]["bias"] = jnp.arange(5.0)
  if resample == "up":
    expected = plain.apply(variables, resnet.upsample(x))
  else:
    expected = resnet.downsample(plain.apply(variables, x))
  np.testing.assert_allclose(
    fused.apply(variables, x), expected, rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_transposed_layer_against_lax(kernel_size):
  x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6))
  layer = layers.ConvTranspose(3, kernel_size)
  variables = layer.init(jax.random.key(1), x)
  y = layer.apply(variables, x)
  expected = lax.conv_transpose(
    x,
    variables["params"]["kernel"],
    (2, 2),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    transpose_kernel=True,
  )
  assert y.shape == (2, 8, 8, 3)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 16])  # two forms, see `layers`
@pytest.mark.parametrize(
  ("layer", "size"),
  [
    (partial(layers.Conv, kernel_size=3, stride=2, padding=1), (8, 6)),
    (partial(layers.Conv, kernel_size=3, stride=2, padding=1), (7, 5)),
    (partial(layers.Conv, kernel_size=4, stride=1, padding=1), (6, 5)),
    (partial(layers.Conv, kernel_size=7, stride=1, padding=0), (8, 9)),
    (partial(layers.Conv, kernel_size=4, stride=2, padding=1), (9, 6)),
    (partial(layers.Conv, kernel_size=4, stride=2, padding=1), (3, 2)),
    (partial(layers.ConvTranspose, kernel_size=3, padding=1), (4, 3)),
    (partial(layers.ConvTranspose, kernel_size=4, padding=1), (4, 3)),
    (partial(layers.ConvTranspose, kernel_size=4, padding=1), (1, 1)),
  ],
  ids=lambda value: (
    f"{value.func.__name__} {list(value.keywords.values())}"
    if isinstance(value, partial)
    else None
  ),
)
def test_given_padding_against_torch(layer, size, channels):
  torch = pytest.importorskip("torch")
  given, transposed = layer.keywords, layer.func is layers.ConvTranspose
  layer = layer(features=channels)
  x = jax.random.normal(jax.random.key(0), (2, *size, channels))
  params = layer.init(jax.random.key(1), x)["params"]
  params = {
    "kernel": 20 * params["kernel"],
    "bias": jnp.arange(channels) / channels,
  }

  def leaf(x, *axes):
    return torch.tensor(np.array(x).transpose(axes), requires_grad=True)

  # PyTorch has channels before sides, and kernels of outputs by inputs; those
  # of transposed convolutions are the other way round, as here.
  inputs, kernel = leaf(x, 0, 3, 1, 2), leaf(params["kernel"], 3, 2, 0, 1)
  bias = leaf(params["bias"], 0)
  if transposed:
    # With an odd kernel, the result would be a row and a column smaller.
    expected = torch.nn.functional.conv_transpose2d(
      inputs, kernel, bias, 2, 1, output_padding=given["kernel_size"] % 2
    )
  else:
    expected = torch.nn.functional.conv2d(
      inputs, kernel, bias, given["stride"], given["padding"]
    )
  ct = jax.random.normal(jax.random.key(2), expected.shape)
  expected.backward(torch.tensor(np.array(ct)))

  @jax.jit
  def apply(params, x, ct):
    y, back = jax.vjp(lambda p, x: layer.apply({"params": p}, x), params, x)
    return y, *back(ct)

  found, grads, slope = apply(params, x, ct.transpose(0, 2, 3, 1))
  if transposed:
    assert found.shape[1:3] == (2 * size[0], 2 * size[1])
  for ours, theirs in (
    (found.transpose(0, 3, 1, 2), expected.detach()),
    (slope.transpose(0, 3, 1, 2), inputs.grad),
    (grads["kernel"].transpose(3, 2, 0, 1), kernel.grad),
    (grads["bias"], bias.grad),
  ):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_no_padding_is_given():
  # By default that of "SAME", which differs for kernels of 3 and stride 2.
  x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
  default, own = (layers.Conv(3, 3, 2, padding=given) for given in (None, 1))
  variables = default.init(jax.random.key(1), x)
  same = default.apply(variables, x)
  kernel = variables["params"]["kernel"]
  np.testing.assert_allclose(
    same, reference(x, kernel, (2, 2), ((0, 1), (0, 1))), atol=1e-6
  )
  assert np.abs(same - own.apply(variables, x)).max() > 1e-3


def test_uniform_initializer_has_the_variance_of_wgan_gp():
  # uniform with deviation sqrt(4 / (fan_in + fan_out)), fan_out / stride^2.
  layer = layers.Conv(64, 5, stride=2, kernel_init="uniform")
  x = jnp.zeros((1, 8, 8, 32))
  kernel = layer.init(jax.random.key(0), x)["params"]["kernel"]
  expected = np.sqrt(4 / (25 * 32 + 25 * 64 / 4))
  np.testing.assert_allclose(kernel.std(), expected, rtol=0.02)
  np.testing.assert_allclose(
    np.abs(kernel).max(), expected * np.sqrt(3), rtol=0.01
  )


@pytest.mark.parametrize("resample", ["none", "up"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_weight_norm(resample, dtype):
  convolution = layers.Conv(
    8, resample=resample, use_bias=False, kernel_init="wide", dtype=dtype
  )
  layer = layers.WeightNorm(convolution, init_scale=0.5)
  first, x = jax.random.normal(jax.random.key(0), (2, 16, 8, 8, 3)) + 1
  y, variables = layer.init_with_output(jax.random.key(1), first)
  params = variables["params"]
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {"float32"}
  assert y.dtype == dtype
  atol = 1e-5 if dtype == jnp.float32 else 1e-2
  np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=atol)
  np.testing.assert_allclose(y.std((0, 1, 2)), 0.5, atol=atol)
  # On other inputs: a plain layer with the weights g v / |v|.
  v = params["layer"]["kernel"]
  np.testing.assert_allclose(v.std(), 0.05, rtol=0.2)
  kernel = params["scale"] * v / jnp.sqrt(jnp.square(v).sum((0, 1, 2)))
  plain = layers.Conv(8, resample=resample)
  expected = plain.apply(
    {"params": {"kernel": kernel, "bias": params["bias"]}}, x
  )
  np.testing.assert_allclose(
    layer.apply(variables, x), expected, rtol=10 * atol, atol=10 * atol
  )


def test_initial_weights_do_not_blow_up_where_inputs_do_not_vary():
  layer = layers.WeightNorm(layers.dense(4, use_bias=False))
  y, _ = layer.init_with_output(jax.random.key(0), jnp.ones((8, 3)))
  np.testing.assert_allclose(y, 0, atol=1e-2)


def test_even_kernels_cannot_resample():
  with pytest.raises(InputError, match="odd"):
    layers.Conv(3, 4, resample="up").init(
      jax.random.key(0), jnp.zeros((1, 4, 4, 1))
    )
