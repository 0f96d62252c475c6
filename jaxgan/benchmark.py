"""Times a config: `python -m jaxgan.benchmark --config=configs/dcgan.py`.

It plays rounds on random images of the config's shape, so no data is needed,
and prints what a round costs beside what the machine can do: the rate of a
large matrix product, measured between the rounds.
"""

import json
import pathlib
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.interpreters import partial_eval
from ml_collections import ConfigDict

from jaxgan import algorithms, cli, data
from jaxgan.config import check
from jaxgan.data.arrays import ArraySource
from jaxgan.data.augment import make_augment
from jaxgan.data.pixels import unaugmented
from jaxgan.engine import devices
from jaxgan.engine.input_pipeline import feed
from jaxgan.game import AXIS, minibatches
from jaxgan.train_step import make_train_step

REPEATS = 5


class Round(NamedTuple):
  """A compiled round, ready to be played.

  Attributes:
    play: plays a number of rounds and waits for the last.
    images: real images that one round takes.
    parameters: of all players.
    flops: of its convolutions and matrix products, an addition and a
      multiplication counting two, on all devices together.
    compile_seconds: from tracing to an executable.
    memory: bytes of the device that hold the round's arguments, results and
      temporary values.
  """

  play: Callable[[int], None]
  images: int
  parameters: int
  flops: float
  compile_seconds: float
  memory: int


def prepare(config: ConfigDict) -> Round:
  """Compiles the round of a config.

  Raises:
    InputError: where the config cannot work.
  """
  check(config, jax.device_count())
  algorithm = algorithms.create(config)
  mapping = devices.create(config.parallel)
  updates = minibatches(algorithm)
  step = make_train_step(
    algorithm, jax.random.key(1), config.ema_decay, make_augment(config.data)
  )
  rng = np.random.default_rng(0)
  count, margin = 2 * config.batch_size, config.data.get("margin", 0)
  arrays = {"label": np.zeros(count, np.int32)}
  for key, shape in data.example_shapes(config.data).items():
    if len(shape) == 3:
      sides = [side + margin for side in shape[:2]]
      stored = count, *sides, shape[2]
      arrays[key] = rng.integers(256, size=stored, dtype=np.uint8)
    else:
      arrays[key] = rng.normal(size=(count, *shape)).astype(np.float32)
  source = ArraySource(arrays)
  init, _ = algorithms.initial_state(config, algorithm)
  first = unaugmented(source[np.arange(min(64, count))], config.data)
  state = init(jax.random.key(config.seed), first)
  share = config.batch_size // jax.device_count()
  batch = {
    key: jnp.asarray(np.resize(array, (updates, share, *array.shape[1:])))
    for key, array in source.arrays.items()
  }
  flops = count_flops(step, state, batch)
  if algorithm.directions:
    # The generator's turn begins with the translations of its minibatch that
    # `before` made, which are computed once.
    floats = {
      key: jnp.zeros((updates, share, *shape))
      for key, shape in data.example_shapes(config.data).items()
    }
    made = count_flops(algorithm.before, state, floats, jax.random.key(0))
    flops -= made / updates
  flops *= jax.device_count()
  parameters = sum(x.size for x in jax.tree.leaves(state.params))
  mapped, inputs = feed(source, config, updates, step, mapping)
  state, batch = mapping.replicate(state), next(inputs(0))
  start = time.perf_counter()
  compiled = mapped.lower(state, batch).compile()
  seconds = time.perf_counter() - start
  usage = compiled.memory_analysis()

  def play(rounds: int) -> None:
    nonlocal state
    for _ in range(rounds):
      state, _ = compiled(state, batch)
    jax.block_until_ready(state)

  return Round(
    play,
    config.batch_size * updates,
    parameters,
    flops,
    seconds,
    usage.argument_size_in_bytes
    + usage.output_size_in_bytes
    + usage.temp_size_in_bytes
    - usage.alias_size_in_bytes,
  )


