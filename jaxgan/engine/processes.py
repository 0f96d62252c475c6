"""The processes that train one model together, and how they end."""

import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan.errors import InputError, first_line


class Process(NamedTuple):
  """This process among those that train together."""

  index: int
  count: int


ALONE = Process(0, 1)


def connect(
  coordinator: str | None, count: int | None, index: int | None
) -> None:
  """Joins the other processes; to be called before JAX finds its devices.

  Args:
    coordinator: `host:port` of the first process; "auto" asks the cluster (a
      TPU pod, SLURM, MPI, Kubernetes); None joins no other.
    count: number of processes, unless the cluster is asked.
    index: index of this process, unless the cluster is asked.

  Raises:
    InputError: where the arguments do not fit, or the others are not reached.
  """
  if coordinator is None:
    if count is not None or index is not None:
      raise InputError("give --coordinator beside --processes and --process")
    return
  arguments = {}
  if coordinator != "auto":
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
      raise InputError(f"coordinator={coordinator!r}: give host:port or 'auto'")
    if count is None or index is None:
      raise InputError("give --processes and --process beside --coordinator")
    if not 0 <= index < count:
      raise InputError(
        f"process={index} of processes={count}: number them from 0"
      )
    try:
      socket.getaddrinfo(host, port)
    except OSError as e:
      raise InputError(f"coordinator={coordinator!r}: {e.strerror}") from e
    if index == 0:
      try:
        socket.create_server(("", int(port))).close()
      except OSError as e:
        raise InputError(
          f"coordinator={coordinator!r}: the port cannot be used: "
          f"{os.strerror(e.errno)}"
        ) from e
    arguments = {
      "coordinator_address": coordinator,
      "num_processes": count,
      "process_id": index,
    }
  print("waiting for the other processes", file=sys.stderr, flush=True)
  try:
    # A process that is lost is noticed after this time at the latest.
    jax.distributed.initialize(heartbeat_timeout_seconds=60, **arguments)
  except (ValueError, TypeError) as e:
    raise InputError(
      f"no cluster was found ({first_line(e)}): give --coordinator=host:port, "
      "--processes and --process"
    ) from e
  except RuntimeError as e:
    raise InputError(
      f"the other processes cannot be joined: {first_line(e)}"
    ) from e


def run_on_first(process: Process, function: Callable[[], Any]) -> Any:
  """Calls a function in the first process, and returns its result in all.

  Args:
    process: this one.
    function: returns a value that JSON can hold.

  Raises:
    InputError: in all processes, where it is raised in the first.
  """
  if process.count == 1:
    return function()
  answer, error = None, None
  if process.index == 0:
    try:
      answer = function()
    except InputError as e:
      error = str(e)
  text = json.dumps([answer, error]).encode()
  length = broadcast(process, np.int32(len(text)))
  text = np.frombuffer(text.ljust(length)[:length], np.uint8)
  answer, error = json.loads(broadcast(process, text).tobytes())
  if error is not None:
    raise InputError(error)
  return answer


def broadcast(process: Process, tree: Any) -> Any:
  """Returns the first process's arrays in all processes, on the host.

  Args:
    process: this one.
    tree: a pytree of arrays, with the same shapes and dtypes everywhere.
  """
  if process.count == 1:
    return tree
  leaves, structure = jax.tree.flatten(jax.device_get(tree))
  leaves = [np.asarray(leaf) for leaf in leaves]
  # As bytes: JAX adds up all processes' arrays, and 0.0 + -0.0 is 0.0.
  local = np.frombuffer(b"".join(leaf.tobytes() for leaf in leaves), np.uint8)
  first, start = multihost_utils.broadcast_one_to_all(local).tobytes(), 0
  for i, leaf in enumerate(leaves):
    part = first[start : start + leaf.nbytes]
    leaves[i] = np.frombuffer(part, leaf.dtype).reshape(leaf.shape)
    start += leaf.nbytes
  return jax.tree.unflatten(structure, leaves)


def broadcast_from_first(
  process: Process, function: Callable[[], Any], template: Any
) -> Any:
  """Calls a function in the first process, and returns its arrays in all.

  Args:
    process: this one.
    function: returns arrays like the template's, or None.
    template: a pytree of their shapes and dtypes.

  Raises:
    InputError: in all processes, where it is raised in the first.
  """
  tree = None

  def call() -> bool:
    nonlocal tree
    tree = function()
    return tree is not None

  if not run_on_first(process, call):
    return None
  if tree is None:  # not the first process
    tree = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  return broadcast(process, tree)


def check_same(process: Process, config: str) -> None:
  """Refuses processes with different configs; all of them call it.

  Raises:
    InputError: in all processes.
  """
  if process.count == 1:
    return
  digest = np.frombuffer(hashlib.sha256(config.encode()).digest(), np.uint8)
  if (multihost_utils.process_allgather(digest) != digest).any():
    raise InputError(
      "the processes have different configs: give all of them the same flags"
    )


def leave(status: int, message: str) -> NoReturn:
  """Prints one line and ends the process at once."""
  print(message, file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  # The interpreter's way out would wait for processes that may wait for this
  # one, and crash where XLA is compiling.
  os._exit(status)
