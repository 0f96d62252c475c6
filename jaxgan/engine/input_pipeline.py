"""Minibatches as a pure function of (seed, step), on their way to devices."""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import Source
from jaxgan.data.order import shuffled_indices
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine.devices import DeviceMapping
from jaxgan.engine.processes import ALONE, Process
from jaxgan.errors import InputError
from jaxgan.game import AXIS, Batch, TrainState

# Sets up to this size are held on every device.
RESIDENT_BYTES = 1 << 30

Step = Callable[[TrainState, Batch], Any]


class Resident(NamedTuple):
  """A small set of examples, of which each device holds all.

  The mapped step picks its minibatches there.
  """

  examples: tuple[Batch, ...]  # replicated; each is shuffled independently
  config: ConfigDict
  updates: int
  mapping: DeviceMapping

  def map_step(self, step: Step) -> Callable[[TrainState, Any], Any]:
    """Maps `step(state, batches)` over the devices."""

    def pick_and_step(state: TrainState, examples: tuple[Batch, ...]) -> Any:
      return step(state, self._pick(state.step, examples))

    return self.mapping.map_step(pick_and_step, shared=True)

  def inputs(self, start: int) -> Iterator[Any]:
    """Yields the second arguments of the mapped step after step `start`."""
    return repeat(self.examples, self.config.steps - start)

  def _pick(self, step: jax.Array, examples: tuple[Batch, ...]) -> Batch:
    """Returns this device's minibatches `[updates, B, ...]` of a step."""
    batch_size = self.config.batch_size
    share = batch_size // jax.lax.axis_size(AXIS)
    rows = jax.lax.axis_index(AXIS) * share + jnp.arange(share)
    minibatches = jnp.uint32(step) * self.updates + jnp.arange(
      self.updates, dtype="uint32"
    )
    positions = minibatches[:, None] * batch_size + rows.astype("uint32")
    batch = {}
    for i, arrays in enumerate(examples):
      length = len(next(iter(arrays.values())))
      indices = shuffled_indices(
        _seed(self.config.seed, i), positions.reshape(-1), length, jnp
      )
      for key, array in arrays.items():
        rest = array.shape[1:]
        batch[key] = array[indices].reshape(self.updates, share, *rest)
    return batch


class Streamed(NamedTuple):
  """Examples of which the host sends each step's minibatches."""

  source: Source
  config: ConfigDict
  updates: int
  mapping: DeviceMapping

  def map_step(self, step: Step) -> Callable[[TrainState, Any], Any]:
    """Maps `step(state, batches)` over the devices."""
    return self.mapping.map_step(step)

  def inputs(self, start: int) -> Iterator[Any]:
    """Yields the second arguments of the mapped step after step `start`."""
    minibatches = batches(
      self.source,
      self.config.seed,
      self.config.batch_size,
      self.updates,
      start,
      self.config.steps,
      self.mapping.process,
    )
    return map(self.mapping.shard_batch, minibatches)


def create(
  source: Source, config: ConfigDict, updates: int, mapping: DeviceMapping
) -> Resident | Streamed:
  """Returns the pipeline from a source to the devices.

  Args:
    source: of the examples.
    config: of the run.
    updates: minibatches in a step.
    mapping: see `devices.create`.

  Raises:
    InputError: where the source is smaller than one minibatch.
  """
  size = 0
  for part in _parts(source):
    length = len(part)
    if length < config.batch_size:
      name = f"{part.side} domain" if isinstance(part, Domain) else "data"
      raise InputError(
        f"the {name} has {length} examples, too few for one batch: set "
        f"batch_size to {length} or less"
      )
    size += sum(x.nbytes for x in part[np.arange(1)].values()) * length
  # Positions in the shuffled sequence are uint32 on the devices.
  total = config.steps * updates * config.batch_size
  if not source.in_memory or size > RESIDENT_BYTES or total >= 1 << 32:
    return Streamed(source, config, updates, mapping)
  examples = tuple(part[np.arange(len(part))] for part in _parts(source))
  return Resident(mapping.replicate(examples), config, updates, mapping)


def batches(
  source: Source,
  seed: int,
  batch_size: int,
  updates: int,
  start: int,
  stop: int,
  process: Process = ALONE,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the minibatches of steps after `start` up to `stop`.

  Each of two unpaired domains goes through its own epochs, in an order that
  tells nothing about the other's.

  Args:
    source: of the examples.
    seed: of the order.
    batch_size: examples in a minibatch, of all processes together.
    updates: minibatches in a step.
    start: steps that are done.
    stop: the last step.
    process: each gets its own rows of every minibatch.

  Returns:
    An iterator over dicts of arrays `[updates, B, ...]`, B being this
    process's share.
  """
  index, count = process
  share = batch_size // count

  def load(step: int) -> dict[str, np.ndarray]:
    rows = np.arange(batch_size)[index * share : (index + 1) * share]
    first = (step * updates + np.arange(updates)) * batch_size
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
  """Returns the sets that are shuffled independently."""
  return source.parts if isinstance(source, Unpaired) else (source,)


def _seed(seed: int, part: int) -> int:
  return seed + (part << 32)  # a run's seed is below 2^32
