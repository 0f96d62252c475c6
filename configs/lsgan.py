"""LSGAN: Mao et al. 2017, https://arxiv.org/abs/1611.04076.

  python -m jaxgan.main --config=configs/lsgan.py

Least squares in place of cross entropy, on DCGAN's networks. Adam has the
paper's b1 = 0.5, and DCGAN's learning rate.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  config.loss.name = "least_squares"
  network = {"name": "dcgan", "width": 64, "norm": "batch"}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  config.steps = 50_000
  if "digits" in preset:  # minutes on two CPU cores
    config.steps = 3000
    config.generator.width = config.critic.width = 32
  return config
