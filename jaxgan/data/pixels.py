"""Pixels as uint8 or as floats in [-1, 1]."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import SIDES
from jaxgan.game import Batch

IMAGES = ("image", *SIDES)  # the entries of a batch that may be images


def unaugmented(batch: Batch, config: ConfigDict) -> Batch:
  """Returns a batch with images in [-1, 1], cut to their central window.

  Of the uint8 ones; all other entries, such as labels, stay as they are.
  """
  batch = {key: to_float(array) for key, array in batch.items()}
  if margin := config.get("margin", 0):
    window = slice(margin // 2, margin // 2 - margin)
    for name in batch.keys() & IMAGES:
      batch[name] = batch[name][:, window, window]
  return batch


def to_uint8(image: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
  """Returns images in [-1, 1] as uint8, rounded; points, uint8 unchanged."""
  if image.ndim == 2 or image.dtype == "uint8":
    return image
  return ((image + 1) * 127.5 + 0.5).clip(0, 255).astype("uint8")


def to_float(image: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
  """Returns uint8 images as float32 in [-1, 1]; all else unchanged."""
  if image.dtype != "uint8":
    return image
  return image.astype("float32") / 127.5 - 1


def match_shape(images: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
  """Returns images `[B, H, W, C]` resized to `shape`, `(H, W, C)`."""
  if images.shape[-1] > shape[-1]:  # as Pillow makes them grey
    images = images @ jnp.array([[0.299], [0.587], [0.114]], images.dtype)
  images = jnp.broadcast_to(images, (*images.shape[:3], shape[-1]))
  if images.shape[1:] != shape:
    images = jax.image.resize(images, (len(images), *shape), "linear")
  return images
