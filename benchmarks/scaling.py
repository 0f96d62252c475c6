"""Milliseconds per real image of a step against batch and image size.

`python benchmarks/scaling.py`: DCGAN's step. A line that bends upwards is a
cost that does not grow linearly.
"""

import argparse
import statistics

from speed import load

from jaxgan.applications import step_timing
from jaxgan.engine import startup

# (side, batch)
SETTINGS = [(32, 16), (32, 64), (32, 256), (16, 64), (64, 64), (128, 64)]


def main() -> None:
  """Prints a row for each setting."""
  argparse.ArgumentParser(description=__doc__).parse_args()
  startup.set_up()
  print("| side | batch | ms per image | GFLOP per image | GFLOP/s |")
  print("|---|---|---|---|---|")
  for side, batch in SETTINGS:
    config = load("dcgan32", {"batch_size": batch, "data.image_size": side})
    step = step_timing.compile_step(config)
    steps = step_timing.steps_for(step.play, 1.0)
    seconds = statistics.median(
      step_timing.time_of(step.play, steps) for _ in range(step_timing.REPEATS)
    )
    flops = step.flops / batch / 1e9
    each = 1e3 * seconds / batch
    rate = 1e3 * flops / each
    print(
      f"| {side} | {batch} | {each:.2f} | {flops:.3f} | {rate:.0f} |",
      flush=True,
    )


if __name__ == "__main__":
  main()
