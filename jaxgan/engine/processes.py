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
  """This process among those that work together."""

  index: int
  count: int


ALONE = Process(0, 1)


def connect(
  coordinator: str | None, count: int | None, index: int | None
) -> None:
  """Joins the other processes; to be called before JAX finds its devices.

  Args:
    coordinator: `host:port` of the first process; or "auto", for what the
      cluster (a TPU pod, SLURM, MPI, Kubernetes) says; None if it is alone.
    count: how many they are, unless the cluster says so.
    index: which of them this is, unless the cluster says so.

  Raises:
    InputError: where that cannot be.
  """
  if coordinator is None:
    if count is not None or index is not None:
      raise InputError("give --coordinator beside --processes and --process")
    return
  given = {}
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
    if index == 0 and not _free(int(port)):
      raise InputError(f"coordinator={coordinator!r}: the port is in use")
    given = {
      "coordinator_address": coordinator,
      "num_processes": count,
      "process_id": index,
    }
  print("waiting for the other processes", file=sys.stderr, flush=True)
  try:
    # One that is gone is missed after the heartbeat at the latest.
    jax.distributed.initialize(heartbeat_timeout_seconds=60, **given)
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
  """What `function` returns in the first process, in all of them.

  Args:
    process: this one.
    function: called by the first process alone; returns what JSON can hold.

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
  """The first process's arrays, on the host, in all processes.

  Args:
    process: this one.
    tree: arrays, of the same shapes and dtypes everywhere.
  """
  if process.count == 1:
    return tree
  leaves, structure = jax.tree.flatten(jax.device_get(tree))
  leaves = [np.asarray(leaf) for leaf in leaves]
  # As bytes, since others are added to those of the first: 0.0 and -0.0 would
  # make 0.0.
  sent = np.frombuffer(b"".join(leaf.tobytes() for leaf in leaves), np.uint8)
  found, start = multihost_utils.broadcast_one_to_all(sent).tobytes(), 0
  for i, leaf in enumerate(leaves):
    own = found[start : start + leaf.nbytes]
    leaves[i] = np.frombuffer(own, leaf.dtype).reshape(leaf.shape)
    start += leaf.nbytes
  return jax.tree.unflatten(structure, leaves)


def broadcast_from_first(
  process: Process, function: Callable[[], Any], template: Any
) -> Any:
  """The arrays that `function` returns in the first process, in all of them.

  Args:
    process: this one.
    function: called by the first process alone; returns arrays like the
      template's, or None.
    template: a pytree of their shapes and dtypes.

  Raises:
    InputError: in all processes, where it is raised in the first.
  """
  found = None

  def find() -> bool:
    nonlocal found
    found = function()
    return found is not None

  if not run_on_first(process, find):
    return None
  if found is None:
    found = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  return broadcast(process, found)


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
  """Ends the process with one line, at once."""
  print(message, file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  # Without the interpreter's way out, which waits for processes that may
  # wait for this one, and crashes where XLA is compiling.
  os._exit(status)


def _free(port: int) -> bool:
  with socket.socket() as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      s.bind(("", port))
    except OSError:
      return False
  return True
