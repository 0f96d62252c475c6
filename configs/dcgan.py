"""DCGAN: Radford et al. 2016, https://arxiv.org/abs/1511.06434.

  python -m jaxgan.main --config=configs/dcgan.py

The non-saturating GAN with stride-2 convolutions and batch norm. The
values are from the authors' Torch code, dcgan.torch; the paper's batch is 128.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

# "faces": 64x64 photographs below data.path, within an hour on two CPU cores.
PRESETS = (*presets.IMAGES, "faces")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config("folder" if preset == "faces" else preset)
  config.loss.name = "non_saturating"
  network = {"name": "dcgan", "width": 64, "norm": "batch"}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  # 25 epochs.
  config.steps = {
    "mnist": 23_000,
    "fashion_mnist": 23_000,
    "cifar10": 19_000,
    "celeba": 63_000,
  }.get(preset, 63_000)
  if "digits" in preset:  # minutes on two CPU cores
    config.steps = 3000
    config.generator.width = config.critic.width = 32
  elif preset == "faces":
    config.steps = 10_000
    config.generator.width = config.critic.width = 32
  return config
