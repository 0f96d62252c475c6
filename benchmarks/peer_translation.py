"""CycleGAN and Pix2Pix in PyTorch, with the steps of their authors' code.

As `peer.py`, whose `prepare` leaves the configs that translate images to this
file: the networks of `models/cyclegan.py`, `models/unet.py` and
`models/patchgan.py`, for images whose sides they need not enlarge, and the
losses and pools of the two games.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import Tensor, nn

_NORMS = {
  "batch": nn.BatchNorm2d,
  "instance": nn.InstanceNorm2d,
  "none": nn.Identity,
}


def _reflected(channels: int, features: int, k: int, bias: bool) -> list:
  return [
    nn.ReflectionPad2d(k // 2),
    nn.Conv2d(channels, features, k, 1, 0, bias=bias),
  ]


class _Block(nn.Module):
  def __init__(self, channels, norm, bias):
    super().__init__()
    self.body = nn.Sequential(
      *_reflected(channels, channels, 3, bias),
      norm(channels),
      nn.ReLU(True),
      *_reflected(channels, channels, 3, bias),
      norm(channels),
    )

  def forward(self, x):
    return x + self.body(x)


class _ResNet(nn.Sequential):
  def __init__(self, config: ConfigDict, channels: int, out: int):
    norm, bias = _NORMS[config.norm], config.norm == "none"
    w = config.width
    layers = [*_reflected(channels, w, 7, bias), norm(w), nn.ReLU(True)]
    for n in (2 * w, 4 * w):
      layers.append(nn.Conv2d(n // 2, n, 3, 2, 1, bias=bias))
      layers += [norm(n), nn.ReLU(True)]
    layers += [_Block(4 * w, norm, bias) for _ in range(config.blocks)]
    for n in (2 * w, w):
      layers.append(nn.ConvTranspose2d(2 * n, n, 3, 2, 1, 1, bias=bias))
      layers += [norm(n), nn.ReLU(True)]
    super().__init__(*layers, *_reflected(w, out, 7, True), nn.Tanh())


class _UNet(nn.Module):
  def __init__(self, config: ConfigDict, channels: int, out: int):
    super().__init__()
    norm, last = _NORMS[config.norm], config.downs - 1
    bias = config.norm == "none"
    widths = [config.width * min(2**i, 8) for i in range(config.downs)]
    dropping = max(config.downs - 5, 1) if config.dropout else 0
    self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
    for i, n in enumerate(widths):
      normed = 0 < i < last
      down = [nn.LeakyReLU(0.2, True)] if i else []
      own_bias = bias if normed else config.norm != "batch"
      down.append(nn.Conv2d(channels, n, 4, 2, 1, bias=own_bias))
      self.downs.append(nn.Sequential(*down, *[norm(n)] * normed))
      channels = n
    for i in range(last, 0, -1):
      n = widths[i - 1]
      up = [
        nn.ReLU(True),
        nn.ConvTranspose2d(channels, n, 4, 2, 1, bias=bias),
        norm(n),
      ]
      up += [nn.Dropout(0.5)] * (last - dropping <= i < last)
      self.ups.append(nn.Sequential(*up))
      channels = 2 * n
    self.last = nn.Sequential(
      nn.ReLU(True), nn.ConvTranspose2d(channels, out, 4, 2, 1), nn.Tanh()
    )

  def forward(self, x):
    maps = []
    for down in self.downs:
      # In place, the next layer's leaky ReLU reaches the map that is kept; the
      # ReLU on the way up makes of both the same.
      maps.append(x := down(x))
    maps.pop()
    for up in self.ups:
      x = torch.cat([maps.pop(), up(x)], 1)
    return self.last(x)


class _PatchGAN(nn.Sequential):
  def __init__(self, config: ConfigDict, channels: int):
    norm, bias, w = _NORMS[config.norm], config.norm == "none", config.width
    layers = [nn.Conv2d(channels, w, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    channels = w
    for i in range(1, config.layers + 1):
      n, stride = w * min(2**i, 8), 2 if i < config.layers else 1
      layers.append(nn.Conv2d(channels, n, 4, stride, 1, bias=bias))
      layers += [norm(n), nn.LeakyReLU(0.2, True)]
      channels = n
    super().__init__(*layers, nn.Conv2d(channels, 1, 4, 1, 1))


class _Pool:
  def __init__(self, size: int):
    self.size = size
    self.images: list[Tensor] = []

  def query(self, images: Tensor) -> Tensor:
    shown = []
    for image in images:
      if len(self.images) < self.size:
        self.images.append(image)
      elif random.random() < 0.5:
        i = random.randrange(self.size)
        image, self.images[i] = self.images[i], image
      shown.append(image)
    return torch.stack(shown)


def _stored(config: ConfigDict, channels: int, device: str) -> Tensor:
  side = config.data.image_size + config.data.margin
  shape = config.batch_size, channels, side, side
  return torch.randint(256, shape, dtype=torch.uint8, device=device)


def _load(images: Tensor, data: ConfigDict) -> Tensor:
  """Returns images in [-1, 1], cut and flipped at random."""
  side, cut = data.image_size, []
  for x in images:
    top, left = (random.randint(0, data.margin) for _ in range(2))
    x = x[:, top : top + side, left : left + side]
    cut.append(x.flip(2) if data.flip and random.random() < 0.5 else x)
  return torch.stack(cut).float().div_(127.5).sub_(1)


def _adam(network: nn.Module, settings: ConfigDict) -> torch.optim.Adam:
  return torch.optim.Adam(
    network.parameters(), settings.learning_rate, (settings.b1, settings.b2)
  )


def _squares(logits: Tensor, target: float) -> Tensor:
  return F.mse_loss(logits, torch.full_like(logits, target))


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
  return F.binary_cross_entropy_with_logits(
    logits, torch.full_like(logits, target)
  )


def _cyclegan(
  config: ConfigDict,
  device: str,
  maybe: Callable,
  precision: AbstractContextManager,
) -> tuple[Callable[[], None], Iterable[nn.Module]]:
  a, b = config.data.source.channels, config.data.target.channels
  generators = nn.ModuleList(
    _ResNet(config.generator, *ends) for ends in ((a, b), (b, a))
  ).to(device)
  critics = nn.ModuleList(_PatchGAN(config.critic, n) for n in (a, b))
  critics.to(device)
  forward, backward = map(maybe, generators)
  on_source, on_target = map(maybe, critics)
  generator_optimizer = _adam(generators, config.optimizers.generator)
  critic_optimizer = _adam(critics, config.optimizers.critic)
  source_pool, target_pool = (_Pool(config.pool_size) for _ in range(2))
  sources, targets = (_stored(config, n, device) for n in (a, b))
  weights = config.weights

  def play() -> None:
    x, y = _load(sources, config.data), _load(targets, config.data)
    critics.requires_grad_(False)
    generator_optimizer.zero_grad()
    with precision:
      fake_y, fake_x = forward(x), backward(y)
      # Half of the squares, as in jaxgan/objectives/losses.py.
      adversarial = _squares(on_target(fake_y), 1) / 2
      adversarial += _squares(on_source(fake_x), 1) / 2
      cycle = F.l1_loss(backward(fake_y), x) + F.l1_loss(forward(fake_x), y)
      identity = F.l1_loss(forward(y), y) + F.l1_loss(backward(x), x)
      loss = (
        weights.adversarial * adversarial
        + weights.cycle * cycle
        + weights.identity * identity
      )
    loss.backward()
    generator_optimizer.step()

    critics.requires_grad_(True)
    critic_optimizer.zero_grad()
    for critic, pool, real, fake in (
      (on_target, target_pool, y, fake_y),
      (on_source, source_pool, x, fake_x),
    ):
      shown = pool.query(fake.detach())
      with precision:
        loss = _squares(critic(real), 1) + _squares(critic(shown), 0)
      (0.5 * loss).backward()
    critic_optimizer.step()

  return play, (*generators, *critics)


def _pix2pix(
  config: ConfigDict,
  device: str,
  maybe: Callable,
  precision: AbstractContextManager,
) -> tuple[Callable[[], None], Iterable[nn.Module]]:
  a, b = config.data.source.channels, config.data.target.channels
  generator = _UNet(config.generator, a, b).to(device)
  critic = _PatchGAN(config.critic, a + b).to(device)
  generate, criticize = maybe(generator), maybe(critic)
  generator_optimizer = _adam(generator, config.optimizers.generator)
  critic_optimizer = _adam(critic, config.optimizers.critic)
  pairs = _stored(config, a + b, device)
  weights = config.weights

  def play() -> None:
    real = _load(pairs, config.data)
    x, y = real.split((a, b), 1)
    with precision:
      fake_y = generate(x)
      fake = torch.cat([x, fake_y], 1)

    critic_optimizer.zero_grad()
    with precision:
      loss = _cross_entropy(criticize(real), 1)
      loss += _cross_entropy(criticize(fake.detach()), 0)
    (0.5 * loss).backward()
    critic_optimizer.step()

    critic.requires_grad_(False)
    generator_optimizer.zero_grad()
    with precision:
      adversarial = _cross_entropy(criticize(fake), 1)
      l1 = F.l1_loss(fake_y, y)
      loss = weights.adversarial * adversarial + weights.l1 * l1
    loss.backward()
    generator_optimizer.step()
    critic.requires_grad_(True)

  return play, (generator, critic)


# By algorithm, the loss that it has here, and what makes its step.
GAMES = {
  "cyclegan": ("least_squares", _cyclegan),
  "pix2pix": ("non_saturating", _pix2pix),
}


def prepare(config: ConfigDict, compiled: bool, device: str) -> SimpleNamespace:
  """Returns the same as `peer.prepare`."""
  loss, create = GAMES[config.algorithm]
  if config.loss.name != loss:
    raise ValueError(f"no peer for loss.name={config.loss.name!r}")
  one, networks = create(
    config,
    device,
    partial(torch.compile, dynamic=False) if compiled else lambda f: f,
    torch.autocast(device, torch.bfloat16, enabled=config.dtype == "bfloat16"),
  )

  def play(steps: int) -> None:
    for _ in range(steps):
      one()
    if device == "cuda":
      torch.cuda.synchronize()

  return SimpleNamespace(
    play=play,
    networks=networks,
    parameters=sum(p.numel() for net in networks for p in net.parameters()),
  )
