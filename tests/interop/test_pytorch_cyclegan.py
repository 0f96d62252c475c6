"""Published networks against PyTorch modules of their structure."""

import os
import pickle
from functools import partial

import jax
import numpy as np
import pytest
from helpers.torch_networks import (
  BATCH,
  INSTANCE,
  SMALL,
  PatchGAN,
  ResNet,
  UNet,
  assert_same_images,
  images,
  randomised,
  saved,
  theirs,
)
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.errors import InputError
from jaxgan.game import AXIS
from jaxgan.interop import pytorch_cyclegan

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle
nn = torch.nn


def ours(network, x, train):
  """What our network makes of `x`, on the axis of the devices."""
  own = network.architecture
  kind, others = "Generator", {"channels": own.outputs}
  if own.config["name"] == "patchgan":
    kind, others = "Critic", {}
  player = kind.lower()
  config = ConfigDict({"dtype": "float32", player: own.config})
  module = models.create(kind, config, player, **others)

  def apply(x):
    player = network.params, network.model_state
    return models.apply(module, *player, x, train=train)[0]

  y = jax.jit(jax.vmap(apply, axis_name=AXIS))(x[None])[0]
  return y if kind == "Generator" else y[..., None]


NETWORKS = {
  # By name: player, network of a norm, sizes of images.
  "ResNet-9": ("generator", ResNet, [(256, 256), (64, 96)]),
  "ResNet-6": ("generator", partial(ResNet, blocks=6), [(64, 96)]),
  "ResNet-6 with dropout": (
    "generator",
    partial(ResNet, blocks=6, dropout=True, channels=(3, 1)),
    [(64, 96)],
  ),
  "U-Net-256": ("generator", UNet, [(256, 256), (256, 512)]),
  "U-Net-128": (
    "generator",
    partial(UNet, downs=7, channels=(1, 3)),
    [(128, 128), (256, 128)],
  ),
  "PatchGAN": ("critic", PatchGAN, [(256, 256), (70, 101)]),
  "PatchGAN of 5 layers": ("critic", partial(PatchGAN, layers=5), [(256, 290)]),
}


@pytest.mark.parametrize("norm", [BATCH, INSTANCE])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_those_of_pytorch(name, norm, tmp_path):
  player, create, sizes = NETWORKS[name]
  network = randomised(create(norm))
  read = pytorch_cyclegan.read(saved(network, tmp_path / "net.pth"), player)
  for size in sizes:
    x = images(2, *size, read.architecture.inputs)
    for train in (False, True):
      label = f"{name}, {norm.__name__}, {size[0]}x{size[1]}, train={train}"
      assert_same_images(label, ours(read, x, train), theirs(network, x, train))


def test_full_width(tmp_path):
  network = randomised(ResNet(INSTANCE, width=64))
  read = pytorch_cyclegan.read(
    saved(network, tmp_path / "net.pth"), "generator"
  )
  x = images(1, 128, 128, 3)
  assert_same_images(
    "ResNet-9 of width 64", ours(read, x, False), theirs(network, x)
  )


def player_of(name):
  return "critic" if name == "patchgan" else "generator"


@pytest.mark.parametrize("norm", [BATCH, INSTANCE])
@pytest.mark.parametrize("name", SMALL)
def test_files_of_other_versions(name, norm, tmp_path):
  network, player = randomised(SMALL[name](norm)), player_of(name)
  path = saved(network, tmp_path / "net.pth")
  expected = pytorch_cyclegan.read(path, player)
  older = {}
  for key, x in network.state_dict().items():
    if "num_batches" not in key:
      older[f"module.{key}"] = x
  if norm is INSTANCE:
    # The statistics that instance norm had in PyTorch 0.3.
    for key, module in network.named_modules():
      if isinstance(module, norm):
        shape = (module.num_features,)
        older[f"module.{key}.running_mean"] = torch.ones(shape)
        older[f"module.{key}.running_var"] = torch.ones(shape)
  torch.save(older, path, _use_new_zipfile_serialization=False)
  actual = pytorch_cyclegan.read(path, player)
  assert actual.architecture.config == expected.architecture.config
  for one, other in (
    (actual.params, expected.params),
    (actual.model_state, expected.model_state),
  ):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def refusal(path, player):
  with pytest.raises(InputError) as caught:
    pytorch_cyclegan.read(path, player)
  message = str(caught.value)
  assert str(path) in message and "\n" not in message
  return message


