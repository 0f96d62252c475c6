"""Times the convolution trio in XLA's form and in ours.

`python benchmarks/convolutions.py`: for layers of the networks at batch 64,
milliseconds of `conv`, and of `conv_kernel_grad` and `conv_transpose` as XLA
runs the canonical convolution / as `models/layers.py` runs it, taking turns.
A form of our own has to win here.
"""

import argparse
import time
from collections.abc import Callable

import jax

from jaxgan import runtime
from jaxgan.models import layers

# kernel, stride, side of the smaller map, channels, features
SHAPES = [
  (4, 2, 16, 1, 64),
  (4, 2, 32, 3, 64),
  (4, 2, 16, 64, 128),
  (4, 2, 8, 128, 256),
  (4, 2, 4, 256, 512),
  (5, 2, 8, 64, 128),
  (5, 2, 4, 128, 256),
  (3, 1, 32, 128, 128),
  (3, 1, 8, 128, 128),
  (1, 1, 16, 128, 128),
]
BATCH, TURNS = 64, 9


def _compiled(
  member: Callable, static: tuple, cpu: bool, *args: jax.Array
) -> Callable:
  layers._on_cpu = lambda: cpu
  # A new function for each form: jit would take the other's from its cache.
  return jax.jit(lambda *args: member(*args, *static)).lower(*args).compile()


def main() -> None:
  """Prints a row for each layer."""
  argparse.ArgumentParser(description=__doc__).parse_args()
  runtime.set_up()
  print("| k, stride, side, C, F | conv | kernel gradient | transpose |")
  print("|---|---|---|---|")
  for k, s, side, c, f in SHAPES:
    strides, padding, large = (s, s), layers._same(k, s), (side * s, side * s)
    key = jax.random.key(0)
    x = jax.random.normal(key, (BATCH, *large, c))
    w = jax.random.normal(key, (k, k, c, f))
    y = jax.random.normal(key, (BATCH, side, side, f))
    cells = []
    for member, args, size in (
      (layers.conv, (x, w), ()),
      (layers.conv_kernel_grad, (x, y), ((k, k),)),
      (layers.conv_transpose, (y, w), (large,)),
    ):
      static = strides, padding, *size
      ours = (False, True) if size else (True,)  # `conv` has one form
      forms = [_compiled(member, static, cpu, *args) for cpu in ours]
      best = [float("inf")] * len(forms)
      for _ in range(TURNS):
        for i, form in enumerate(forms):
          start = time.perf_counter()
          jax.block_until_ready(form(*args))
          best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
      cells.append(" / ".join(f"{ms:.1f}" for ms in best))
    print(f"| {k}, {s}, {side}, {c}, {f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
  main()
