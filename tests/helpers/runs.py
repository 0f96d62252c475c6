"""Runs of commands, in processes of their own, and the files they leave."""

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import tempfile
import time

from helpers.environment import DEVICES, ONE_DEVICE, ROOT

from jaxgan.engine import checkpoint


@functools.cache
def command_server():
  """The process of which commands are forks; see `command_server.py`."""
  server = subprocess.Popen(
    [sys.executable, ROOT / "tests" / "helpers" / "command_server.py"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  atexit.register(server.communicate)  # ends it
  return server


def command(module, *arguments, cwd, devices=1):
  """Runs `python -m jaxgan.<module>` in a process of its own."""
  environment = os.environ | {
    "XLA_FLAGS": f"{ONE_DEVICE} {DEVICES}{devices}",
    "PYTHONPATH": str(ROOT),
    "XDG_CACHE_HOME": str(cwd / "cache"),
  }
  words = [f"jaxgan.{module}", *map(str, arguments)]
  with (
    tempfile.NamedTemporaryFile("r") as stdout,
    tempfile.NamedTemporaryFile("r") as stderr,
  ):
    request = {
      "command": words,
      "cwd": str(cwd),
      "environment": environment,
      "stdout": stdout.name,
      "stderr": stderr.name,
    }
    server = command_server()
    print(json.dumps(request), file=server.stdin, flush=True)
    ended, _, _ = select.select([server.stdout], [], [], 300)
    assert ended, f"{words} goes on"
    status = int(server.stdout.readline())
    return subprocess.CompletedProcess(
      words, status, stdout.read(), stderr.read()
    )


RUN = (
  "--config=configs/gan.py",
  "--config.batch_size=16",
  "--config.generator.hidden=(16,)",
  "--config.critic.hidden=(16,)",
)


def log_of(workdir):
  return (workdir.parent / f"{workdir.name}.log").read_text()


def wait_for(condition, process, seconds=120):
  end = time.monotonic() + seconds
  while not condition() and process.poll() is None:
    assert time.monotonic() < end, "in vain"
    time.sleep(0.002)


def steps(workdir):
  folder = workdir / "checkpoints"
  return sorted(int(p.name) for p in folder.glob("[0-9]*") if p.name.isdigit())


def digest(workdir):
  with checkpoint.open_manager(workdir, read_only=True) as manager:
    newest = max(manager.all_steps())
    return newest, checkpoint.stored_meta(manager, newest)["digest"]


def rows(workdir):
  text = (workdir / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]
