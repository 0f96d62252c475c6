"""The published networks of CycleGAN and Pix2Pix as PyTorch modules."""

import copy
from functools import partial

import numpy as np
import pytest

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


def assert_same_images(label, actual, expected):
  """Both are in [-1, 1], and about evenly so."""
  actual = np.asarray(actual)
  assert actual.shape == expected.shape
  assert 0.05 < expected.std() and np.median(np.abs(expected)) < 0.9
  found = np.abs(actual - expected).max()
  print(f"{label}: maximum difference {found:.1e}")
  assert found < 1e-4


SMALL = {
  "resnet": partial(ResNet, width=4, blocks=2),
  "dropout": partial(ResNet, width=4, blocks=2, dropout=True),
  "unet": partial(UNet, width=4, downs=5),
  "patchgan": partial(PatchGAN, width=4),
}
