"""The layers against `lax` and PyTorch, and their initialisers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.errors import InputError
from jaxgan.models import resnet
from jaxgan.models.layers import conv


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("resample", ["up", "down"])
def test_resampling_within_a_convolution(resample, kernel_size):
  x = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))
  fused = conv.Conv(5, kernel_size, resample=resample)
  plain = conv.Conv(5, kernel_size)
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
  layer = conv.ConvTranspose(3, kernel_size)
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


@pytest.mark.oracle
@pytest.mark.parametrize("channels", [3, 16])  # two forms, see `layers`
@pytest.mark.parametrize(
  ("layer", "size"),
  [
    (partial(conv.Conv, kernel_size=3, stride=2, padding=1), (8, 6)),
    (partial(conv.Conv, kernel_size=3, stride=2, padding=1), (7, 5)),
    (partial(conv.Conv, kernel_size=4, stride=1, padding=1), (6, 5)),
    (partial(conv.Conv, kernel_size=7, stride=1, padding=0), (8, 9)),
    (partial(conv.Conv, kernel_size=4, stride=2, padding=1), (9, 6)),
    (partial(conv.Conv, kernel_size=4, stride=2, padding=1), (3, 2)),
    (partial(conv.ConvTranspose, kernel_size=3, padding=1), (4, 3)),
    (partial(conv.ConvTranspose, kernel_size=4, padding=1), (4, 3)),
    (partial(conv.ConvTranspose, kernel_size=4, padding=1), (1, 1)),
  ],
  ids=lambda value: (
    f"{value.func.__name__} {list(value.keywords.values())}"
    if isinstance(value, partial)
    else None
  ),
)
def test_given_padding_against_torch(layer, size, channels):
  torch = pytest.importorskip("torch")
  given, transposed = layer.keywords, layer.func is conv.ConvTranspose
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
  layers = (conv.Conv(3, stride=2, padding=padding) for padding in (None, 1))
  default, padded = layers
  variables = default.init(jax.random.key(1), x)
  same = default.apply(variables, x)
  kernel = variables["params"]["kernel"]
  expected = lax.conv_general_dilated(
    x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  np.testing.assert_allclose(same, expected, atol=1e-6)
  assert np.abs(same - padded.apply(variables, x)).max() > 1e-3


def test_uniform_initializer_has_the_variance_of_wgan_gp():
  # uniform with deviation sqrt(4 / (fan_in + fan_out)), fan_out / stride^2.
  layer = conv.Conv(64, 5, stride=2, kernel_init="uniform")
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
  convolution = conv.Conv(
    8, resample=resample, use_bias=False, kernel_init="wide", dtype=dtype
  )
  layer = conv.WeightNorm(convolution, init_scale=0.5)
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
  plain = conv.Conv(8, resample=resample)
  expected = plain.apply(
    {"params": {"kernel": kernel, "bias": params["bias"]}}, x
  )
  np.testing.assert_allclose(
    layer.apply(variables, x), expected, rtol=10 * atol, atol=10 * atol
  )


def test_initial_weights_do_not_blow_up_where_inputs_do_not_vary():
  layer = conv.WeightNorm(conv.dense(4, use_bias=False))
  y, _ = layer.init_with_output(jax.random.key(0), jnp.ones((8, 3)))
  np.testing.assert_allclose(y, 0, atol=1e-2)


def test_even_kernels_cannot_resample():
  with pytest.raises(InputError, match="odd"):
    conv.Conv(3, 4, resample="up").init(
      jax.random.key(0), jnp.zeros((1, 4, 4, 1))
    )
