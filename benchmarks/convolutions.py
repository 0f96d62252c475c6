"""Times the convolution trio in XLA's form and in ours.

`python benchmarks/convolutions.py`: for layers of the networks, milliseconds of
`conv`, `conv_kernel_grad` and `conv_transpose` as XLA runs the canonical
convolution / as `models/layers/cpu/convolutions.py` runs it, taking turns. Our
form has to win here.
"""

import argparse
import time
from collections.abc import Callable

import jax

from jaxgan import xla_cpu
from jaxgan.engine import startup
from jaxgan.models.layers import conv
from jaxgan.models.layers.cpu import convolutions

# batch, kernel, stride, side of the smaller map, channels, features
SHAPES = [
  (64, 4, 2, 16, 1, 64),
  (64, 4, 2, 32, 3, 64),
  (64, 4, 2, 16, 64, 128),
  (64, 4, 2, 8, 128, 256),
  (64, 4, 2, 4, 256, 512),
  (64, 5, 2, 8, 64, 128),
  (64, 5, 2, 4, 128, 256),
  (64, 3, 1, 32, 128, 128),
  (64, 3, 1, 8, 128, 128),
  (64, 1, 1, 16, 128, 128),
  # of CycleGAN
  (8, 3, 1, 16, 256, 256),
  (8, 7, 1, 64, 64, 3),
  (8, 7, 1, 64, 3, 64),
  # of Pix2Pix
  (4, 4, 2, 16, 128, 512),
  (4, 4, 2, 4, 512, 1024),
  (4, 4, 2, 1, 512, 512),
]
TURNS = 9


def _compiled(
  member: Callable, static: tuple, cpu: bool, *args: jax.Array
) -> Callable:
  # A new function for each form: jit would take the other's from its cache.
  form = jax.jit(lambda *args: member(*args, *static))
  with xla_cpu.target("cpu" if cpu else "gpu"):
    return form.lower(*args).compile()


def main() -> None:
  """Prints a row for each layer."""
  argparse.ArgumentParser(description=__doc__).parse_args()
  startup.set_up()
  print("| B, k, stride, side, C, F | conv | kernel gradient | transpose |")
  print("|---|---|---|---|")
  for b, k, s, side, c, f in SHAPES:
    strides, padding, large = (s, s), conv._same(k, s), (side * s, side * s)
    key = jax.random.key(0)
    x = jax.random.normal(key, (b, *large, c))
    w = jax.random.normal(key, (k, k, c, f))
    y = jax.random.normal(key, (b, side, side, f))
    cells = []
    for member, args, size in (
      (convolutions.conv, (x, w), ()),
      (convolutions.conv_kernel_grad, (x, y), ((k, k),)),
      (convolutions.conv_transpose, (y, w), (large,)),
    ):
      static = strides, padding, *size
      forms = [_compiled(member, static, cpu, *args) for cpu in (False, True)]
      best = [float("inf")] * len(forms)
      for _ in range(TURNS):
        for i, form in enumerate(forms):
          start = time.perf_counter()
          jax.block_until_ready(form(*args))
          best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
      cells.append(" / ".join(f"{ms:.1f}" for ms in best))
    print(
      f"| {b}, {k}, {s}, {side}, {c}, {f} | {' | '.join(cells)} |", flush=True
    )


if __name__ == "__main__":
  main()
