"""Batches as a pure function of (seed, round), and augmentation."""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import Source
from jaxgan.data.order import shuffled_indices
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine.devices import Parallel
from jaxgan.engine.processes import ALONE, Process
from jaxgan.errors import InputError
from jaxgan.game import AXIS, Batch, TrainState

# Sets up to this size are held on every device.
RESIDENT_BYTES = 1 << 30


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
      indices = shuffled_indices(
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
      examples |= part[shuffled_indices(_seed(seed, i), positions, len(part))]
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
  """What is shuffled_indices independently."""
  return source.parts if isinstance(source, Unpaired) else (source,)


def _seed(seed: int, part: int) -> int:
  return seed + (part << 32)  # that of a run is below 2^32
