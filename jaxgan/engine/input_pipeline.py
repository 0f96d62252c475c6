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
from jaxgan.data import SIDES, Source
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine.devices import AXIS, Parallel, example_keys
from jaxgan.engine.processes import ALONE, Process
from jaxgan.train_step import Batch, TrainState

# Sets up to this size are held on every device.
RESIDENT_BYTES = 1 << 30
IMAGES = ("image", *SIDES)  # what they are called in a batch


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
  step: Callable[[TrainState, Batch], Any],
  mapping: Parallel,
) -> tuple[Callable[[TrainState, Any], Any], Callable[[int], Iterator[Any]]]:
  """Maps the training step over the devices, and returns what to feed it.

  A set that is small enough is put on every device once, and the step picks
  its minibatches there; of others the host sends each round's.

  Args:
    source: where the examples come from.
    config: the run's.
    updates: minibatches in a round.
    step: see `make_train_step`.
    mapping: see `parallel.create`.

  Returns:
    The mapped step, and `inputs(start)`, an iterator over its second arguments
    from round `start` to the last.

  Raises:
    InputError: where the source is smaller than one minibatch.
  """
  parts, size = _parts(source), 0
  for part in parts:
    length = len(part)
    if length < config.batch_size:
      what = f"{part.side} domain" if isinstance(part, Domain) else "data"
      raise InputError(
        f"the {what} has {length} examples, too few for one batch: set "
        f"batch_size to {length} or less"
      )
    size += sum(x.nbytes for x in part[np.arange(1)].values()) * length
  total = config.steps * updates * config.batch_size
  if not source.in_memory or size > RESIDENT_BYTES or total >= 1 << 32:

    def sent(start: int) -> Iterator[Any]:
      own = batches(
        source,
        config.seed,
        config.batch_size,
        updates,
        start,
        config.steps,
        mapping.process,
      )
      return map(mapping.shard_batch, own)

    return mapping.map_step(step), sent

  def pick(state: TrainState, examples: tuple[Batch, ...]) -> Any:
    share = config.batch_size // jax.lax.axis_size(AXIS)
    rows = jax.lax.axis_index(AXIS) * share + jnp.arange(share)
    first = jnp.uint32(state.step) * updates + jnp.arange(
      updates, dtype="uint32"
    )
    positions = first[:, None] * config.batch_size + rows.astype("uint32")
    batch = {}
    for i, part in enumerate(parts):
      indices = shuffled(
        _seed(config.seed, i), positions.reshape(-1), len(part), jnp
      )
      for key, array in examples[i].items():
        rest = array.shape[1:]
        batch[key] = array[indices].reshape(updates, share, *rest)
    return step(state, batch)

  examples = mapping.replicate(
    tuple(part[np.arange(len(part))] for part in parts)
  )
  return (
    mapping.map_step(pick, shared=True),
    lambda start: repeat(examples, config.steps - start),
  )


def batches(
  source: Source,
  seed: int,
  batch_size: int,
  updates: int,
  start: int,
  stop: int,
  process: Process = ALONE,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the minibatches of rounds `start` to `stop - 1`.

  Each of two unpaired domains goes through its own epochs, in an order that
  tells nothing about that of the other.

  Args:
    source: where the examples come from.
    seed: of the order.
    batch_size: examples in a minibatch, of all processes together.
    updates: minibatches in a round.
    start: the first round.
    stop: the round after the last.
    process: each gets its own rows of every minibatch.

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
    examples = {}
    for i, part in enumerate(_parts(source)):
      examples |= part[shuffled(_seed(seed, i), positions, len(part))]
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


def _parts(source: Source) -> tuple[Source, ...]:
  """What is shuffled independently."""
  return source.parts if isinstance(source, Unpaired) else (source,)


def _seed(seed: int, part: int) -> int:
  return seed + (part << 32)  # that of a run is below 2^32


def make_prepare(config: ConfigDict) -> Callable[[Batch, jax.Array], Batch]:
  """Returns `prepare(batch, rng)` of `make_train_step` for `config.data`.

  It turns images, uint8 `[B, H, W, C]`, into floats in [-1, 1] and augments
  them as the config says, those of a pair alike. `config.dequantize` adds
  uniform noise of one grey level, as WGAN-GP's code does for CIFAR-10; of
  images with a `config.margin`, a window without it is left.
  """
  crop, margin = config.get("crop", 0), config.get("margin", 0)

  def augment(image: jax.Array, key: jax.Array) -> jax.Array:
    flip_key, crop_key, noise_key = jax.random.split(key, 3)
    if config.flip:
      flipped = jax.random.bernoulli(flip_key)
      image = jnp.where(flipped, image[:, ::-1], image)
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

  def prepare(batch: Batch, rng: jax.Array) -> Batch:
    rngs = dict.fromkeys(IMAGES, rng)
    if config.name == "unpaired":
      rngs |= zip(SIDES, jax.random.split(rng), strict=True)
    batch = dict(batch)
    for name in IMAGES:
      if name in batch and batch[name].dtype == jnp.uint8:
        keys = example_keys(rngs[name], len(batch[name]))
        batch[name] = jax.vmap(augment)(batch[name], keys)
    return batch

  return prepare


def unaugmented(batch: Batch, config: ConfigDict) -> Batch:
  """The images of a batch as floats in [-1, 1], cut to their central window.

  Args:
    batch: with images as `make_prepare` takes them; all else is kept.
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
