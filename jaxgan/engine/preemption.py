"""Signals on which a run is saved and ends: SIGTERM and Ctrl-C."""

import contextlib
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils

from jaxgan.engine.processes import Process, leave
from jaxgan.errors import INTERRUPTED, PREEMPTED, Interrupted, Preempted


def leave_on_signals() -> None:
  """Lets SIGTERM and Ctrl-C end the process: there is nothing yet to save."""
  numbers = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: PREEMPTED}
  if jax.process_count() > 1:  # JAX tells all processes of it
    del numbers[signal.SIGTERM]
  message = "stopped before a step was made; the same command begins again"
  for number, status in numbers.items():
    if signal.getsignal(number) != signal.SIG_IGN:  # as of nohup
      signal.signal(number, lambda *_, status=status: leave(status, message))


class Stop(contextlib.AbstractContextManager):
  """Tells the training loop of SIGTERM and Ctrl-C, which it asks every step.

  It takes the signals over at the first question: before the first step there
  is nothing to save. A second Ctrl-C ends the process at once.

  Where several processes train together, JAX synchronises them: all get the
  same answer to the same question, so that all save the same step. One process
  that trains alone while others wait for it is not stopped, nor is a thread,
  which gets no signals.
  """

  def __init__(self, process: Process, workdir: pathlib.Path, steps: int):
    """Describes the run: its processes, its folder and its last step."""
    self._synchronised = process.count > 1
    self._alone = jax.process_count() == 1
    self._workdir, self._steps = workdir, steps
    self._questions = 0
    self._requested = self._interrupted = False
    self._saved_step: int | None = None
    self._handlers: dict[int, Any] = {}

  def __exit__(self, *_: Any) -> None:
    """Hands the signals back."""
    for number, handler in self._handlers.items():
      signal.signal(number, handler)
    self._handlers = {}

  def requested(self) -> bool:
    """Returns whether to save and end; asked once a step in every process."""
    if not self._handlers:
      self._take_signals()
    if self._synchronised and not self._requested:
      self._requested = multihost_utils.reached_preemption_sync_point(
        self._questions
      )
      self._questions += 1
    return self._requested

  def error(self, step: int, remark: str = "") -> Preempted:
    """Returns the exception that ends a run which is saved at a step."""
    kind = Interrupted if self._interrupted else Preempted
    return kind(
      f"stopped: {self._workdir} is saved at step {step} of {self._steps}; "
      f"the same command goes on from there{remark}"
    )

  @contextlib.contextmanager
  def cutting_short(self, step: int) -> Iterator[None]:
    """Has a signal end the evaluation within, of a step that is saved.

    Several processes would have to agree on the moment, and finish it.

    Raises:
      Preempted: by the signal, or at once where one came before.
    """
    self._saved_step = step
    try:
      if self._requested:
        self._cut_short()
      yield
    finally:
      self._saved_step = None

  def _cut_short(self) -> None:
    step, self._saved_step = self._saved_step, None
    raise self.error(
      step,
      f"; the evaluation of step {step} was cut short: python -m "
      f"jaxgan.evaluate --workdir={self._workdir} --step={step} makes it",
    )

  def _take_signals(self) -> None:
    if threading.current_thread() is not threading.main_thread():
      return
    if self._alone:
      numbers = signal.SIGTERM, signal.SIGINT
    else:  # JAX has SIGTERM
      numbers = (signal.SIGINT,) if self._synchronised else ()
    for number in numbers:
      if signal.getsignal(number) != signal.SIG_IGN:  # as of nohup
        self._handlers[number] = signal.signal(number, self._handle)

  def _handle(self, number: int, _: Any) -> None:
    if number == signal.SIGINT:
      if self._interrupted:
        if hasattr(sys, "ps1"):
          raise KeyboardInterrupt  # a notebook, whose process goes on
        leave(INTERRUPTED, "interrupted again; checkpoints before are whole")
      self._interrupted = True
      # Not print, which may not interrupt itself.
      os.write(2, b"\nsaving the run; Ctrl-C again ends it at once\n")
    if self._synchronised:
      os.kill(os.getpid(), signal.SIGTERM)
      return
    self._requested = True
    if self._saved_step is not None:
      self._cut_short()
