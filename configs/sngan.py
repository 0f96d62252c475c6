"""SNGAN: Miyato et al. 2018, https://arxiv.org/abs/1802.05957.

  python -m jaxgan.main --config=configs/sngan.py

Hinge loss, and a critic whose layers have spectral norm 1. The networks on
CIFAR-10 are the paper's ResNet, with 256 channels in the generator.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  config.loss.name = "hinge"
  config.latent_size = 128
  if preset in ("cifar10", "celeba", "folder"):
    config.generator = ConfigDict(
      {
        "name": "resnet",
        "widths": (256,) * 4,
        "norm": "batch",
      }
    )
    config.critic = ConfigDict(
      {
        "name": "resnet",
        "widths": (128,) * 4,
        "norm": "none",
        "spectral_norm": True,
        "sum_pool": True,
      }
    )
    if preset != "cifar10":  # 64x64
      config.generator.widths = (512, 512, 256, 128, 64)
      config.critic.widths = (128, 256, 512, 512, 512)
    adam = {
      "name": "adam",
      "learning_rate": 2e-4,
      "b1": 0.0,
      "b2": 0.9,
      "schedule": "linear",
    }
    config.n_critic = 5
    config.generator_batches = 2
    config.steps = 50_000
  else:
    config.generator = ConfigDict({"name": "dcgan", "norm": "batch"})
    config.critic = ConfigDict(
      {
        "name": "dcgan",
        "norm": "none",
        "spectral_norm": True,
        "use_bias": True,
      }
    )
    # The paper's setting C.
    adam = {
      "name": "adam",
      "learning_rate": 2e-4,
      "b1": 0.5,
      "b2": 0.999,
      "schedule": "constant",
    }
    config.generator.width = config.critic.width = 64
    config.steps = 100_000
    if "digits" in preset:  # minutes on two CPU cores
      config.steps = 3000
      config.generator.width = config.critic.width = 32
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  return config
