"""Minibatches as a pure function of (seed, step), on their way to devices."""

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.data import Source
from jaxgan.data.arrays import ArraySource
from jaxgan.data.order import shuffled_indices
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine.devices import DeviceMapping
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
    parts = map(ArraySource, examples)
    return _shuffled(parts, self.config.seed, positions, jnp)


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
    steps = start, self.config.steps
    if self.source.in_memory:
      return map(self.mapping.shard_batch, map(self._load, range(*steps)))
    import grain

    loaded = grain.MapDataset.range(*steps).map(self._load)
    options = grain.ReadOptions(num_threads=8, prefetch_buffer_size=8)
    return map(self.mapping.shard_batch, loaded.to_iter_dataset(options))

  def _load(self, step: int) -> Batch:
    """Returns this process's share of the minibatches after step `step`."""
    (index, count), batch_size = self.mapping.process, self.config.batch_size
    share = batch_size // count
    rows = index * share + np.arange(share)
    minibatches = step * self.updates + np.arange(self.updates)
    positions = minibatches[:, None] * batch_size + rows
    return _shuffled(_parts(self.source), self.config.seed, positions)


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


def _parts(source: Source) -> tuple[Source, ...]:
  """Returns the sets that are shuffled independently."""
  return source.parts if isinstance(source, Unpaired) else (source,)


def _shuffled(
  parts: Iterable[Source], seed: int, positions: Any, xp: Any = np
) -> Batch:
  """Returns the examples at positions `[n, B]` of the shuffled sequences.

  Each of two unpaired domains goes through its own epochs, in an order that
  tells nothing about the other's. For `xp` see `shuffled_indices`.
  """
  batch = {}
  for i, part in enumerate(parts):
    own = seed + (i << 32)  # a run's seed is below 2^32
    batch |= part[shuffled_indices(own, positions.reshape(-1), len(part), xp)]
  shape = positions.shape
  return {key: x.reshape(*shape, *x.shape[1:]) for key, x in batch.items()}
