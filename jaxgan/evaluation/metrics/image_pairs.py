"""Measures of translated images beside the images that they should be."""

import dm_pix
import jax
import jax.numpy as jnp

SSIM_LEAST = 11  # side of its window


def l1(a: jax.Array, b: jax.Array) -> jax.Array:
  """Mean absolute difference `[B]` of images `[B, H, W, C]`."""
  return jnp.abs(a - b).mean((1, 2, 3))


def psnr(a: jax.Array, b: jax.Array) -> jax.Array:
  """Peak signal-to-noise ratio `[B]`, in dB, of images in [-1, 1]."""
  return dm_pix.psnr((a + 1) / 2, (b + 1) / 2)


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
  """Structural similarity `[B]` of images in [-1, 1].

  Wang et al. 2004, with their Gaussian window of 11x11: no side may be smaller.
  """
  return dm_pix.ssim((a + 1) / 2, (b + 1) / 2)
