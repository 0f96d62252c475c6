"""WGAN-GP: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028.

  python -m jaxgan.main --config=configs/wgan_gp.py

A Wasserstein critic whose slope a penalty on its gradient draws to 1. The
values are from the paper's code: gan_mnist.py, gan_cifar_resnet.py
(unsupervised) and gan_64x64.py.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

# "faces": 64x64 photographs below data.path, within an hour on two CPU cores.
PRESETS = (*presets.IMAGES, "faces")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config("folder" if preset == "faces" else preset)
  config.loss.name = "wasserstein"
  config.penalty = ConfigDict({"name": "wgan_gp", "weight": 10.0})
  config.n_critic = 5
  config.latent_size = 128

  if preset in ("cifar10", "celeba", "folder"):
    config.generator = ConfigDict(
      {
        "name": "resnet",
        "widths": (128,) * 4,
        "norm": "batch",
      }
    )
    config.critic = ConfigDict(
      {
        "name": "resnet",
        "widths": (128,) * 4,
        "norm": "none",
      }
    )
    adam = {
      "name": "adam",
      "learning_rate": 2e-4,
      "b1": 0.0,
      "b2": 0.9,
      "schedule": "linear",
    }
    config.generator_batches = 2
    config.data.dequantize = True
    config.steps = 100_000
    if preset != "cifar10":  # 64x64
      # The code's critic ends at 4x4 in a linear layer; this one ends as the
      # smaller critic does, in two blocks at 8x8 and a mean.
      config.generator.widths = (512, 512, 256, 128, 64)
      config.critic.widths = (128, 256, 512, 512, 512)
      config.critic.norm = "layer"
      adam |= {"learning_rate": 1e-4, "schedule": "constant"}
      config.generator_batches = 1
      config.data.dequantize = False
      config.steps = 200_000
  else:
    # gan_mnist.py crops 8x8 maps to 7x7 for images of 28x28; here they are
    # padded to 32x32, and a tanh replaces its sigmoid.
    network = {
      "name": "dcgan",
      "width": 64,
      "kernel_size": 5,
      "norm": "none",
      "use_bias": True,
      "kernel_init": "uniform",
    }
    config.generator = ConfigDict(network)
    config.critic = ConfigDict(network)
    adam = {
      "name": "adam",
      "learning_rate": 1e-4,
      "b1": 0.5,
      "b2": 0.9,
      "schedule": "constant",
    }
    config.batch_size = 50
    config.steps = 200_000
    if "digits" in preset:
      # Minutes on two CPU cores: smaller networks, and a higher learning rate
      # for far fewer steps.
      config.batch_size = 64
      config.steps = 3000
      config.generator.width = config.critic.width = 32
      config.generator.kernel_size = config.critic.kernel_size = 4
      adam["learning_rate"] = 1e-3
    elif preset == "faces":
      # 50 minutes. Smaller batches than published, for more updates.
      config.batch_size = 32
      config.steps = 2600
      config.generator.update(width=32, kernel_size=4, norm="batch")
      config.critic.update(width=32, kernel_size=4)
      adam["learning_rate"] = 5e-4
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  return config