@pytest.mark.parametrize("norm", [BATCH, INSTANCE])
@pytest.mark.parametrize("name", SMALL)
def test_every_tensor_is_checked(name, norm, tmp_path):
  network, path = SMALL[name](norm), tmp_path / "net.pth"
  for key, x in network.state_dict().items():
    if "num_batches" in key:
      continue
    saved(network, path, **{key: None})
    shapes = [list(x.shape), ["any", "any", *x.shape[2:]]]
    assert refusal(path, player_of(name)).endswith(
      tuple(f"but it has no {key} {shape}".replace("'", "") for shape in shapes)
    )
    longer = torch.zeros(*x.shape[:-1], x.shape[-1] + 1)
    saved(network, path, **{key: longer})
    assert refusal(path, player_of(name)).endswith(
      f"but its {key} is {list(longer.shape)}, not {list(x.shape)}"
    )


@pytest.mark.parametrize("name", SMALL)
def test_unknown_tensors_are_refused(name, tmp_path):
  path = tmp_path / "net.pth"
  saved(SMALL[name](BATCH), path, **{"model.more": torch.zeros(2, 3)})
  assert "but its model.more [2, 3] is unexpected" in refusal(
    path, player_of(name)
  )


def test_weights_that_are_not_finite_are_refused(tmp_path):
  network = SMALL["resnet"](INSTANCE)
  with torch.no_grad():
    network.model[1].weight[0, 0, 0, 0] = float("nan")
  path = saved(network, tmp_path / "net.pth")
  assert "its model.1.weight holds values that are not" in refusal(
    path, "generator"
  )


def test_a_bias_before_batch_norm_is_refused(tmp_path):
  path = tmp_path / "net.pth"
  saved(SMALL["resnet"](BATCH), path, **{"model.1.bias": torch.zeros(4)})
  assert "its model.1.bias [4] is unexpected" in refusal(path, "generator")


@pytest.mark.parametrize(
  ("state", "player", "message"),
  [
    ({}, "critic", "is no network of the reference code"),
    ({"features.0.bias": (8,)}, "critic", "is no network of the reference"),
    ({"model.0.weight": (8,)}, "critic", "is [8], not [any, any, 4, 4]"),
    ({"model.0.weight": (8, 3, 4, 4)}, "critic", "has no model.0.bias [8]"),
    ({"model.9.conv_block.0.bias": (8,)}, "generator", "has no model.1.weight"),
    ({"model.model.9.bias": (8,)}, "generator", "has no model.model.0.weight"),
    ({3: (8,)}, "critic", "names a tensor 3: give a state dict"),
  ],
)
def test_other_networks_are_refused(state, player, message, tmp_path):
  path = tmp_path / "net.pth"
  torch.save({name: torch.zeros(shape) for name, shape in state.items()}, path)
  assert message in refusal(path, player)


def test_the_other_player_is_refused(tmp_path):
  for name, message in (
    ("resnet", "is a ResNet generator: as critic, give a PatchGAN critic"),
    ("unet", "is a U-Net generator: as critic, give a PatchGAN critic"),
    ("patchgan", "is a PatchGAN critic: as generator, give a ResNet or U-Net"),
  ):
    path = saved(SMALL[name](BATCH), tmp_path / "net.pth")
    other = {"critic": "generator", "generator": "critic"}[player_of(name)]
    assert message in refusal(path, other)


class Payload:
  """Makes a folder when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_other_files_are_refused(tmp_path):
  path = saved(SMALL["resnet"](BATCH), tmp_path / "net.pth")
  path.write_bytes(path.read_bytes()[:2000])
  assert "damaged" in refusal(path, "generator")
  assert "No such file" in refusal(tmp_path / "none.pth", "generator")
  torch.save({"model.1.weight": Payload(tmp_path / "made")}, path)
  assert "more than tensors" in refusal(path, "generator")
  path.write_bytes(pickle.dumps(Payload(tmp_path / "made"), protocol=2))
  assert "more than tensors" in refusal(path, "generator")
  assert not (tmp_path / "made").exists()
