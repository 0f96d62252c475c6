"""Milliseconds per image and update against batch and image size.

`python benchmarks/scaling.py`: DCGAN's round. A line that bends upwards is a
cost that does not grow linearly.
"""

import statistics

from speed import load

from jaxgan import benchmark, runtime

BATCHES, SIDES = (16, 64, 256), (16, 32, 64, 128)


def main() -> None:
  """Prints one table over batches and one over sides."""
  runtime.set_up()
  print("| side | batch | ms per image | GFLOP per image | GFLOP/s |")
  print("|---|---|---|---|---|")
  settings = [(32, batch) for batch in BATCHES]
  settings += [(side, 64) for side in SIDES]
  for side, batch in settings:
    config = load("dcgan32", {"batch_size": batch, "data.image_size": side})
    played = benchmark.prepare(config)
    rounds = benchmark.rounds_for(played.play, 1.0)
    seconds = statistics.median(
      benchmark.time_of(played.play, rounds) for _ in range(benchmark.REPEATS)
    )
    flops = played.flops / batch / 1e9
    each = 1e3 * seconds / batch
    rate = 1e3 * flops / each
    print(
      f"| {side} | {batch} | {each:.2f} | {flops:.3f} | {rate:.0f} |",
      flush=True,
    )


if __name__ == "__main__":
  main()
