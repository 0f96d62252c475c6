"""Published networks against PyTorch modules of their structure."""

import copy
import os
import pickle
from functools import partial

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.errors import InputError
from jaxgan.game import AXIS
from jaxgan.interop import pytorch_cyclegan

torch = pytest.importorskip("torch")
nn = torch.nn
BATCH, INSTANCE = nn.BatchNorm2d, nn.InstanceNorm2d


class Block(nn.Module):
  def __init__(self, width, norm, bias, dropout):
    super().__init__()
    layers = []
    for i in range(2):
      layers += [
        nn.ReflectionPad2d(1),
        nn.Conv2d(width, width, 3, bias=bias),
        norm(width),
      ]
      if i == 0:
        layers += [nn.ReLU(True), *[nn.Dropout(0.5)] * dropout]
    self.conv_block = nn.Sequential(*layers)

  def forward(self, x):
    return x + self.conv_block(x)


class ResNet(nn.Module):
  def __init__(self, norm, width=8, blocks=9, dropout=False, channels=(3, 3)):
    super().__init__()
    bias = norm is INSTANCE
    layers = [
      nn.ReflectionPad2d(3),
      nn.Conv2d(channels[0], width, 7, bias=bias),
      norm(width),
      nn.ReLU(True),
    ]
    for w in (width, 2 * width):
      layers += [
        nn.Conv2d(w, 2 * w, 3, stride=2, padding=1, bias=bias),
        norm(2 * w),
        nn.ReLU(True),
      ]
    layers += [Block(4 * width, norm, bias, dropout) for _ in range(blocks)]
    for w in (2 * width, width):
      layers += [
        nn.ConvTranspose2d(
          2 * w, w, 3, stride=2, padding=1, output_padding=1, bias=bias
        ),
        norm(w),
        nn.ReLU(True),
      ]
    layers += [
      nn.ReflectionPad2d(3),
      nn.Conv2d(width, channels[1], 7),
      nn.Tanh(),
    ]
    self.model = nn.Sequential(*layers)

  def forward(self, x):
    return self.model(x)


class Level(nn.Module):
  """Of a U-Net: from one width down to the next, and up again."""

  def __init__(self, widths, i, norm, channels, dropouts):
    super().__init__()
    bias, last = norm is INSTANCE, len(widths) - 1
    self.outermost = i == 0
    above = widths[i - 1]
    down = nn.Conv2d(
      channels[0] if i == 0 else above, widths[i], 4, 2, 1, bias=bias
    )
    up = nn.ConvTranspose2d(
      widths[i] * (1 if i == last else 2),
      channels[1] if i == 0 else above,
      *(4, 2, 1),
      bias=bias or i == 0,
    )
    below = i < last and Level(widths, i + 1, norm, channels, dropouts)
    if i == 0:
      layers = [down, below, nn.ReLU(True), up, nn.Tanh()]
    elif i == last:
      layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(above)]
    else:
      layers = [nn.LeakyReLU(0.2, True), down, norm(widths[i]), below]
      layers += [nn.ReLU(True), up, norm(above)]
      layers += [nn.Dropout(0.5)] * (last - dropouts <= i)
    self.model = nn.Sequential(*layers)

  def forward(self, x):
    return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
  def __init__(self, norm, width=4, downs=8, channels=(3, 3)):
    super().__init__()
    widths = [width * min(2**i, 8) for i in range(downs)]
    self.model = Level(widths, 0, norm, channels, downs - 5)

  def forward(self, x):
    return self.model(x)


class PatchGAN(nn.Module):
  def __init__(self, norm, width=8, layers=3, channels=3):
    super().__init__()
    parts = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    w = width
    for i in range(1, layers + 1):
      new, stride = width * min(2**i, 8), 2 if i < layers else 1
      parts += [
        nn.Conv2d(w, new, 4, stride, 1, bias=norm is INSTANCE),
        norm(new),
        nn.LeakyReLU(0.2, True),
      ]
      w = new
    self.model = nn.Sequential(*parts, nn.Conv2d(w, 1, 4, 1, 1))

  def forward(self, x):
    return self.model(x)


def randomised(network):
  """Draws all that a network holds; activations keep about one size."""
  rng = np.random.default_rng(0)
  for name, value in network.state_dict().items():
    if name.endswith("num_batches_tracked"):
      continue
    if value.ndim == 4:
      fan_in = value[0].numel()
      drawn = rng.normal(0, 1.2 / np.sqrt(fan_in), value.shape)
    elif name.endswith("running_var"):
      drawn = rng.uniform(1, 3, value.shape)
    elif name.endswith(".weight"):
      drawn = rng.uniform(0.5, 1.5, value.shape)
    else:
      drawn = rng.normal(0, 0.2, value.shape)
    value.copy_(torch.as_tensor(drawn))
  return network


def images(*shape, seed=0):
  return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def theirs(network, x, train=False):
  """What a PyTorch network makes of `x [B, H, W, C]`, without dropout."""
  network = copy.deepcopy(network).train(train)  # which moves statistics
  for module in network.modules():
    if isinstance(module, nn.Dropout):
      module.eval()
  with torch.no_grad():
    y = network(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
  return y.numpy().transpose(0, 2, 3, 1)


def saved(network, path, **changes):
  """Writes a state dict, without the entries that change to None."""
  state = network.state_dict() | changes
  torch.save({k: x for k, x in state.items() if x is not None}, path)
  return path


def ours(network, x, train):
  """What our network makes of `x`, on the axis of the devices."""
  own = network.architecture
  kind, others = "Generator", {"channels": own.outputs}
  if own.config["name"] == "patchgan":
    kind, others = "Critic", {}
  module = models.create(kind, ConfigDict(own.config), "float32", **others)

  def apply(x):
    player = network.params, network.model_state
    return models.apply(module, *player, x, train)[0]

  y = jax.jit(jax.vmap(apply, axis_name=AXIS))(x[None])[0]
  return y if kind == "Generator" else y[..., None]


def compare(label, actual, expected):
  """Both are in [-1, 1], and about evenly so."""
  actual = np.asarray(actual)
  assert actual.shape == expected.shape
  assert 0.05 < expected.std() and np.median(np.abs(expected)) < 0.9
  found = np.abs(actual - expected).max()
  print(f"{label}: maximum difference {found:.1e}")
  assert found < 1e-4


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
      compare(label, ours(read, x, train), theirs(network, x, train))


def test_full_width(tmp_path):
  network = randomised(ResNet(INSTANCE, width=64))
  read = pytorch_cyclegan.read(
    saved(network, tmp_path / "net.pth"), "generator"
  )
  x = images(1, 128, 128, 3)
  compare("ResNet-9 of width 64", ours(read, x, False), theirs(network, x))


SMALL = {
  "resnet": partial(ResNet, width=4, blocks=2),
  "dropout": partial(ResNet, width=4, blocks=2, dropout=True),
  "unet": partial(UNet, width=4, downs=5),
  "patchgan": partial(PatchGAN, width=4),
}


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
      tuple(f"but has no {key} {shape}".replace("'", "") for shape in shapes)
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
