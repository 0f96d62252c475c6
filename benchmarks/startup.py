"""Seconds from the command to the first step, and the cost of the loop.

`python benchmarks/startup.py [--config=...]`: starts the training command in
empty folders, with an empty compilation cache and with a full one, and waits
for the first line of metrics. Then lets it train, and compares the steps per
second of the loop with those of the bare step (`jaxgan.benchmark`), in turns.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TURNS = 3


def _start(
  module: str, *arguments: str, **environment: str
) -> subprocess.Popen:
  # The folder of this variable would be used before that of the cache.
  inherited = {**os.environ}
  inherited.pop("JAX_COMPILATION_CACHE_DIR", None)
  return subprocess.Popen(
    [sys.executable, "-m", f"jaxgan.{module}", *arguments],
    env=inherited | environment,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def _finish(process: subprocess.Popen) -> None:
  _, errors = process.communicate()
  if process.returncode:
    sys.exit(errors.strip().splitlines()[-1])


def first_step(config: str, folder: pathlib.Path, cache: str) -> float:
  """Returns the seconds until the first step's metrics are written."""
  start = time.perf_counter()
  process = _start(
    "main",
    f"--config={config}",
    "--config.steps=1",
    "--config.log_every=1",
    f"--workdir={folder}",
    XDG_CACHE_HOME=cache,
  )
  metrics = folder / "metrics.jsonl"
  while process.poll() is None:
    if metrics.exists() and metrics.stat().st_size:
      break
    time.sleep(0.02)
  seconds = time.perf_counter() - start
  _finish(process)
  return seconds


def loop_rate(config: str, folder: pathlib.Path, steps: int) -> float:
  """Returns the loop's median steps per second, without the first window."""
  _finish(
    _start(
      "main",
      f"--config={config}",
      f"--config.steps={steps}",
      f"--config.log_every={steps // 5}",
      "--config.sample_every=0",
      "--config.checkpoint_every=0",
      f"--workdir={folder}",
    )
  )
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  return statistics.median(
    json.loads(line)["steps_per_second"] for line in lines[1:]
  )


def step_rate(config: str, file: pathlib.Path) -> float:
  """Returns the steps per second of the bare step."""
  _finish(_start("benchmark", f"--config={config}", f"--json={file}"))
  return json.loads(file.read_text())["steps_per_second"]


def main() -> None:
  """Prints the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", default="configs/wgan_gp.py")
  parser.add_argument("--steps", type=int, default=200)
  args = parser.parse_args()
  if args.steps < 10:
    parser.error("--steps must be 10 or more")
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for label, cache in (("cold", "cache{}"), ("warm", "cache0")):
      seconds = statistics.median(
        first_step(
          args.config, folder / f"{label}{i}", str(folder / cache.format(i))
        )
        for i in range(TURNS)
      )
      print(f"command to first step, {label} cache: {seconds:.1f} s")
    ratios = []
    for i in range(TURNS):
      before = step_rate(args.config, folder / "a.json")
      rate = loop_rate(args.config, folder / f"loop{i}", args.steps)
      after = step_rate(args.config, folder / "a.json")
      ratios.append(rate / statistics.mean((before, after)))
    print(f"loop over bare step: {statistics.median(ratios):.2f} {ratios}")


if __name__ == "__main__":
  main()
