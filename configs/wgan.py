"""WGAN: Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875.

  python -m jaxgan.main --config=configs/wgan.py

A Wasserstein critic with a bounded slope: its weights are clipped after each
update, as in the paper's algorithm 1. The authors' code clips before it, and
gives the critic 100 updates in the first 25 steps and every 500th, which the
paper does not mention; neither is done here. RMSprop is as in the authors'
code: decay 0.99, epsilon 1e-8 outside the square root.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

# "faces": 64x64 photographs below data.path, within an hour on two CPU cores.
PRESETS = (*presets.IMAGES, "faces")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config("folder" if preset == "faces" else preset)
  config.loss.name = "wasserstein"
  config.n_critic = 5
  network = {"name": "dcgan", "width": 64, "norm": "batch"}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  rmsprop = {
    "name": "rmsprop",
    "learning_rate": 5e-5,
    "decay": 0.99,
    "eps": 1e-8,
    "eps_in_sqrt": False,
  }
  config.optimizers = ConfigDict(
    {
      "generator": rmsprop,
      "critic": {**rmsprop, "clip_weights": 0.01},
    }
  )
  config.steps = 100_000
  if preset == "faces" or "digits" in preset:
    # Two CPU cores: smaller networks, and a higher learning rate for 40 times
    # fewer steps.
    config.steps = 2500
    config.generator.width = config.critic.width = 32
    config.optimizers.generator.learning_rate = 2e-4
    config.optimizers.critic.learning_rate = 2e-4
  if preset == "faces":  # 33 minutes; smaller batches, for more updates
    config.batch_size = 32
    config.steps = 2600
  return config
