"""Inception against torch-fidelity's."""

from unittest import mock

import jax
import numpy as np
import pytest
from helpers.oracles import import_torch_fidelity

from jaxgan.errors import InputError
from jaxgan.interop import weights
from jaxgan.models.inception import SIDE, Inception, resize


def random_images(*shape):
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def to_torch(images):
  torch = pytest.importorskip("torch")
  return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def relative_error(actual, expected):
  return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def reference():
  """torch-fidelity's network, with weights drawn at random.

  They keep the activations at about one size, and no layer is near the
  identity.
  """
  network = import_torch_fidelity().FeatureExtractorInceptionV3
  torch = pytest.importorskip("torch")
  with (
    mock.patch(f"{network.__module__}.load_state_dict_from_url"),
    mock.patch.object(network, "load_state_dict"),
  ):
    extractor = network("inception", ["2048", "logits_unbiased"])
  rng = np.random.default_rng(0)
  for name, value in extractor.state_dict().items():
    if name.endswith(("bn.weight", "bn.running_var")):
      drawn = rng.uniform(0.5, 1.5, value.shape)
    elif value.ndim > 1:
      fan_in = np.prod(value.shape[1:])
      drawn = rng.normal(0, np.sqrt(2 / fan_in), value.shape)
    else:
      drawn = rng.normal(0, 0.2, value.shape)
    value.copy_(torch.as_tensor(drawn))
  return extractor


@pytest.fixture(scope="module")
def published(reference):
  return {name: x.numpy() for name, x in reference.state_dict().items()}


@pytest.mark.oracle
def test_network_is_that_of_torch_fidelity(reference, published):
  batches = random_images(2, 40, 56, 3), random_images(1, SIDE, SIDE, 3)
  expected = zip(*(reference(to_torch(x)) for x in batches), strict=True)
  inputs = np.concatenate([resize(x) for x in batches])
  actual = jax.jit(Inception().apply)(
    weights.inception_variables(published), inputs
  )
  assert [x.shape for x in actual] == [(3, 2048), (3, 1008)]
  for ours, theirs in zip(actual, expected, strict=True):
    assert relative_error(ours, np.concatenate(theirs)) < 1e-5


@pytest.mark.oracle
@pytest.mark.parametrize(
  "size", [(40, 56), (SIDE, SIDE), (1, 2), (32, 301), (1024, 600)]
)
def test_resize_is_that_of_tensorflow_1(size):
  import_torch_fidelity()
  from torch_fidelity import interpolate_compat_tensorflow as compat

  images = random_images(2, *size, 3)
  expected = compat.interpolate_bilinear_2d_like_tensorflow1x(
    to_torch(images).float(), (SIDE, SIDE), align_corners=False
  )
  expected = (expected.numpy().transpose(0, 2, 3, 1) - 128) / 128
  assert relative_error(resize(images), expected) < 1e-6


def test_resize_by_hand():
  # Destinations 0, 1, 2 ... see 0, 2/299, 4/299 ..., and the last half of them
  # the last pixel alone.
  row = np.uint8([[[[0], [255]]]])
  result = np.asarray(resize(row))
  assert result.shape == (1, SIDE, SIDE, 3)
  at = np.minimum(np.arange(SIDE) * 2 / SIDE, 1)
  np.testing.assert_allclose(result[0, 5, :, 1], at * 255 / 128 - 1, atol=1e-6)


def test_grey_is_repeated():
  grey = random_images(2, 24, 20, 1)
  np.testing.assert_array_equal(resize(grey), resize(grey.repeat(3, axis=3)))


def test_resize_refuses_other_images():
  with pytest.raises(TypeError, match="uint8 are needed, not of float32"):
    resize(np.zeros((1, 8, 8, 3), np.float32))
  with pytest.raises(ValueError):
    resize(np.zeros((1, 8, 8, 2), np.uint8))


@pytest.mark.oracle
def test_both_kinds_of_file_hold_the_same_variables(
  reference, published, tmp_path
):
  torch = pytest.importorskip("torch")
  numpy = pytest.importorskip("safetensors.numpy")
  path, other = tmp_path / "weights.pth", tmp_path / "weights.safetensors"
  torch.save(reference.state_dict(), path)
  numpy.save_file(published, other)
  expected = weights.inception_variables(published)
  for file in (path, other):
    jax.tree.map(
      np.testing.assert_array_equal,
      weights.inception_variables(weights.read(file)),
      expected,
    )
    file.unlink()  # pytest would keep it


@pytest.mark.oracle
@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"Mixed_6a.branch3x3.conv.weight": None},
      r"no Mixed_6a\.branch3x3\.conv\.weight \[384, 288, 3, 3\]",
    ),
    (
      {"fc.weight": np.zeros((1000, 2048))},
      r"fc\.weight is \[1000, 2048\], not \[1008, 2048\]",
    ),
    (
      {"AuxLogits.fc.weight": np.zeros((1000, 768))},
      r"AuxLogits\.fc\.weight \[1000, 768\] is unexpected",
    ),
  ],
)
def test_other_weights_are_refused(published, change, message):
  changed = {
    name: x for name, x in (published | change).items() if x is not None
  }
  with pytest.raises(InputError, match=f"{message}.*inception-2015-12-05"):
    weights.inception_variables(changed)


@pytest.mark.oracle
def test_what_is_not_used_may_be_absent(published):
  used = {
    name: x
    for name, x in published.items()
    if name != "fc.bias" and "num_batches" not in name
  }
  assert len(used) < len(published) - 90
  jax.tree.map(
    np.testing.assert_array_equal,
    weights.inception_variables(used),
    weights.inception_variables(published),
  )
