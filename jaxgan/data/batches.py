"""Batches as a pure function of (seed, round), and augmentation."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.config import InputError
from jaxgan.data import Source
from jaxgan.parallel import example_keys
from jaxgan.train_step import Batch


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
  return np.random.default_rng([seed, epoch]).permutation(length)


def shuffled(seed: int, positions: np.ndarray, length: int) -> np.ndarray:
  """Indices of the examples at `positions` of an endless shuffled sequence.

  The sequence is one permutation of all examples after the other, epoch e
  being drawn from (seed, e).
  """
  epochs, offsets = np.divmod(positions, length)
  indices = np.empty_like(positions)
  for epoch in np.unique(epochs):
    here = epochs == epoch
    permutation = _permutation(seed, int(epoch), length)
    indices[here] = permutation[offsets[here]]
  return indices


def batches(
  source: Source,
  seed: int,
  batch_size: int,
  updates: int,
  start: int,
  stop: int,
  process: tuple[int, int] = (0, 1),
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the minibatches of rounds `start` to `stop - 1`.

  Args:
    source: where the examples come from.
    seed: of the order.
    batch_size: examples in a minibatch, of all processes together.
    updates: minibatches in a round.
    start: the first round.
    stop: the round after the last.
    process: index of this process and how many there are; each gets its own
      rows of every minibatch.

  Returns:
    An iterator over dicts of arrays `[updates, B, ...]`, B being this
    process's share.

  Raises:
    InputError: where the source is smaller than one minibatch.
  """
  index, count = process
  share = batch_size // count
  if len(source) < batch_size:
    raise InputError(
      f"the data has {len(source)} examples, too few for one batch: set "
      f"batch_size to {len(source)} or less"
    )

  def load(round_: int) -> dict[str, np.ndarray]:
    rows = np.arange(batch_size)[index * share : (index + 1) * share]
    first = (round_ * updates + np.arange(updates)) * batch_size
    positions = (first[:, None] + rows).reshape(-1)
    examples = source[shuffled(seed, positions, len(source))]
    return {
      key: array.reshape(updates, share, *array.shape[1:])
      for key, array in examples.items()
    }

  if source.in_memory:
    return map(load, range(start, stop))
  import grain

  return iter(
    grain.MapDataset.range(start, stop)
    .map(load)
    .to_iter_dataset(grain.ReadOptions(num_threads=8, prefetch_buffer_size=8))
  )


def make_prepare(config: ConfigDict) -> Callable[[Batch, jax.Array], Batch]:
  """Returns `prepare(batch, rng)` of `make_train_step` for `config.data`.

  It turns images, uint8 `[B, H, W, C]`, into floats in [-1, 1] and augments
  them as the config says. `config.dequantize` adds uniform noise of one grey
  level, as WGAN-GP's code does for CIFAR-10.
  """

  def augment(image: jax.Array, key: jax.Array) -> jax.Array:
    flip_key, crop_key, noise_key = jax.random.split(key, 3)
    if config.flip:
      flipped = jax.random.bernoulli(flip_key)
      image = jnp.where(flipped, image[:, ::-1], image)
    if config.crop:
      edge = (config.crop, config.crop)
      padded = jnp.pad(image, (edge, edge, (0, 0)), mode="reflect")
      offsets = jax.random.randint(crop_key, (2,), 0, 2 * config.crop + 1)
      image = jax.lax.dynamic_slice(padded, (*offsets, 0), image.shape)
    if config.dequantize:
      noise = jax.random.uniform(noise_key, image.shape)
      return (image + noise) / 128 - 1
    return to_float(image)

  def prepare(batch: Batch, rng: jax.Array) -> Batch:
    image = batch["image"]
    if image.dtype != jnp.uint8:
      return batch
    keys = example_keys(rng, image.shape[0])
    return {**batch, "image": jax.vmap(augment)(image, keys)}

  return prepare


def to_float(image: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
  """uint8 images as float32 in [-1, 1]; floats, such as points, as they are."""
  return (
    image.astype("float32") / 127.5 - 1 if image.dtype == "uint8" else image
  )
