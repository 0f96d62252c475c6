"""Shapes, parameter counts and ranges of the published networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.errors import InputError
from jaxgan.models import dcgan, mlp, ot_gan, resnet


def init(network, *shape):
  x = jnp.zeros(shape)
  return jax.eval_shape(lambda: network.init(jax.random.key(0), x, train=True))


def count(network, *shape):
  params = init(network, *shape)["params"]
  return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def test_dcgan_has_the_reference_parameters():
  # The sums over the layers of the Torch code: 4x4 kernels without biases,
  # two parameters a channel for batch norm, 64 * (8, 4, 2, 1) channels.
  channels = [512, 256, 128, 64]
  inner = sum(16 * a * b for a, b in zip(channels, channels[1:], strict=False))
  generator = 100 * 16 * 512 + inner + 16 * 64 * 3 + 2 * sum(channels)
  critic = 3 * 16 * 64 + inner + 16 * 512 + 2 * sum(channels[:-1])
  assert (generator, critic) == (3_576_704, 2_765_568)
  assert count(dcgan.Generator((64, 64, 3)), 1, 100) == generator
  assert count(dcgan.Critic(), 1, 64, 64, 3) == critic


def test_wgan_gp_resnet_has_the_reference_parameters():
  conv3, conv1 = 9 * 128 * 128 + 128, 128 * 128 + 128
  norm = 2 * 128
  # One bias fewer for each convolution that a batch norm follows.
  block = conv1 + 2 * conv3 + 2 * norm - 128
  generator = 128 * 2048 + 2048 + 3 * block + norm + 9 * 128 * 3 + 3
  assert count(resnet.Generator((32, 32, 3)), 1, 128) == generator
  first = (3 * 128 + 128) + (9 * 3 * 128 + 128) + conv3
  critic = first + (conv1 + 2 * conv3) + 2 * 2 * conv3 + 129
  assert critic == 1_053_825
  assert count(resnet.Critic(), 1, 32, 32, 3) == critic


def test_wgan_gp_dcgan_has_the_reference_parameters():
  # gan_cifar.py with dimension 128: 5x5 kernels, biases, no norm.
  network = {"width": 128, "kernel_size": 5, "norm": "none", "use_bias": True}
  critic = (25 * 3 * 128 + 128) + (25 * 128 * 256 + 256)
  critic += (25 * 256 * 512 + 512) + (16 * 512 + 1)
  assert count(dcgan.Critic(**network), 1, 32, 32, 3) == critic
  generator = (128 * 16 * 512 + 16 * 512) + (25 * 512 * 256 + 256)
  generator += (25 * 256 * 128 + 128) + (25 * 128 * 3 + 3)
  assert count(dcgan.Generator((32, 32, 3), **network), 1, 128) == generator


def test_ot_gan_has_the_reference_parameters():
  # models/dcgan.py, with the features of the paper: each layer has a scale and
  # a bias for every output; gates double the generator's, concatenated ReLUs
  # the critic's inputs.
  def layer(inputs, outputs, taps=25):
    return taps * inputs * outputs + 2 * outputs

  generator = layer(100, 2 * 16 * 1024, 1) + layer(1024, 2 * 512)
  generator += layer(512, 2 * 256) + layer(256, 2 * 128) + layer(128, 3)
  assert count(ot_gan.Generator((32, 32, 3)), 2, 100) == generator
  critic = layer(3, 128) + layer(256, 256) + layer(512, 512)
  critic += layer(1024, 1024)
  assert count(ot_gan.Critic(), 2, 32, 32, 3) == critic


@pytest.mark.slow
def test_ot_gan_features_have_length_one():
  x = jax.random.normal(jax.random.key(0), (3, 32, 32, 3))
  critic = ot_gan.Critic(width=4, dtype=jnp.bfloat16)
  features, _ = critic.init_with_output(jax.random.key(1), x, train=True)
  assert features.shape == (3, 32768 * 4 // 128)
  assert features.dtype == jnp.float32
  np.testing.assert_allclose(jnp.square(features).sum(1), 1, rtol=1e-5)
  # Of an image's concatenated ReLUs, one of each pair is 0.
  pairs = features.reshape(3, 4, 4, 2, -1)
  assert (pairs.min(3) == 0).all()


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_dcgan_sizes(size, channels):
  shape = (size, size, channels)
  for network, inputs, expected in (
    (dcgan.Generator(shape, width=2), (3, 5), (3, *shape)),
    (dcgan.Critic(width=2), (3, *shape), (3,)),
  ):
    output, _ = jax.eval_shape(
      lambda network=network, inputs=inputs: network.init_with_output(
        jax.random.key(0), jnp.zeros(inputs), train=True
      )
    )
    assert output.shape == expected


@pytest.mark.parametrize(
  "network",
  [
    dcgan.Generator((16, 16, 1), width=4, dtype=jnp.bfloat16),
    resnet.Generator((16, 16, 1), widths=(4, 4, 4), dtype=jnp.bfloat16),
    mlp.Generator((16, 16, 1), hidden=(8,), dtype=jnp.bfloat16),
  ],
  ids=lambda network: type(network).__module__,
)
def test_bfloat16_keeps_float32_parameters_and_images(network):
  z = 10 * jax.random.normal(jax.random.key(0), (2, 3))
  init = jax.jit(lambda z: network.init(jax.random.key(1), z, train=True))
  variables = init(z)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
  apply = jax.jit(
    lambda net, z: net.apply(variables, z, train=False), static_argnums=0
  )
  images = apply(network, z)
  assert images.dtype == jnp.float32
  assert np.abs(images).max() <= 1
  # It really computes in bfloat16: float32 gives something else.
  exact = apply(network.clone(dtype=jnp.float32), z)
  assert 0 < np.abs(images - exact).max() < 0.1


def test_points_are_unbounded():
  network = mlp.Generator((2,), hidden=(8,))
  z = 100 * jnp.ones((1, 3))
  points, _ = network.init_with_output(jax.random.key(0), z, train=False)
  assert np.abs(points).max() > 1


@pytest.mark.parametrize(
  ("network", "shape"),
  [
    (dcgan.Generator((28, 28, 1)), (1, 10)),
    (dcgan.Generator((256, 256, 1)), (1, 10)),
    (dcgan.Generator((2,)), (1, 10)),
    (dcgan.Critic(), (1, 28, 28, 1)),
    (resnet.Generator((64, 64, 3)), (1, 10)),
    (resnet.Critic(), (1, 64, 64, 3)),
  ],
  ids=str,
)
def test_impossible_sizes_are_refused(network, shape):
  with pytest.raises(InputError, match="side|widths"):
    init(network, *shape)


def test_resampling():
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_allclose(
    resnet.downsample(x)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]]
  )
  np.testing.assert_allclose(resnet.downsample(resnet.upsample(x)), x)


def test_an_unknown_activation_is_refused():
  for network in (
    mlp.Generator((2,), activation="x"),
    mlp.Critic(activation=""),
  ):
    with pytest.raises(InputError, match="choose one of \\['elu', 'gelu'"):
      init(network, 4, 2)
