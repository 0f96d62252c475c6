"""Batches as a pure function of (seed, round), and augmentation."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.config import InputError
from jaxgan.data import Source
from jaxgan.parallel import AXIS, Parallel, example_keys
from jaxgan.train_step import Batch, TrainState

# Sets up to this size are held on every device.
RESIDENT_BYTES = 1 << 30


def shuffled(
  seed: int, positions: np.ndarray | jax.Array, length: int, xp: Any = np
) -> np.ndarray | jax.Array:
  """Indices of the examples at `positions` of an endless shuffled sequence.

  The sequence is one permutation of all examples after the other, epoch e
  being drawn from (seed, e). A permutation is a Feistel network on the bits
  of an index, repeated where the result is no index (cycle walking), so that
  it costs the same everywhere and needs no memory.

  Args:
    seed: any integer.
    positions: of 0 or more, `[n]`; on a device below 2^32, as uint32.
    length: examples in an epoch.
    xp: `numpy`, or `jax.numpy` within a compiled function.
  """
  epochs = (positions // length).astype("uint32")
  half = np.uint32(max(1, -(-(length - 1).bit_length() // 2)))
  mask = np.uint32((1 << int(half)) - 1)
  keys = []
  for i in range(6):
    salt = hashlib.sha256(f"{seed} {i}".encode()).digest()
    keys.append(_mix(epochs ^ np.uint32(int.from_bytes(salt[:4], "big"))))

  def permute(x):
    left, right = x >> half, x & mask
    for key in keys:
      left, right = right, left ^ (_mix(right ^ key) & mask)
    return left << half | right

  def outside(x):
    return (x >= np.uint32(length)).any()

  def again(x):
    return xp.where(x >= np.uint32(length), permute(x), x)

  indices = permute((positions % length).astype("uint32"))
  if xp is np:
    while outside(indices):
      indices = again(indices)
    return indices.astype("int64")
  return jax.lax.while_loop(outside, again, indices).astype("int32")


def _mix(x: Any) -> Any:
  """A bijection of uint32 in which every bit depends on every other."""
  x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
  x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
  return x ^ (x >> np.uint32(16))


def feed(
  source: Source,
  config: ConfigDict,
  updates: int,
  start: int,
  step: Callable[[TrainState, Batch], Any],
  mapping: Parallel,
) -> tuple[Callable[[TrainState, Any], Any], Iterator[Any]]:
  """Maps the training step over the devices, and returns what to feed it.

  A set that is small enough is put on every device once, and the step picks
  its minibatches there; of others the host sends each round's.

  Args:
    source: where the examples come from.
    config: the run's.
    updates: minibatches in a round.
    start: the first round.
    step: see `make_train_step`.
    mapping: see `parallel.create`.

  Returns:
    The mapped step, and an iterator over its second arguments up to the last
    round.

  Raises:
    InputError: where the source is smaller than one minibatch.
  """
  length, rounds = len(source), config.steps - start
  if length < config.batch_size:
    raise InputError(
      f"the data has {length} examples, too few for one batch: set "
      f"batch_size to {length} or less"
    )
  size = sum(x.nbytes for x in source[np.arange(1)].values()) * length
  total = config.steps * updates * config.batch_size
  if not source.in_memory or size > RESIDENT_BYTES or total >= 1 << 32:
    process = jax.process_index(), jax.process_count()
    sent = batches(
      source,
      config.seed,
      config.batch_size,
      updates,
      start,
      config.steps,
      process,
    )
    return mapping.map_step(step), map(mapping.shard_batch, sent)

  def pick(state: TrainState, examples: Batch) -> Any:
    share = config.batch_size // jax.lax.axis_size(AXIS)
    rows = jax.lax.axis_index(AXIS) * share + jnp.arange(share)
    first = jnp.uint32(state.step) * updates + jnp.arange(
      updates, dtype="uint32"
    )
    positions = first[:, None] * config.batch_size + rows.astype("uint32")
    indices = shuffled(config.seed, positions.reshape(-1), length, jnp)
    return step(
      state,
      {
        key: array[indices].reshape(updates, share, *array.shape[1:])
        for key, array in examples.items()
      },
    )

  examples = mapping.replicate(source[np.arange(length)])
  return mapping.map_step(pick, shared=True), repeat(examples, rounds)


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
  """
  index, count = process
  share = batch_size // count

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
