"""Random flips, crops and noise of images, by one key for each example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan.data import SIDES
from jaxgan.data.pixels import IMAGES, to_float
from jaxgan.game import Batch, example_keys


def make_augment(config: ConfigDict) -> Callable[[Batch, jax.Array], Batch]:
  """Returns `augment(batch, rng) -> batch` for `config.data`.

  It turns images, uint8 `[B, H, W, C]`, into floats in [-1, 1] and augments
  them as the config says, both images of a pair alike. `config.dequantize` adds
  uniform noise of one grey level, as WGAN-GP's code does for CIFAR-10; images
  with a `config.margin` are cut to a random window without it. Of an
  `<image>_embedding`, `[B, 1 or 2, D]`, the second is that of the flipped
  image. All other entries of the batch, such as labels, stay as they are.
  """
  crop, margin = config.get("crop", 0), config.get("margin", 0)

  def flipped(key: jax.Array) -> jax.Array:
    return jax.random.bernoulli(jax.random.split(key, 3)[0])

  def augment_image(image: jax.Array, key: jax.Array) -> jax.Array:
    _, crop_key, noise_key = jax.random.split(key, 3)
    if config.flip:
      image = jnp.where(flipped(key), image[:, ::-1], image)
    if crop:
      edge = (crop, crop)
      image = jnp.pad(image, (edge, edge, (0, 0)), mode="reflect")
    if larger := 2 * crop + margin:
      offsets = jax.random.randint(crop_key, (2,), 0, larger + 1)
      height, width, channels = image.shape
      window = height - larger, width - larger, channels
      image = jax.lax.dynamic_slice(image, (*offsets, 0), window)
    if config.get("dequantize", False):
      noise = jax.random.uniform(noise_key, image.shape)
      return (image + noise) / 128 - 1
    return to_float(image)

  def augment(batch: Batch, rng: jax.Array) -> Batch:
    rngs = dict.fromkeys(IMAGES, rng)
    if config.name == "unpaired":
      rngs |= zip(SIDES, jax.random.split(rng), strict=True)
    batch = dict(batch)
    for name in IMAGES:
      if name in batch and batch[name].dtype == jnp.uint8:
        keys = example_keys(rngs[name], len(batch[name]))
        batch[name] = jax.vmap(augment_image)(batch[name], keys)
        if (known := f"{name}_embedding") in batch:
          rows = jax.vmap(flipped)(keys) * int(config.flip)
          batch[known] = jax.vmap(lambda x, i: x[i])(batch[known], rows)
    return batch

  return augment
