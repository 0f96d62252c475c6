"""Pix2Pix: Isola et al. 2017 (arXiv:1611.07004).

Of pairs of aligned images. The critic sees an image beside its source (eq. 1),
and the generator is drawn to the target by the L1 distance (eqs. 3 and 4).
Its noise is that of dropout, which stays on when it is used, as do, after
training with batches of one, the statistics of the batch (section 3.3).
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan.algorithms.one_sided import one_sided, translation_config
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for values that cannot work.
  """
  if config.data.name == "unpaired":
    raise InputError(
      "pix2pix learns from pairs: choose a preset of such, as 'outlines' or "
      "'pairs', or configs/cyclegan.py"
    )

  def with_source(batch: Batch, images: jax.Array) -> jax.Array:
    return jnp.concatenate([batch["source"], images], axis=-1)

  return one_sided(config, toward="target", sees=with_source, noisy=True)


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game; see `one_sided.translation_config`."""
  config = translation_config("pix2pix", preset)
  config.n_critic = 1  # critic updates per step
  config.weights = ConfigDict({"adversarial": 1.0, "l1": 1.0})
  return config
