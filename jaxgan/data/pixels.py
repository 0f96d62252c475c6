"""."""

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import SIDES
from jaxgan.game import Batch

IMAGES = ("image", *SIDES)  # what they are called in a batch


def unaugmented(batch: Batch, config: ConfigDict) -> Batch:
  """The images of a batch as floats in [-1, 1], cut to their central window.

  Args:
    batch: with images as `make_augment` takes them; all else is kept.
    config: `config.data`.
  """
  batch = {key: to_float(array) for key, array in batch.items()}
  if margin := config.get("margin", 0):
    window = slice(margin // 2, margin // 2 - margin)
    for name in batch.keys() & IMAGES:
      batch[name] = batch[name][:, window, window]
  return batch


def to_uint8(image: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
  """Images in [-1, 1] as uint8, rounded; points and uint8 as they are."""
  if image.ndim == 2 or image.dtype == "uint8":
    return image
  return ((image + 1) * 127.5 + 0.5).clip(0, 255).astype("uint8")


def to_float(image: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
  """uint8 images as float32 in [-1, 1]; floats, such as points, as they are."""
  return (
    image.astype("float32") / 127.5 - 1 if image.dtype == "uint8" else image
  )
