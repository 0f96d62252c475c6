"""Metrics of images beside the images that they should be."""

import dm_pix
import jax
import jax.numpy as jnp

from jaxgan.evaluation.metrics import Undefined


def l1(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the mean absolute difference `[B]` of images `[B, H, W, C]`."""
  return jnp.abs(a - b).mean((1, 2, 3))


def psnr(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the signal-to-noise ratio `[B]`, in dB, of images in [-1, 1]."""
  return dm_pix.psnr((a + 1) / 2, (b + 1) / 2)


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the structural similarity `[B]` of images in [-1, 1].

  Wang et al. 2004, with their Gaussian window of 11x11.

  Raises:
    Undefined: where a side is smaller than the window.
  """
  if min(a.shape[1:3]) < 11:
    raise Undefined("an image is smaller than the window of 11x11")
  return dm_pix.ssim((a + 1) / 2, (b + 1) / 2)
