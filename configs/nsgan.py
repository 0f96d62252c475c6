"""Non-saturating GAN: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661.

  python -m jaxgan.main --config=configs/nsgan.py

configs/gan.py with the generator's loss of section 3, which the authors used to
train.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  config.loss.name = "non_saturating"
  config.generator = ConfigDict(
    {
      "name": "mlp",
      "hidden": (256, 512, 1024),
      "norm": "batch",
    }
  )
  config.critic = ConfigDict(
    {
      "name": "mlp",
      "hidden": (512, 256),
      "norm": "none",
    }
  )
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  config.steps = 100_000
  if "digits" in preset:
    config.steps = 5000
  return config
