"""Pixels: another shape."""

import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgan.data import pixels


def test_images_get_another_shape_as_by_pillow():
  rng = np.random.default_rng(0)
  array = rng.integers(0, 256, (16, 16, 3), np.uint8)
  image = Image.fromarray(array)
  x = jnp.asarray(array, jnp.float32)[None]
  grey = pixels.match_shape(x, (16, 16, 1))
  np.testing.assert_allclose(grey[0, ..., 0], image.convert("L"), atol=1)
  np.testing.assert_array_equal(
    pixels.match_shape(grey, (16, 16, 3)), jnp.repeat(grey, 3, axis=-1)
  )
  for side in (8, 24):
    found = pixels.match_shape(x, (side, side, 3))
    expected = image.resize((side, side), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found[0], expected, atol=1.5)
