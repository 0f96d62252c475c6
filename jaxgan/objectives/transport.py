"""Entropic optimal transport, and the minibatch energy distance made of it.

The plans are those of ott-jax's Sinkhorn iterations; gradients do not flow
through them. At the optimum that is the whole gradient of the regularised
cost (the envelope theorem); before it, what OT-GAN's authors use.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ott.geometry.epsilon_scheduler import Epsilon
from ott.geometry.geometry import Geometry
from ott.solvers import linear
from ott.solvers.linear.acceleration import Momentum

from jaxgan import xla_cpu
from jaxgan.game import AXIS
from jaxgan.models.layers.norms import unit_length

# The problems of the energy distance between two halves of a real batch, 0 and
# 1, and two of a generated one, 2 and 3; and with what weight each counts.
PAIRS = np.array([(0, 2), (0, 3), (1, 2), (1, 3), (0, 1), (2, 3)])
WEIGHTS = np.array([0.5, 0.5, 0.5, 0.5, -1.0, -1.0], np.float32)


class Transport(NamedTuple):
  """The solution of a transport problem between n and m points."""

  plan: jax.Array  # [n, m], its rows sum to 1 / n
  error: jax.Array  # sum of |its columns' sums - 1 / m|


def cosine_cost(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns 1 - cos of the angles between x `[..., N, D]` and y `[..., M, D]`.

  It is in [0, 2], and 1 where a vector is 0.
  """
  x, y = unit_length(x), unit_length(y)
  # By default, accelerators round the factors to 8 or 11 bits: an error of the
  # size of epsilon.
  return 1 - jnp.einsum("...nd,...md->...nm", x, y, precision="highest")


def solve(
  cost: jax.Array,
  *,
  epsilon: float,
  annealing: tuple[float, float] = (1.0, 1.0),
  momentum: float = 1.0,
  max_iterations: int = 500,
  threshold: float = 1e-3,
) -> Transport:
  """Solves a transport problem between uniform marginals by Sinkhorn's method.

  Cuturi 2013 (arXiv:1306.0895), in the log domain, ended by a half-iteration
  for the rows as in OT-GAN's code.

  Args:
    cost: `[n, m]`.
    epsilon: weight of the entropy; OT-GAN's lambda is 1 / epsilon.
    annealing: `(factor, decay)`: iteration t works with epsilon times
      max(1, factor decay^t).
    momentum: over-relaxation of the potentials, from 1, which is none, to less
      than 2; too much of it diverges. Thibault et al. 2017 (arXiv:1711.01851).
    max_iterations: cap, in tens.
    threshold: of the error at which to stop; looked at every 10 iterations, and
      before the last half: the plan's error is less, with momentum 1.5 half.
  """
  cost = lax.stop_gradient(cost)
  factor, decay = annealing
  out = linear.solve(
    Geometry(cost, epsilon=Epsilon(epsilon, init=factor, decay=decay)),
    momentum=Momentum(value=momentum),
    max_iterations=max_iterations,
    threshold=threshold,
  )
  return of_potential(out.g, cost, epsilon)


def of_potential(g: jax.Array, cost: jax.Array, epsilon: float) -> Transport:
  """Returns the plan whose rows fit, for the columns' potential `g [m]`."""
  n, m = cost.shape
  plan = jax.nn.softmax((g - cost) / epsilon, axis=1) / n
  # Of the plan: ott-jax calls it converged where the potentials diverged.
  return Transport(plan, jnp.abs(plan.sum(0) - 1 / m).sum())


def energy_distance(
  real: jax.Array, fake: jax.Array, *, threshold: float, **settings
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Returns the squared energy distance of two batches of features `[B, D]`.

  2 E W(X, Y) - E W(X, X') - E W(Y, Y'), Salimans et al. 2018
  (arXiv:1803.05573), section 3, where X, X' are the halves of the real batch,
  Y, Y' those of the generated one, and the expectation of the first term is the
  mean of its four pairs: half of the loss of algorithm 1. W is the transport
  cost of the entropic plan for the cosine cost.

  Within a mapped step: the batches are those of all devices together, which
  share the six problems. The mean of the results over the devices is the
  distance, and the mean of the gradients its gradient.

  For the settings see `solve`.

  Returns:
    The distance, and for the six problems: `unconverged`, the share of them
    whose marginal error is above the threshold, and `marginal_error`, the
    mean.
  """
  both = lax.all_gather(jnp.stack([real, fake]), AXIS, axis=1)
  quarters = both.reshape(4, -1, both.shape[-1])

  devices = lax.axis_size(AXIS)
  share = -(-len(PAIRS) // devices)
  problems = lax.axis_index(AXIS) * share + jnp.arange(share)
  valid, problems = problems < len(PAIRS), problems % len(PAIRS)
  first, second = jnp.asarray(PAIRS)[problems].T
  weights = jnp.where(valid, jnp.asarray(WEIGHTS)[problems], 0.0)

  cost = cosine_cost(quarters[first], quarters[second])
  plan, error = lax.map(
    partial(solve, threshold=threshold, **settings),
    cost,
    # XLA:CPU solves one after the other in a third of the time: each stops by
    # itself, and looks at its error less often.
    batch_size=None if xla_cpu.on_cpu() else share,
  )
  costs = (plan * cost).sum((1, 2))

  def mean(values: jax.Array) -> jax.Array:
    return devices * jnp.where(valid, values, 0).sum() / len(PAIRS)

  return devices * (weights * costs).sum(), {
    "unconverged": mean(~(error <= threshold)),
    "marginal_error": mean(error),
  }
