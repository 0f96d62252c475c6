"""A feature network that a test can compute by itself."""

import jax.numpy as jnp

from jaxgan.evaluation.feature_nets import FeatureNet


def plain_net(size=3, classes=10):
  """Features that a test can compute by itself: grey levels of pixels."""

  def apply(variables, images):
    flat = jnp.asarray(images).reshape(len(images), -1) / 255.0
    return flat[:, 100 : 100 + size], flat[:, 50:60]

  return FeatureNet("pixels-", "pixels", "0", "none", classes, size, apply)
