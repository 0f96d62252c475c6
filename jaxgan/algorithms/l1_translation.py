"""One-sided translation between two sets of images, without pairs.

A single generator, kept near its input by an L1 term, and a critic of patches:
the self-regularisation of SimGAN (Shrivastava et al. 2017, arXiv:1612.07828,
eq. 4) in place of CycleGAN's second generator and second critic. With a weight
of 0 it is a plain GAN between the sets; with a large one G is the identity.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.one_sided import (
  OneSided,
  create_one_sided,
  translation_config,
)


def create(config: ConfigDict) -> OneSided:
  """Returns the game that a config describes; refuses what cannot work."""
  return create_one_sided(config, OneSided)


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game; see `one_sided.translation_config`."""
  config = translation_config("l1_translation", preset)
  config.n_critic = 1  # critic updates per step
  config.weights = ConfigDict({"adversarial": 1.0, "l1": 1.0})
  return config
