"""Times the transport of OT-GAN, beside its step and beside POT.

`python benchmarks/transport.py --workdir=runs/ot_gan`: for each batch, the six
problems of the minibatch energy distance with their gradient in the features,
a whole step, which solves them in each of its updates, and the same six
costs by POT's `ot.sinkhorn` (NumPy, float64) in as many iterations as it takes
to bring the marginal error to ours. Then, for a batch of 256, what ott-jax
offers to get there faster. Everything is at the run's last checkpoint, so that
the costs are those that training meets.
"""

import argparse
import pathlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ott.geometry.epsilon_scheduler import Epsilon
from ott.geometry.geometry import Geometry
from ott.solvers import linear
from ott.solvers.linear.acceleration import AndersonAcceleration, Momentum

from jaxgan import algorithms, data, models
from jaxgan.data.augment import make_augment
from jaxgan.data.pixels import to_float
from jaxgan.engine import devices, startup
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun, load
from jaxgan.game import AXIS, minibatches
from jaxgan.objectives import transport
from jaxgan.train_step import make_train_step

REPEATS = 3
ENOUGH = 30  # seconds, after which there are no further repeats
COMPARED = 256  # the batch with which solvers are compared


def median_ms(play: Callable[[], object]) -> float:
  """Returns the milliseconds of a compiled call."""
  times = []
  while len(times) < REPEATS and sum(times) < 1e3 * ENOUGH:
    start = time.perf_counter()
    play()
    times.append(1e3 * (time.perf_counter() - start))
  return statistics.median(times)


def features(
  run: RestoredRun, images: np.ndarray
) -> tuple[jax.Array, jax.Array]:
  """Returns the critic's features of real images and of as many samples."""
  critic = models.create("Critic", run.config, "critic")

  @jax.jit
  def embed(images: jax.Array) -> jax.Array:
    params = run.state.params["critic"]
    return models.apply(critic, params, {}, images, train=False)[0]

  keys = jax.random.split(jax.random.key(0), len(images))
  sample = jax.jit(run.game.sample)
  real, fake = [], []
  for i in range(0, len(images), 256):
    part = slice(i, i + 256)
    inputs = run.game.inputs(keys[part])
    samples = sample(run.state.params, run.state.model_state, inputs)
    real.append(embed(to_float(images[part])))
    fake.append(embed(samples["generated"]))
  return jnp.concatenate(real), jnp.concatenate(fake)


def time_problems(
  run: RestoredRun, real: jax.Array, fake: jax.Array
) -> tuple[float, dict[str, float]]:
  """Returns the milliseconds of the distance and its gradient, and metrics."""
  play = jax.pmap(
    jax.value_and_grad(
      lambda *both: transport.energy_distance(*both, **run.config.transport),
      argnums=(0, 1),
      has_aux=True,
    ),
    AXIS,
    devices=jax.devices()[:1],
  )
  real, fake = real[None], fake[None]
  (_, metrics), _ = play(real, fake)
  each = median_ms(lambda: jax.block_until_ready(play(real, fake)))
  return each, {key: float(value[0]) for key, value in metrics.items()}


def time_step(run: RestoredRun, images: np.ndarray) -> float:
  """Returns the milliseconds of a step from the run's state."""
  config = run.config.copy_and_resolve_references()
  config.batch_size = len(images)
  algorithm = algorithms.create(config)
  mapping = devices.create(config.parallel)
  step = mapping.map_step(
    make_train_step(
      algorithm, jax.random.key(0), config.ema_decay, make_augment(config.data)
    )
  )
  batch = mapping.shard_batch(
    {"image": np.stack([images] * minibatches(algorithm))}
  )
  state = mapping.replicate(run.state)

  def play() -> None:
    nonlocal state
    state, _ = jax.block_until_ready(step(state, batch))

  play()
  return median_ms(play)


def six_costs(real: jax.Array, fake: jax.Array) -> np.ndarray:
  """Returns the cost matrices of the six problems."""
  halves = [*np.split(np.array(real), 2), *np.split(np.array(fake), 2)]
  pairs = [(halves[i], halves[j]) for i, j in transport.PAIRS]
  return np.stack([transport.cosine_cost(*pair) for pair in pairs])


