"""Runs that are killed or told to end, in processes of their own."""

import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers.environment import ONE_DEVICE, ROOT
from helpers.runs import RUN, digest, log_of, steps, wait_for

pytestmark = pytest.mark.processes

# More by hand: JAXGAN_KILLS=20 pytest tests/test_interrupted.py
KILLS = int(os.environ.get("JAXGAN_KILLS", 3))


def start(workdir, *arguments, before=("env", "--default-signal=INT")):
  main = [sys.executable, "-m", "jaxgan.main", f"--workdir={workdir}"]
  with (workdir.parent / f"{workdir.name}.log").open("a") as log:
    return subprocess.Popen(
      [*before, *main, *arguments],
      stdout=log,
      stderr=subprocess.STDOUT,
      cwd=ROOT,
      env=os.environ | {"XLA_FLAGS": ONE_DEVICE},
    )


def saving(workdir):
  return any((workdir / "checkpoints").glob("*orbax-checkpoint-tmp*"))


def test_killed_at_any_moment_nothing_is_lost(tmp_path):
  last = 100 * KILLS
  arguments = (
    *RUN,
    f"--config.steps={last}",
    "--config.log_every=10",
    "--config.checkpoint_every=3",
    "--config.sample_every=20",
  )
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  assert start(whole, *arguments).wait(600) == 0, log_of(whole)
  assert digest(whole)[0] == last

  moments = random.Random(0)
  for i in range(KILLS):
    before = steps(killed)
    process = start(killed, *arguments)
    # While it starts, while it plays, and in the middle of a save.
    if i % 3 == 0:
      time.sleep(moments.uniform(0, 8))
    else:
      wait_for(lambda before=before: steps(killed) != before, process)
      time.sleep(moments.uniform(0, 0.5))
      if i % 3 == 2:
        wait_for(lambda: saving(killed), process)
    assert process.poll() is None, log_of(killed)
    process.kill()
    process.wait()
    assert max(steps(killed), default=0) >= max(before, default=0)
  assert start(killed, *arguments).wait(600) == 0, log_of(killed)
  assert digest(killed) == digest(whole)
  assert (killed / "samples.gif").exists()
  assert not (killed / "damaged").exists()


SIGNALS = [(signal.SIGTERM, 75), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_on_a_signal_it_saves_and_says_so(tmp_path, number, status):
  workdir = tmp_path / "run"
  endless = (*RUN, "--config.steps=1000000", "--config.log_every=20")
  process = start(workdir, *endless)
  wait_for(lambda: (workdir / "metrics.jsonl").exists(), process)
  process.send_signal(number)
  assert process.wait(30) == status
  (saved,) = steps(workdir)
  log = log_of(workdir)
  assert f"saved at step {saved} of 1000000" in log
  assert ("Ctrl-C again ends it at once" in log) == (number == signal.SIGINT)
  assert "Traceback" not in log


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_before_the_first_step(tmp_path, number, status):
  workdir = tmp_path / "run"
  process = start(workdir, *RUN)
  wait_for(lambda: (workdir / "config.json").exists(), process)
  process.send_signal(number)
  assert process.wait(30) == status
  assert "before a step was made" in log_of(workdir)
  assert not steps(workdir)


def test_ctrl_c_in_one_of_two_processes_saves_in_both(tmp_path):
  workdir = tmp_path / "run"
  with socket.socket() as s:
    s.bind(("", 0))
    port = s.getsockname()[1]
  processes = [
    start(
      workdir, *RUN, "--config.steps=1000000", "--config.log_every=20",
      f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={i}",
    )
    for i in range(2)
  ]  # fmt: skip
  try:
    wait_for(lambda: (workdir / "metrics.jsonl").exists(), processes[0])
    processes[1].send_signal(signal.SIGINT)
    assert [p.wait(60) for p in processes] == [75, 130], log_of(workdir)
  finally:
    for process in processes:
      process.kill()
  (saved,) = steps(workdir)
  assert log_of(workdir).count(f"saved at step {saved} of 1000000") == 2


LARGE = (
  *RUN[:3],
  "--config.critic.hidden=(1024,)",
  "--config.checkpoint_every=1",
)


def assert_it_stops(workdir, reason, before=()):
  """A run with checkpoints 1 and 2, started where it can write no more."""
  whole = digest(workdir)
  process = start(workdir, *LARGE, "--config.steps=99", before=before)
  assert process.wait(60) == 1
  assert "Traceback" not in log_of(workdir)
  last = log_of(workdir).splitlines()[-1]
  assert last.startswith("error: no checkpoint can be written"), last
  assert reason in last and "whole ones: 1, 2;" in last
  assert digest(workdir) == whole


def test_a_disk_that_cannot_be_written(tmp_path):
  workdir = tmp_path / "run"
  assert start(workdir, *LARGE, "--config.steps=2").wait(120) == 0
  assert_it_stops(workdir, "File too large", ["prlimit", "--fsize=100000"])
  (workdir / "checkpoints").chmod(0o500)
  # The administrator may write everywhere, unless that right is given up.
  before = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override"]
  assert_it_stops(workdir, "ermission denied", before)
  (workdir / "checkpoints").chmod(0o700)
  assert start(workdir, *LARGE, "--config.steps=3").wait(120) == 0
  assert digest(workdir)[0] == 3
  assert not (workdir / "damaged").exists()
