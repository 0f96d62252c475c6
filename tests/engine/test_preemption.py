"""What SIGTERM and Ctrl-C do to a run, without the run."""

import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from jaxgan.engine import preemption
from jaxgan.engine.preemption import Stop
from jaxgan.engine.processes import ALONE, Process
from jaxgan.errors import Interrupted, Preempted

SIGNALS = [
  (signal.SIGTERM, Preempted, 75), (signal.SIGINT, Interrupted, 130)
]  # fmt: skip
RUN = pathlib.Path("runs/a")


def handlers():
  return [signal.getsignal(number) for number, *_ in SIGNALS]


@pytest.mark.parametrize(("number", "kind", "status"), SIGNALS)
def test_a_signal_is_a_request(number, kind, status, capfd):
  before = handlers()
  with Stop(ALONE, RUN, 9) as stop:
    assert handlers() == before  # there is nothing to save yet
    assert not stop.requested()
    signal.raise_signal(number)
    assert stop.requested()
    assert stop.requested()
    error = stop.error(5)
  assert handlers() == before
  assert type(error) is kind
  assert error.status == status
  assert "runs/a is saved at step 5 of 9" in str(error)
  said = "Ctrl-C again ends it at once" in capfd.readouterr().err
  assert said == (number == signal.SIGINT)


TWICE = """
import atexit, pathlib, signal
from jaxgan.engine.preemption import Stop
from jaxgan.engine.processes import ALONE

atexit.register(print, "taken down")
with Stop(ALONE, pathlib.Path("run"), 9) as stop:
  stop.requested()
  signal.raise_signal(signal.SIGINT)
  print("saving", flush=True)
  signal.raise_signal(signal.SIGINT)
  print("saved")
"""


def test_a_second_ctrl_c_ends_at_once():
  done = subprocess.run(
    [sys.executable, "-c", TWICE], capture_output=True, text=True
  )
  assert done.returncode == 130, done.stderr
  assert done.stdout == "saving\n"
  assert len(done.stderr.strip().splitlines()) == 2


def test_a_second_ctrl_c_leaves_a_notebook_its_process():
  done = subprocess.run(
    [sys.executable, "-c", f"import sys\nsys.ps1 = 'In: '{TWICE}"],
    capture_output=True,
    text=True,
  )
  assert "KeyboardInterrupt" in done.stderr
  assert "interrupted again" not in done.stderr


@pytest.mark.parametrize(("number", "kind", "status"), SIGNALS)
def test_a_signal_cuts_an_evaluation_short(number, kind, status):
  reached = []
  with Stop(ALONE, RUN, 9) as stop:
    stop.requested()
    with (
      pytest.raises(kind, match="evaluation of step 5 .*--workdir=runs/a --st"),
      stop.cutting_short(5),
    ):
      try:
        signal.raise_signal(number)
      except Exception:  # as libraries have it
        reached.append("swallowed")
      reached.append("finished")
    signal.raise_signal(signal.SIGTERM)  # now a request again
    assert stop.requested()
  assert not reached


def test_a_signal_before_an_evaluation_cuts_it_short():
  with Stop(ALONE, RUN, 9) as stop:
    stop.requested()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Preempted, match="cut short"), stop.cutting_short(5):
      pytest.fail("evaluated")


def test_a_signal_that_is_ignored_stays_so():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of nohup
  try:
    with Stop(ALONE, RUN, 9) as stop:
      assert not stop.requested()
      signal.raise_signal(signal.SIGINT)
      assert not stop.requested()
  finally:
    signal.signal(signal.SIGINT, before)


def test_in_a_thread_it_is_deaf():
  before, answers = handlers(), []

  def ask():
    with Stop(ALONE, RUN, 9) as stop:
      answers.append(stop.requested())

  thread = threading.Thread(target=ask)
  thread.start()
  thread.join()
  assert answers == [False]
  assert handlers() == before


def test_processes_ask_at_numbered_points(monkeypatch):
  asked, sent = [], []

  def reached(number):
    asked.append(number)
    return number == 2

  monkeypatch.setattr(preemption.jax, "process_count", lambda: 2)
  monkeypatch.setattr(
    preemption.multihost_utils, "reached_preemption_sync_point", reached
  )
  monkeypatch.setattr(preemption.os, "kill", lambda *args: sent.append(args[1]))
  terminate = signal.getsignal(signal.SIGTERM)
  with Stop(Process(0, 2), RUN, 9) as stop:
    assert [stop.requested() for _ in range(4)] == [False, False, True, True]
    assert asked == [0, 1, 2]
    assert signal.getsignal(signal.SIGTERM) == terminate  # JAX's
    # What cannot be agreed upon is not cut short.
    signal.raise_signal(signal.SIGINT)
    assert sent == [signal.SIGTERM]
    assert isinstance(stop.error(1), Interrupted)


def test_one_that_others_wait_for_is_deaf(monkeypatch):
  monkeypatch.setattr(preemption.jax, "process_count", lambda: 2)
  before = handlers()
  with Stop(ALONE, RUN, 9) as stop:
    assert not stop.requested()
    assert handlers() == before
