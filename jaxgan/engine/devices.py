"""Functions of one device, mapped over many.

A training step is written for one device and knows only the name of the device
axis, `AXIS`. `create` maps it over the devices of all processes, by `jax.pmap`
or by `jax.jit(jax.shard_map)`; `data_parallel` maps what samples or evaluates
over the devices of one process.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.checks import one_of
from jaxgan.engine.processes import Process
from jaxgan.game import AXIS

# `map_step`, and for one array `replicate`, `unreplicate` and `shard_batch`.
_Functions = tuple[Callable[..., Any], ...]


class DeviceMapping(NamedTuple):
  """The functions in which `pmap` and `shard_map` differ.

  Attributes:
    map_step: returns one call on all devices for a `step(state, batches) ->
      (state, metrics)` of one; the state is donated. With `shared=True` the
      second argument is replicated, as the state is, and not sharded.
    replicate: copies a pytree, on the host or one device, to all devices.
    unreplicate: returns the copy of a replicated pytree on one device.
    shard_batch: makes this process's arrays `[n, B, ...]` the mapped step's
      input: the rows of each of the n minibatches are split over the devices.
    process: this process among those whose devices are used; its rows of a
      minibatch are its devices' rows.
  """

  map_step: Callable[..., Any]
  replicate: Callable[[Any], Any]
  unreplicate: Callable[[Any], Any]
  shard_batch: Callable[[Any], Any]
  process: Process


def create(
  kind: str, devices: Sequence[jax.Device] | None = None
) -> DeviceMapping:
  """Returns the `DeviceMapping` named `kind`: "pmap" or "shard_map".

  Args:
    kind: the value of `config.parallel`.
    devices: the devices to use; by default all of all processes.

  Raises:
    InputError: for another kind.
  """
  # Devices of one process stand side by side, whatever their numbers.
  devices = sorted(
    devices or jax.devices(), key=lambda d: (d.process_index, d.id)
  )
  processes = sorted({d.process_index for d in devices})
  process = Process(processes.index(jax.process_index()), len(processes))
  one_of("parallel", kind, ("pmap", "shard_map"))
  functions = _pmap if kind == "pmap" else _shard_map
  map_step, *of_arrays = functions(devices, process.count)
  of_trees = (partial(jax.tree.map, function) for function in of_arrays)
  return DeviceMapping(map_step, *of_trees, process)


def _pmap(devices: Sequence[jax.Device], processes: int) -> _Functions:
  # Arrays are placed as pmap places its results: otherwise the second call,
  # on the results of the first, would compile again.
  rows = NamedSharding(Mesh(np.array(devices), (AXIS,)), P(AXIS))
  local = len(devices) // processes

  def shard(x: np.ndarray) -> jax.Array:
    n, batch, *rest = x.shape
    x = x.reshape(n, local, batch // local, *rest).swapaxes(0, 1)
    return jax.make_array_from_process_local_data(rows, x)

  def replicate(x: jax.Array) -> jax.Array:
    # Copied for each device: the step donates its argument.
    x = jax.device_get(x)
    return jax.make_array_from_callback(
      (len(devices), *x.shape), rows, lambda _: np.array(x)[None]
    )

  def map_step(
    step: Callable[..., Any], shared: bool = False
  ) -> Callable[..., Any]:
    def between_barriers(state: Any, inputs: Any) -> tuple[Any, Any]:
      # pmap drops the axis of the devices and puts it back. Fused with the
      # computation of the new state, that would keep XLA from writing it over
      # the old one, and copy all of it at the end.
      state, metrics = step(lax.optimization_barrier(state), inputs)
      return lax.optimization_barrier(state), metrics

    return jax.pmap(
      between_barriers, axis_name=AXIS, devices=devices, donate_argnums=0
    )

  return map_step, replicate, lambda x: x.addressable_data(0)[0], shard


def _shard_map(devices: Sequence[jax.Device], _: int) -> _Functions:
  mesh = Mesh(np.array(devices), (AXIS,))
  everywhere = NamedSharding(mesh, P())
  rows = NamedSharding(mesh, P(None, AXIS))

  def map_step(
    step: Callable[..., Any], shared: bool = False
  ) -> Callable[..., Any]:
    # Without check_vma, each device keeps the gradients of its loss until the
    # step averages them, as under pmap.
    mapped = jax.shard_map(
      step,
      mesh=mesh,
      in_specs=(P(), P() if shared else P(None, AXIS)),
      out_specs=(P(), P()),
      check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=0)

  def replicate(x: jax.Array) -> jax.Array:
    # Copied for each device: the step donates its argument.
    x = jax.device_get(x)
    return jax.make_array_from_callback(
      x.shape, everywhere, lambda _: np.array(x)
    )

  shard = partial(jax.make_array_from_process_local_data, rows)
  return map_step, replicate, lambda x: x.addressable_data(0), shard


def data_parallel(function: Callable[..., Any]) -> Callable[..., Any]:
  """Maps `function(variables, batch)` over this process's devices.

  The variables come from `replicate`; the rows of the batch, `[B, ...]`, are
  split over the devices, and B is a multiple of their number.
  """
  return jax.jit(
    jax.shard_map(
      function,
      mesh=_mesh(),
      in_specs=(P(), P(AXIS)),
      out_specs=P(AXIS),
      check_vma=False,
    )
  )


def round_up(size: int) -> int:
  """Returns a batch size, rounded up to share among this process's devices."""
  count = jax.local_device_count()
  return -(-size // count) * count


def filled(mapped: Callable[..., Any], size: int) -> Callable[[Any, Any], Any]:
  """Returns a `data_parallel` function for batches of up to `size` rows.

  It is compiled for that size: smaller batches are filled up with copies of
  their rows, and the result is cut back.
  """

  def run(variables: Any, batch: Any) -> Any:
    count = len(jax.tree.leaves(batch)[0])
    if count >= size:
      return mapped(variables, shard(batch))
    rows = np.resize(np.arange(count), size)
    batch = jax.tree.map(lambda x: x[rows], batch)
    return jax.tree.map(lambda x: x[:count], mapped(variables, shard(batch)))

  return run


def shard(batch: Any) -> Any:
  """Splits the rows of a batch over this process's devices."""
  return jax.device_put(batch, NamedSharding(_mesh(), P(AXIS)))


def replicate(variables: Any) -> Any:
  """Copies a pytree to all of this process's devices."""
  return jax.device_put(variables, NamedSharding(_mesh(), P()))


def _mesh() -> Mesh:
  return Mesh(np.array(jax.local_devices()), (AXIS,))