def count_flops(step: Callable[..., Any], *args: Any) -> float:
  """Operations of a step's convolutions and matrix products, on one device.

  Products with the zeros that a transposed convolution inserts are not
  counted, those with padding are.
  """
  traced = jax.make_jaxpr(step, axis_env=[(AXIS, 1)])(*args).jaxpr
  # What no result needs, the compiler drops.
  jaxpr, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
  return _flops(jaxpr)


def _flops(jaxpr: Any) -> float:
  total = 0.0
  for eqn in jaxpr.eqns:
    shape = np.array(eqn.outvars[0].aval.shape if eqn.outvars else ())
    if eqn.primitive.name == "dot_general":
      (contracted, _), _ = eqn.params["dimension_numbers"]
      depth = np.prod([eqn.invars[0].aval.shape[i] for i in contracted])
      total += 2 * shape.prod() * depth
    elif eqn.primitive.name == "conv_general_dilated":
      kernel, numbers = (
        eqn.invars[1].aval.shape,
        eqn.params["dimension_numbers"],
      )
      depth = np.prod(kernel) / kernel[numbers.rhs_spec[0]]
      total += 2 * shape.prod() * depth / np.prod(eqn.params["lhs_dilation"])
    for value in jax.tree.leaves(
      list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
    ):
      inner = getattr(value, "jaxpr", value)
      if hasattr(inner, "eqns"):
        total += _flops(inner) * eqn.params.get("length", 1)
  return total


def peak(dtype: str, seconds: float = 0.5) -> float:
  """Operations per second of the fastest large matrix product."""
  product = jax.jit(jnp.matmul)
  sizes = (1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
  best = 0.0
  for size in sizes:
    x = jnp.ones((size, size), dtype)
    product(x, x).block_until_ready()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds / len(sizes):
      began = time.perf_counter()
      product(x, x).block_until_ready()
      best = max(best, 2 * size**3 / (time.perf_counter() - began))
  return best


def rounds_for(play: Callable[[int], None], seconds: float) -> int:
  """How many rounds take about so long; the first, which warms up, apart."""
  play(1)
  start = time.perf_counter()
  play(1)
  return max(1, round(seconds / (time.perf_counter() - start)))


def time_of(play: Callable[[int], None], rounds: int) -> float:
  """Seconds per round."""
  start = time.perf_counter()
  play(rounds)
  return (time.perf_counter() - start) / rounds


def measure(config: ConfigDict, seconds: float = 1.0) -> dict[str, Any]:
  """Returns the figures of a config: medians of `REPEATS` measurements."""
  played = prepare(config)
  rounds = rounds_for(played.play, seconds)
  device = jax.devices()[0]
  in_use = (device.memory_stats() or {}).get("peak_bytes_in_use", played.memory)
  times, peaks = [], []
  for _ in range(REPEATS):
    peaks.append(peak(config.dtype))
    times.append(time_of(played.play, rounds))
  each, limit = statistics.median(times), statistics.median(peaks)
  if device.platform != "cpu":  # whose devices share the cores
    limit *= jax.device_count()
  return {
    "device": f"{jax.device_count()} x {device.device_kind}",
    "dtype": config.dtype,
    "batch_size": config.batch_size,
    "milliseconds_per_round": 1e3 * each,
    "rounds_per_second": 1 / each,
    "images_per_second": played.images / each,
    "gflops_per_second": played.flops / each / 1e9,
    "matmul_gflops_per_second": limit / 1e9,
    "share_of_matmul": played.flops / each / limit,
    "compile_seconds": played.compile_seconds,
    "memory_mib": in_use / 2**20,
  }


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    config=cli.define_config(),
    json=flags.DEFINE_string("json", None, "File to write the figures to."),
  )


def main(given: SimpleNamespace) -> None:
  """Prints the figures of the config of the flags."""
  jax.config.update("jax_enable_compilation_cache", False)
  if given.json.value:
    pathlib.Path(given.json.value).touch()  # an error now, not after measuring
  figures = measure(given.config.value)
  for name, value in figures.items():
    shown = f"{value:.4g}" if isinstance(value, float) else value
    print(f"{name:26}{shown}")
  if given.json.value:
    pathlib.Path(given.json.value).write_text(
      json.dumps(figures, indent=2) + "\n"
    )


if __name__ == "__main__":
  cli.run(main, define)
