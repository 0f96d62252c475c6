"""Times a config's training step on random images of its shape.

Beside it, between the steps, the machine's rate of a large matrix product.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.interpreters import partial_eval
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan.config import check
from jaxgan.data.arrays import ArraySource
from jaxgan.data.augment import make_augment
from jaxgan.data.pixels import unaugmented
from jaxgan.engine import devices, input_pipeline
from jaxgan.game import AXIS, Game, TrainState, minibatches
from jaxgan.train_step import make_train_step

REPEATS = 5


class CompiledStep(NamedTuple):
  """A compiled training step.

  Attributes:
    play: makes a number of steps and waits for the last.
    images: number of real images that one step takes.
    parameters: number of parameters of all players.
    flops: additions and multiplications of its convolutions and matrix
      products, on all devices together.
    compile_seconds: time from tracing to an executable.
    memory: bytes of a device for arguments, results and temporary values.
  """

  play: Callable[[int], None]
  images: int
  parameters: int
  flops: float
  compile_seconds: float
  memory: int


def compile_step(config: ConfigDict) -> CompiledStep:
  """Compiles the training step of a config.

  Raises:
    InputError: where the config cannot work.
  """
  check(config, jax.device_count())
  game = algorithms.create(config)
  mapping = devices.create(config.parallel)
  updates = minibatches(game)
  step = make_train_step(
    game, jax.random.key(1), config.ema_decay, make_augment(config.data)
  )
  source = _random_source(config)
  init, _ = algorithms.initial_state(config, game)
  first = source[np.arange(min(64, len(source)))]
  state = init(jax.random.key(config.seed), unaugmented(first, config.data))
  flops = _step_flops(config, game, step, state, source) * jax.device_count()
  parameters = optax.tree.size(state.params)
  pipeline = input_pipeline.create(source, config, updates, mapping)
  mapped = pipeline.map_step(step)
  state, batch = mapping.replicate(state), next(pipeline.inputs(0))
  start = time.perf_counter()
  compiled = mapped.lower(state, batch).compile()
  seconds = time.perf_counter() - start
  usage = compiled.memory_analysis()

  def play(steps: int) -> None:
    nonlocal state
    for _ in range(steps):
      state, _ = compiled(state, batch)
    jax.block_until_ready(state)

  memory = usage.argument_size_in_bytes + usage.output_size_in_bytes
  memory += usage.temp_size_in_bytes - usage.alias_size_in_bytes
  images = config.batch_size * updates
  return CompiledStep(play, images, parameters, flops, seconds, memory)


def _random_source(config: ConfigDict) -> ArraySource:
  rng = np.random.default_rng(0)
  count, margin = 2 * config.batch_size, config.data.get("margin", 0)
  arrays = {"label": np.zeros(count, np.int32)}
  for key, shape in data.example_shapes(config.data).items():
    if len(shape) == 3:
      stored = count, shape[0] + margin, shape[1] + margin, shape[2]
      arrays[key] = rng.integers(256, size=stored, dtype=np.uint8)
    else:
      arrays[key] = rng.normal(size=(count, *shape)).astype(np.float32)
  return ArraySource(arrays)


def _step_flops(
  config: ConfigDict,
  game: Game,
  step: Callable[..., Any],
  state: TrainState,
  source: ArraySource,
) -> float:
  """Returns the operations of a step on one of the devices."""
  updates, share = minibatches(game), config.batch_size // jax.device_count()
  batch = {
    key: jnp.asarray(np.resize(array, (updates, share, *array.shape[1:])))
    for key, array in source.arrays.items()
  }
  flops = count_flops(step, state, batch)
  if game.directions:
    # The generator's turn begins with the translations of its minibatch that
    # `prepare_step` returns, which are computed once.
    floats = {
      key: jnp.zeros((updates, share, *shape))
      for key, shape in data.example_shapes(config.data).items()
    }
    key = jax.random.key(0)
    flops -= count_flops(game.prepare_step, state, floats, key) / updates
  return flops


def count_flops(step: Callable[..., Any], *args: Any) -> float:
  """Returns the operations of convolutions and matrix products on a device.

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
      kernel = eqn.invars[1].aval.shape
      outputs = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
      depth = np.prod(kernel) / outputs
      total += 2 * shape.prod() * depth / np.prod(eqn.params["lhs_dilation"])
    values = list(eqn.params.values())
    for value in jax.tree.leaves(values, is_leaf=lambda x: hasattr(x, "eqns")):
      inner = getattr(value, "jaxpr", value)
      if hasattr(inner, "eqns"):
        total += _flops(inner) * eqn.params.get("length", 1)
  return total


def peak(dtype: str, seconds: float = 0.5) -> float:
  """Returns operations per second of the fastest large matrix product."""
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


def steps_for(play: Callable[[int], None], seconds: float) -> int:
  """Returns how many steps take about so long, after one that warms up."""
  play(1)
  return max(1, round(seconds / time_of(play, 1)))


def time_of(play: Callable[[int], None], steps: int) -> float:
  """Returns seconds per step."""
  start = time.perf_counter()
  play(steps)
  return (time.perf_counter() - start) / steps


def measure(config: ConfigDict, seconds: float = 1.0) -> dict[str, Any]:
  """Returns the figures of a config: medians of `REPEATS` measurements."""
  step = compile_step(config)
  steps = steps_for(step.play, seconds)
  device = jax.devices()[0]
  in_use = (device.memory_stats() or {}).get("peak_bytes_in_use", step.memory)
  times, peaks = [], []
  for _ in range(REPEATS):
    peaks.append(peak(config.dtype))
    times.append(time_of(step.play, steps))
  each, limit = statistics.median(times), statistics.median(peaks)
  if device.platform != "cpu":  # whose devices share the cores
    limit *= jax.device_count()
  return {
    "device": f"{jax.device_count()} x {device.device_kind}",
    "dtype": config.dtype,
    "batch_size": config.batch_size,
    "milliseconds_per_step": 1e3 * each,
    "steps_per_second": 1 / each,
    "images_per_second": step.images / each,
    "gflops_per_second": step.flops / each / 1e9,
    "matmul_gflops_per_second": limit / 1e9,
    "share_of_matmul": step.flops / each / limit,
    "compile_seconds": step.compile_seconds,
    "memory_mib": in_use / 2**20,
  }
