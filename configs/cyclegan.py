"""CycleGAN: Zhu et al. 2017, https://arxiv.org/abs/1703.10593.

  python -m jaxgan.main --config=configs/cyclegan.py

Two generators and two PatchGANs, tied by a cycle: an image that is translated
there and back should come back. The values are from the authors' code for
PyTorch, at 256x256 with batches of one; see `jaxgan/data/presets.py` for the
presets. Of MNIST -> USPS 83.7 % keep their digit, of USPS -> MNIST 91.0 %; see
docs/results/translation.md.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.cyclegan import default_config
from jaxgan.data import presets

# The domains of svhn_mnist have different numbers of channels.
PRESETS = tuple(x for x in presets.TRANSLATIONS if x != "svhn_mnist")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  config.loss.name = "least_squares"
  config.weights.update(
    adversarial=2.0,  # its least squares have no factor of a half
    cycle=10.0,
    identity=5.0,  # half of the weight of the cycle
  )
  config.pool_size = 50
  config.generator = ConfigDict(
    {"name": "cyclegan", "width": 64, "blocks": 9, "norm": "instance"}
  )
  config.critic = ConfigDict(
    {"name": "patchgan", "width": 64, "layers": 3, "norm": "instance"}
  )
  adam = {
    "name": "adam",
    "learning_rate": 2e-4,
    "b1": 0.5,
    "b2": 0.999,
    "schedule": "half_linear",  # 100 epochs, and 100 more down to 0
  }
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  config.batch_size = 1
  config.steps = 267_000  # 200 epochs of horse2zebra
  if config.data.image_size < 32:
    # Digits, in minutes on two CPU cores: networks and values as in
    # configs/l1_translation.py. At this learning rate the cycle would drive
    # generators without a norm to black images.
    config.generator = ConfigDict(
      {"name": "small_translator", "width": 32, "norm": "instance"}
    )
    config.critic.update(width=32, layers=1)
    for optimizer in config.optimizers.values():
      optimizer.update(learning_rate=1e-3, schedule="constant")
    config.ema_decay = 0.995
    config.batch_size = 64
    config.steps = 2000
  elif preset == "faces":
    # For two CPU cores: fewer blocks, as published for small images, half the
    # width, and larger batches.
    config.generator.update(width=32, blocks=6)
    config.critic.width = 32
    for optimizer in config.optimizers.values():
      optimizer.schedule = "constant"
    config.ema_decay = 0.995
    config.batch_size = 4
    config.steps = 2200  # 28 minutes
  return config
