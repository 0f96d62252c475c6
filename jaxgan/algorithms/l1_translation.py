"""One-sided translation between two sets of images, without pairs.

A single generator, kept near its input by an L1 term, and a critic of patches:
the self-regularisation of SimGAN (Shrivastava et al. 2017, arXiv:1612.07828,
eq. 4) in place of CycleGAN's second generator and second critic. With a weight
of 0 it is a plain GAN between the sets; with a large one G is the identity.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.one_sided import one_sided
from jaxgan.game import Game


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for values that cannot work.
  """
  return one_sided(config, toward="source")
