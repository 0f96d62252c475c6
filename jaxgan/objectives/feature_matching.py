"""Feature matching: Salimans et al. 2016 (arXiv:1606.03498), section 3.1."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan import models
from jaxgan.game import Params, pmean


def feature_distance(
  critic: nn.Module,
  params: Params,
  model_state: Any,
  layer: str,
  real: jax.Array,
  fake: jax.Array,
) -> jax.Array:
  """Returns the L1 distance of the mean features of two batches.

  As the code of the paper has it for CIFAR-10. Within a mapped step: the means
  are over the batches of all devices. The features are those that the critic
  has in `layer`, one of `models.layer_names`.
  """
  real_mean, fake_mean = (
    pmean(models.features(critic, params, model_state, x)[layer].mean(0))
    for x in (real, fake)
  )
  return jnp.abs(real_mean - fake_mean).mean()