def time_pot(run: RestoredRun, costs: np.ndarray) -> tuple[float, float]:
  """Returns POT's milliseconds for the six costs, and its mean iterations."""
  import ot

  epsilon = run.config.transport.epsilon
  errors = [transport.solve(c, **run.config.transport).error for c in costs]
  costs, weights = np.float64(costs), np.full(len(costs[0]), 1 / len(costs[0]))
  needed = []
  # POT stops by another norm: its iterations are counted here first.
  for cost, target in zip(costs, errors, strict=True):
    iterations, error = 0, np.inf
    kernel, u = np.exp(-cost / epsilon), np.ones(len(cost))
    while not error <= target and iterations < 10_000:
      for _ in range(10):
        v = weights / (kernel.T @ u)
        u = weights / (kernel @ v)
      error = np.abs(v * (kernel.T @ u) - weights).sum()
      iterations += 10
    needed.append(iterations)

  def solve() -> None:
    for cost, iterations in zip(costs, needed, strict=True):
      ot.sinkhorn(
        weights, weights, cost, epsilon, numItermax=iterations, stopThr=0
      )

  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it did not reach stopThr=0
    return median_ms(solve), float(np.mean(needed))


# Beside plain iterations: arguments of ott-jax, and how epsilon is annealed.
SOLVERS = {
  "plain": {},
  "momentum 1.5": {"momentum": Momentum(value=1.5)},
  "momentum 1.8": {"momentum": Momentum(value=1.8)},
  "adaptive momentum": {"momentum": Momentum(start=50)},
  "Anderson, memory 5": {"anderson": AndersonAcceleration(memory=5)},
  "annealing": {"annealing": (50.0, 0.9)},
  "annealing, momentum 1.5": {
    "annealing": (50.0, 0.9),
    "momentum": Momentum(value=1.5),
  },
  "annealing, adaptive momentum": {
    "annealing": (50.0, 0.9),
    "momentum": Momentum(start=80),
  },
}


def time_solver(
  run: RestoredRun, costs: np.ndarray, annealing=(1.0, 1.0), **arguments
) -> tuple[float, float, float]:
  """Returns milliseconds, and the means of iterations and marginal errors."""
  settings = run.config.transport
  factor, decay = annealing

  @jax.jit
  def play(costs: jax.Array):
    def one(cost: jax.Array):
      epsilon = Epsilon(settings.epsilon, init=factor, decay=decay)
      out = linear.solve(
        Geometry(cost, epsilon=epsilon),
        threshold=settings.threshold,
        max_iterations=5000,
        **arguments,
      )
      error = transport.of_potential(out.g, cost, settings.epsilon).error
      return (out.errors >= 0).sum() * 10, error

    return jax.lax.map(one, costs)

  iterations, errors = jax.device_get(play(costs))
  each = median_ms(lambda: jax.block_until_ready(play(costs)))
  return each, iterations.mean(), errors.mean()


def main() -> None:
  """Prints a row for each batch."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "--workdir", type=pathlib.Path, required=True, help="of a run of OT-GAN"
  )
  parser.add_argument(
    "--batches", type=int, nargs="+", default=[64, 256, 1024, 4096]
  )
  args = parser.parse_args()
  if any(batch < 2 or batch % 2 for batch in args.batches):
    parser.error("--batches: give even numbers of at least 2, for two halves")
  if not find_spec("ot"):
    parser.error("POT is missing: pip install POT")
  if jax.device_count() > 1:
    parser.error(f"JAX sees {jax.device_count()} devices: hide all but one")
  logging.set_verbosity(logging.ERROR)
  startup.set_up()
  run = load(args.workdir)
  if run.config.algorithm != "ot_gan":
    raise InputError(f"{args.workdir} is no run of OT-GAN")
  source = data.create(run.config.data)
  if max(*args.batches, COMPARED) > len(source):
    raise InputError(
      f"the run has {len(source)} images: give smaller --batches, or a run on "
      "more"
    )
  updates = 1 + run.config.n_generator
  print(
    "| batch | six problems, ms | marginal error | unconverged | step, ms | "
    "share | POT ms | iterations | POT / ours |\n" + "|---" * 9 + "|"
  )
  for batch in args.batches:
    images = source[np.arange(batch)]["image"]
    real, fake = features(run, images)
    ours, metrics = time_problems(run, real, fake)
    whole = time_step(run, images)
    theirs, iterations = time_pot(run, six_costs(real, fake))
    print(
      f"| {batch} | {ours:.1f} | {metrics['marginal_error']:.1e} | "
      f"{metrics['unconverged']:.2f} | {whole:.0f} | "
      f"{updates * ours / whole:.0%} | {theirs:.1f} | {iterations:.0f} | "
      f"{theirs / ours:.2f} |",
      flush=True,
    )
  images = source[np.arange(COMPARED)]["image"]
  costs = six_costs(*features(run, images))
  print(
    f"\n| batch {COMPARED} | ms | iterations | marginal error |\n"
    + "|---" * 4
    + "|"
  )
  for name, arguments in SOLVERS.items():
    each, iterations, error = time_solver(run, costs, **arguments)
    print(
      f"| {name} | {each:.1f} | {iterations:.0f} | {error:.1e} |", flush=True
    )


if __name__ == "__main__":
  try:
    main()
  except InputError as e:
    sys.exit(f"error: {e}")
