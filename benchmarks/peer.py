"""The same networks, losses and step in PyTorch, as one would write them.

It reads a jaxgan config, so that both sides always have the same architecture
and batch. Only what the speed table needs is here: `models/dcgan.py` and
`models/resnet.py` with batch norm or none, the non-saturating and Wasserstein
losses, the gradient penalty, Adam, and the average of the generator; CycleGAN
and Pix2Pix are in `peer_translation.py`.
"""

import copy
from functools import partial
from types import SimpleNamespace

import peer_translation
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn


def _norm(norm: str, channels: int) -> nn.Module:
  return {"batch": nn.BatchNorm2d, "none": nn.Identity}[norm](channels)


def _dcgan_generator(config: ConfigDict, latent: int, side: int, out: int):
  n, k = side.bit_length() - 3, config.get("kernel_size", 4)
  bias = config.get("use_bias", False)
  hidden_bias = bias and config.norm != "batch"
  width = config.width * 2 ** (n - 1)
  layers = [
    nn.Linear(latent, 16 * width, hidden_bias),
    nn.Unflatten(1, (width, 4, 4)),
    _norm(config.norm, width),
    nn.ReLU(True),
  ]
  for i in range(n):
    last = i == n - 1
    features = out if last else width // 2
    layers.append(
      nn.ConvTranspose2d(
        width,
        features,
        k,
        2,
        (k - 1) // 2,
        k % 2,
        bias=bias if last else hidden_bias,
      )
    )
    if not last:
      layers += [_norm(config.norm, features), nn.ReLU(True)]
    width = features
  return nn.Sequential(*layers, nn.Tanh())


def _dcgan_critic(config: ConfigDict, side: int, channels: int):
  n, k = side.bit_length() - 3, config.get("kernel_size", 4)
  bias = config.get("use_bias", False)
  layers = []
  for i in range(n):
    norm, features = config.norm if i else "none", config.width * 2**i
    layers += [
      nn.Conv2d(
        channels, features, k, 2, (k - 1) // 2, bias=bias and norm != "batch"
      ),
      _norm(norm, features),
      nn.LeakyReLU(0.2, True),
    ]
    channels = features
  return nn.Sequential(
    *layers, nn.Flatten(), nn.Linear(16 * channels, 1, bias), nn.Flatten(0)
  )


class _Block(nn.Module):
  def __init__(self, channels, features, resample, norm, first=False):
    super().__init__()
    hidden = channels if resample == "down" and not first else features
    self.resample = resample
    self.first = first
    self.shortcut = nn.Identity()
    if resample != "none" or channels != features:
      self.shortcut = nn.Conv2d(channels, features, 1)
    self.norm1 = nn.Identity() if first else _norm(norm, channels)
    self.conv1 = nn.Conv2d(channels, hidden, 3, 1, 1, bias=norm != "batch")
    self.norm2 = _norm(norm, hidden)
    self.conv2 = nn.Conv2d(hidden, features, 3, 1, 1)

  def forward(self, x):
    up, down = self.resample == "up", self.resample == "down"
    h = x if self.first else F.relu(self.norm1(x))
    if up:
      h = F.interpolate(h, scale_factor=2)
    h = self.conv2(F.relu(self.norm2(self.conv1(h))))
    if down:
      return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
    shortcut = self.shortcut(x)
    return h + (F.interpolate(shortcut, scale_factor=2) if up else shortcut)


class _Mean(nn.Module):
  def forward(self, x):
    return x.mean((2, 3))


def _resnet_generator(config: ConfigDict, latent: int, side: int, out: int):
  widths = config.widths
  return nn.Sequential(
    nn.Linear(latent, 16 * widths[0]),
    nn.Unflatten(1, (widths[0], 4, 4)),
    *(
      _Block(a, b, "up", config.norm)
      for a, b in zip(widths, widths[1:], strict=False)
    ),
    _norm(config.norm, widths[-1]),
    nn.ReLU(True),
    nn.Conv2d(widths[-1], out, 3, 1, 1),
    nn.Tanh(),
  )


