"""R3GAN's objective: Huang et al. 2024, https://arxiv.org/abs/2501.05441.

  python -m jaxgan.main --config=configs/r3gan.py

The relativistic pairing loss with R1 and R2: a critic without any norm. The
networks are WGAN-GP's, not the paper's, which are ResNeXt-like with another
initialisation. Learning rate and betas have no schedules.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  config.loss.name = "relativistic"
  config.latent_size = 64
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.0, "b2": 0.99}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  # The weight is the paper's gamma, which depends on the data. These values are
  # not confirmed against its code.
  config.penalty = ConfigDict({"name": "r1_r2", "weight": 1.0})
  config.steps = 100_000
  if preset in ("cifar10", "celeba", "folder"):
    config.generator = ConfigDict(
      {
        "name": "resnet",
        "widths": (128,) * 4,
        "norm": "none",
      }
    )
    config.critic = ConfigDict(
      {
        "name": "resnet",
        "widths": (128,) * 4,
        "norm": "none",
      }
    )
    if preset == "cifar10":
      config.penalty.weight = 0.05
    else:  # 64x64
      config.generator.widths = (512, 512, 256, 128, 64)
      config.critic.widths = (128, 256, 512, 512, 512)
    return config
  network = {
    "name": "dcgan",
    "width": 64,
    "norm": "none",
    "use_bias": True,
    "kernel_init": "uniform",
  }
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  if "digits" in preset:  # minutes on two CPU cores
    config.steps = 3000
    config.generator.width = config.critic.width = 32
  return config
