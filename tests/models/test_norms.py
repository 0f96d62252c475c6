"""Normalisation, against PyTorch, Flax and singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from jaxgan.errors import InputError
from jaxgan.game import AXIS
from jaxgan.models.layers import conv, norms


def images(*shape):
  # Of means and spreads that differ between channels, and are to go.
  rng = np.random.default_rng(0)
  x = rng.normal(size=shape) * (1 + np.arange(shape[-1])) + 3
  return x.astype("float32")


def channels_first(torch, x):
  return torch.tensor(np.moveaxis(np.array(x), -1, 1), requires_grad=True)


def channels_last(x):
  x = x.detach().numpy()
  return np.moveaxis(x, 1, -1) if x.ndim > 1 else x


class Net(nn.Module):
  norm: str

  @nn.compact
  def __call__(self, x, train):
    if self.norm == "spectral":  # of the layer's kernel
      layer = conv.Conv(5, 3, use_bias=False, kernel_init="uniform")
      return norms.spectral(True, layer, train)(x)
    return norms.normalize(self.norm, x, train, x.dtype)


VARIABLES = {
  "params": {
    "scale": np.float32([0.5, 1.5, -2.0]),
    "bias": np.float32([0.1, 0.0, -3.0]),
  },
  "batch_stats": {
    "mean": np.float32([0.3, -1.0, 2.0]),
    "var": np.float32([0.5, 1.0, 4.0]),
  },
}


def batch_norm(variables, x, train, axis=None):
  layer = norms.BatchNorm(train, axis, x.dtype)
  return layer.apply(variables, x, mutable=["batch_stats"])


@pytest.mark.oracle
def test_instance_norm_against_torch():
  torch = pytest.importorskip("torch")
  x = images(2, 5, 4, 3)
  weights = np.random.default_rng(1).normal(size=x.shape).astype("f4")
  given = channels_first(torch, x)
  expected = torch.nn.InstanceNorm2d(3)(given)
  (expected * channels_first(torch, weights)).sum().backward()

  def loss(x):
    y = Net("instance").apply({}, x, True)
    return (y * weights).sum(), y

  slope, found = jax.grad(loss, has_aux=True)(x)
  np.testing.assert_allclose(found, channels_last(expected), atol=2e-5)
  np.testing.assert_allclose(slope, channels_last(given.grad), atol=2e-5)
  later = Net("instance").apply({}, x, False)
  np.testing.assert_allclose(later, found, atol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (7, 3)])
@pytest.mark.parametrize("train", [False, True])
def test_batch_norm_against_torch(shape, train):
  torch = pytest.importorskip("torch")
  x, own = images(*shape), VARIABLES["params"]
  stats = VARIABLES["batch_stats"]
  kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
  theirs = kind(3, momentum=0.1).train(train)
  theirs.weight.data = torch.tensor(own["scale"])
  theirs.bias.data = torch.tensor(own["bias"])
  theirs.running_mean = torch.tensor(stats["mean"])
  theirs.running_var = torch.tensor(stats["var"])
  weights = np.random.default_rng(1).normal(size=shape).astype("f4")
  given = channels_first(torch, x)
  expected = theirs(given)
  (expected * channels_first(torch, weights)).sum().backward()

  def loss(params, x):
    y, state = batch_norm({**VARIABLES, "params": params}, x, train)
    return (y * weights).sum(), (y, state["batch_stats"])

  (params, slope), (found, state) = jax.grad(loss, (0, 1), has_aux=True)(own, x)
  for ours, other in (
    (found, expected),
    (slope, given.grad),
    (params["scale"], theirs.weight.grad),
    (params["bias"], theirs.bias.grad),
    (state["mean"], theirs.running_mean),
  ):
    np.testing.assert_allclose(ours, channels_last(other), rtol=1e-4, atol=1e-4)
  variance = theirs.running_var.numpy()
  if train:  # PyTorch's is that of a sample, with n - 1
    n, old = x.size // 3, 0.9 * stats["var"]
    variance = old + (variance - old) * (n - 1) / n
  np.testing.assert_allclose(state["var"], variance, rtol=1e-5)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batch_norm_is_that_of_flax(dtype, train):
  x = jnp.asarray(images(4, 5, 6, 3), dtype)
  theirs = nn.BatchNorm(
    not train, momentum=norms.MOMENTUM, epsilon=norms.EPSILON, dtype=dtype
  )
  expected, new = theirs.apply(VARIABLES, x, mutable=["batch_stats"])
  found, state = batch_norm(VARIABLES, x, train)
  assert found.dtype == expected.dtype == dtype
  tolerance = 1e-5 if dtype == "float32" else 0.02
  np.testing.assert_allclose(
    found.astype("f4"), expected.astype("f4"), tolerance, tolerance
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, new
  )
  # A checkpoint of one fits the other.
  ours = norms.BatchNorm(train, None, dtype).init(jax.random.key(0), x)
  other = theirs.init(jax.random.key(0), x)
  assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, other)
  assert {x.dtype for x in jax.tree.leaves(ours)} == {jnp.dtype("float32")}


def test_first_variables_of_batch_norm():
  layer = norms.BatchNorm(True, None, "float32")
  variables = layer.init(jax.random.key(0), images(2, 10_000))
  scale = variables["params"]["scale"]
  np.testing.assert_allclose(scale.mean(), 1, atol=1e-3)
  np.testing.assert_allclose(scale.std(), 0.02, rtol=0.05)
  stats = variables["batch_stats"]  # not yet those of a batch
  np.testing.assert_array_equal(stats["mean"], 0)
  np.testing.assert_array_equal(stats["var"], 1)


@pytest.mark.slow
def test_batch_norm_over_devices_is_that_of_the_batch():
  x = images(8, 3, 2, 3)
  x += np.arange(8, dtype="f4")[:, None, None, None]  # unlike each other
  weights = np.random.default_rng(1).normal(size=x.shape).astype("f4")

  def loss(x, weights, axis):
    y, state = batch_norm(VARIABLES, x, True, axis)
    total = (y * weights).sum()
    return lax.psum(total, axis) if axis else total, (y, state)

  def over_devices(axis):
    def mapped(x):
      def one(x, w):
        return loss(x, w, axis)

      totals, (y, state) = jax.vmap(one, axis_name=AXIS)(
        x.reshape(4, 2, 3, 2, 3), weights.reshape(4, 2, 3, 2, 3)
      )
      return totals[0], (y.reshape(x.shape), state)

    return jax.grad(mapped, has_aux=True)(x)

  slope, (y, state) = jax.grad(loss, has_aux=True)(x, weights, None)
  found_slope, (found, states) = over_devices(AXIS)
  np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found_slope, slope, rtol=1e-4, atol=1e-5)
  for i in range(4):
    jax.tree.map(
      lambda all_, one, i=i: np.testing.assert_allclose(
        all_[i], one, rtol=1e-5
      ),
      states,
      state,
    )
  # And it is not by itself so.
  _, (apart, _) = over_devices(None)
  assert np.abs(apart - y).max() > 0.1


def test_layer_norm_is_over_all_of_an_example():
  x = images(2, 3, 4, 5)
  y, _ = Net("layer").init_with_output(jax.random.key(0), x, True)
  flat = x.reshape(2, -1)
  expected = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
  np.testing.assert_allclose(y.reshape(2, -1), expected, rtol=1e-3, atol=1e-4)


def test_none_leaves_layers_alone():
  x = images(2, 4, 4, 3)
  y = norms.normalize("none", x, True, jnp.float32)
  np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("norm", ["foo", "spectral", ""])
def test_unknown_norms_are_refused(norm):
  with pytest.raises(InputError, match="norm='.*': choose one of .*'instance'"):
    norms.normalize(norm, images(2, 4, 4, 3), True, jnp.float32)


def test_instance_norm_needs_images():
  with pytest.raises(InputError, match="there is no image here"):
    norms.normalize("instance", images(2, 3), True, jnp.float32)


def test_spectral_norm_is_one():
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
  net = Net("spectral")
  variables = net.init(jax.random.key(1), x, train=True)
  for _ in range(50):
    y, state = net.apply(variables, x, train=True, mutable=["batch_stats"])
    variables = {**variables, **state}
  (kernel,) = jax.tree.leaves(variables["params"])
  sigma = np.linalg.svd(kernel.reshape(-1, 5), compute_uv=False)[0]
  assert abs(sigma - 1) > 0.05  # the kernel itself is left alone
  plain = conv.Conv(5, 3, use_bias=False)
  expected = plain.apply({"params": {"kernel": kernel / sigma}}, x)
  np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


def test_instance_norm_of_nearly_flat_maps():
  rng = np.random.default_rng(0)
  x = (0.9 + 1e-2 * rng.normal(size=(2, 64, 64, 3))).astype("f4")
  exact = x.astype("f8")
  exact -= exact.mean((1, 2), keepdims=True)
  exact /= np.sqrt(exact.var((1, 2), keepdims=True) + norms.EPSILON)
  found = norms.normalize("instance", jnp.asarray(x), True, jnp.float32)
  np.testing.assert_allclose(found, exact, atol=1e-4)