def _resnet_critic(config: ConfigDict, side: int, channels: int):
  n, blocks = side.bit_length() - 3, []
  for i, features in enumerate(config.widths):
    resample = "down" if i < n - 1 else "none"
    blocks.append(_Block(channels, features, resample, config.norm, i == 0))
    channels = features
  return nn.Sequential(
    *blocks, nn.ReLU(True), _Mean(), nn.Linear(channels, 1), nn.Flatten(0)
  )


_GENERATORS = {"dcgan": _dcgan_generator, "resnet": _resnet_generator}
_CRITICS = {"dcgan": _dcgan_critic, "resnet": _resnet_critic}


def prepare(config: ConfigDict, compiled: bool, device: str) -> SimpleNamespace:
  """Returns `play(steps)`, the `networks`, and the count `parameters`."""
  if config.algorithm in peer_translation.GAMES:
    return peer_translation.prepare(config, compiled, device)
  side, channels = config.data.image_size, config.data.channels
  batch, updates, dtype = config.batch_size, config.n_critic, config.dtype
  generator = _GENERATORS[config.generator.name](
    config.generator, config.latent_size, side, channels
  ).to(device)
  critic = _CRITICS[config.critic.name](config.critic, side, channels)
  critic.to(device)
  averaged = copy.deepcopy(generator)
  optimizers = {
    net: torch.optim.Adam(net.parameters(), s.learning_rate, (s.b1, s.b2))
    for net, s in (
      (generator, config.optimizers.generator),
      (critic, config.optimizers.critic),
    )
  }
  loss_name = config.loss.name
  if loss_name not in ("non_saturating", "wasserstein"):
    raise ValueError(f"no peer for loss.name={loss_name!r}")
  images = torch.randint(
    256, (batch * updates, channels, side, side), dtype=torch.uint8
  ).to(device)
  # torch.compile cannot differentiate twice: the penalty stays eager.
  maybe = partial(torch.compile, dynamic=False) if compiled else lambda f: f
  generate, criticize = maybe(generator), maybe(critic)
  precision = torch.autocast(
    device, torch.bfloat16, enabled=dtype == "bfloat16"
  )

  def latents(n: int) -> torch.Tensor:
    return torch.randn(n, config.latent_size, device=device)

  def load(i: int) -> torch.Tensor:
    x = images[i * batch : (i + 1) * batch].float()
    if config.data.dequantize:
      x = (x + torch.rand_like(x)).div_(128).sub_(1)
    else:
      x = x.div_(127.5).sub_(1)
    if config.data.flip:
      flipped = torch.rand(batch, 1, 1, 1, device=device) < 0.5
      x = torch.where(flipped, x.flip(3), x)
    return x

  def penalty(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    mix = torch.rand(batch, 1, 1, 1, device=device)
    x = (real + mix * (fake - real)).requires_grad_()
    (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()

  def critic_update(i: int) -> None:
    real = load(i)
    with torch.no_grad(), precision:
      fake = generate(latents(batch))
    optimizers[critic].zero_grad()
    with precision:
      on_real, on_fake = criticize(real), criticize(fake)
      if loss_name == "wasserstein":
        loss = on_fake.mean() - on_real.mean()
      else:
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
      if config.penalty.name:
        loss = loss + config.penalty.weight * penalty(real, fake)
    loss.backward()
    optimizers[critic].step()

  def generator_update() -> None:
    critic.requires_grad_(False)
    optimizers[generator].zero_grad()
    with precision:
      on_fake = criticize(generate(latents(config.generator_batches * batch)))
      if loss_name == "wasserstein":
        loss = -on_fake.mean()
      else:
        loss = F.softplus(-on_fake).mean()
    loss.backward()
    optimizers[generator].step()
    critic.requires_grad_(True)
    with torch.no_grad():
      torch._foreach_lerp_(
        list(averaged.parameters()),
        list(generator.parameters()),
        1 - config.ema_decay,
      )

  def play(steps: int) -> None:
    for _ in range(steps):
      for i in range(updates):
        critic_update(i)
      generator_update()
    if device == "cuda":
      torch.cuda.synchronize()

  return SimpleNamespace(
    play=play,
    networks=(generator, critic),
    parameters=sum(
      p.numel() for net in (generator, critic) for p in net.parameters()
    ),
  )
