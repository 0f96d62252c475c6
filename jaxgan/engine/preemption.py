"""."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

from jaxgan.engine.processes import Process


@contextlib.contextmanager
def preemption(process: Process) -> Iterator[Callable[[], bool]]:
  """Yields what tells whether the run was told to end, by SIGTERM.

  It is to be asked often, and equally often in all processes: then all of
  them hear of a signal to one at the same_on_all question.

  Args:
    process: this one.
  """
  if jax.process_count() > 1:
    if process.count == 1:
      yield lambda: False  # one among several that others wait for
      return
    asked = iter(range(sys.maxsize))
    yield lambda: multihost_utils.reached_preemption_sync_point(next(asked))
    return
  if threading.current_thread() is not threading.main_thread():
    yield lambda: False  # only the main thread is told of signals
    return
  told = threading.Event()
  before = signal.signal(signal.SIGTERM, lambda *_: told.set())
  try:
    yield told.is_set
  finally:
    signal.signal(signal.SIGTERM, before)
