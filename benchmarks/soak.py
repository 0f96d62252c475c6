"""Memory and speed of a long run: `python benchmarks/soak.py --minutes=30`.

The default config is trained with checkpoints, samples and evaluation on, and
stopped when the time is over. The table shows the resident memory of the
process, open files, and the steps per second of `metrics.jsonl`, which leave
out evaluation. Flags that are not known are for `jaxgan.main`.
"""

import argparse
import json
import math
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PERIODS = 6


def main() -> None:
  """Prints a line for each sixth of the time."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--minutes", type=float, default=30)
  args, flags = parser.parse_known_args()
  workdir = pathlib.Path(tempfile.mkdtemp()) / "run"
  command = [
    sys.executable, "-m", "jaxgan.main", "--config=configs/wgan_gp.py",
    "--config.steps=100000000", "--config.checkpoint_every=500",
    "--config.sample_every=500", "--config.eval_every=2000",
    "--config.eval_samples=360", f"--workdir={workdir}", *flags,
  ]  # fmt: skip
  log = workdir.with_suffix(".log")
  with log.open("w") as output:
    process = subprocess.Popen(command, stdout=output, stderr=output)
  proc = pathlib.Path("/proc", str(process.pid))
  metrics = workdir / "metrics.jsonl"
  while not metrics.exists() or not metrics.stat().st_size:
    if process.poll() is not None:
      sys.exit(log.read_text())
    time.sleep(0.1)
  print("minutes     steps    steps/s   GB (highest)   files   checkpoints")
  seen, period = 0, args.minutes * 60 / PERIODS
  for i in range(PERIODS):
    highest, end = 0.0, time.monotonic() + period
    while time.monotonic() < end and process.poll() is None:
      pages = int((proc / "statm").read_text().split()[1])
      highest = max(highest, pages * 4096 / 1e9)
      time.sleep(0.5)
    if process.poll() is not None:
      sys.exit(log.read_text())
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    speeds = [
      row["steps_per_second"]
      for row in rows[seen:]
      if "steps_per_second" in row
    ]
    seen = len(rows)
    print(
      f"{(i + 1) * period / 60:7.1f}{rows[-1]['step']:10}"
      f"{statistics.median(speeds or [math.nan]):11.2f}{highest:15.3f}"
      f"{len(list((proc / 'fd').iterdir())):8}"
      f"{len(list((workdir / 'checkpoints').iterdir())):14}",
      flush=True,
    )
  process.send_signal(signal.SIGTERM)
  print(f"ended with status {process.wait(60)}")
  print(log.read_text().splitlines()[-1])


if __name__ == "__main__":
  main()
