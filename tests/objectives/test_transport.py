"""Transport plans, and the energy distance, against independent references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ott.geometry.costs import Cosine
from ott.geometry.pointcloud import PointCloud
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp, softmax

from jaxgan.game import AXIS
from jaxgan.objectives import transport

OURS = {"annealing": (50.0, 0.9), "momentum": 1.5}
EPSILON = 1 / 500


def features(n, seed=0, dim=8, centre=0.0):
  x = np.random.default_rng(seed).normal(centre, 1, size=(n, dim))
  return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def sinkhorn(
  cost, iterations, epsilon=EPSILON, annealing=(1.0, 1.0), momentum=1.0
):
  """The plan after so many iterations, in NumPy and float64."""
  cost = np.asarray(cost, np.float64)
  n, m = cost.shape
  f, g = np.zeros(n), np.zeros(m)
  for t in range(iterations):
    e = epsilon * max(1, annealing[0] * annealing[1] ** t)
    new = -e * (np.log(m) + logsumexp((f[:, None] - cost) / e, axis=0))
    g += momentum * (new - g)
    new = -e * (np.log(n) + logsumexp((g - cost) / e, axis=1))
    f += momentum * (new - f)
  return softmax((g - cost) / epsilon, axis=1) / n


def matched_gradients(real, fake, plan):
  """Salimans et al. 2018: for each feature, the mean of those that its own
  batch's plan matches it with, less that of the other's; then without the
  component along the feature, since only its direction counts."""
  x = [*np.split(np.float64(real), 2), *np.split(np.float64(fake), 2)]
  plans = {}
  for i, j in transport.PAIRS:
    plans[i, j] = plan(1 - x[i] @ x[j].T)
    plans[j, i] = plans[i, j].T
  gradients = []
  for i in range(4):
    same, others = (1, 0, 3, 2)[i], ((2, 3) if i < 2 else (0, 1))
    gradient = plans[i, same] @ x[same]
    gradient -= sum(plans[i, j] @ x[j] for j in others) / 2
    along = (gradient * x[i]).sum(1, keepdims=True)
    gradients.append(gradient - along * x[i])
  return np.concatenate(gradients[:2]), np.concatenate(gradients[2:])


def on_devices(real, fake, devices=1, **settings):
  """The distance, its gradients and its metrics, as a mapped step has them."""
  settings = {"epsilon": EPSILON, "threshold": 1e-3} | settings

  def one(real, fake):
    (distance, metrics), gradients = jax.value_and_grad(
      partial(transport.energy_distance, **settings),
      argnums=(0, 1),
      has_aux=True,
    )(real, fake)
    # The step takes the mean of the gradients in parameters, which are shared.
    gradients = jax.tree.map(lambda g: g / devices, gradients)
    return jax.lax.pmean((distance, metrics), AXIS), gradients

  def split(x):
    return jnp.asarray(x).reshape(devices, -1, *x.shape[1:])

  mapped = jax.pmap(one, AXIS, devices=jax.devices()[:devices])
  (distance, metrics), gradients = mapped(split(real), split(fake))
  gradients = [g.reshape(-1, g.shape[-1]) for g in gradients]
  return (
    float(distance[0]),
    gradients,
    {key: float(value[0]) for key, value in metrics.items()},
  )


def test_the_cost_is_that_of_ott():
  x, y = 3 * features(7), features(5, 1)
  theirs = PointCloud(x, y, cost_fn=Cosine()).cost_matrix
  np.testing.assert_allclose(transport.cosine_cost(x, y), theirs, atol=1e-6)


@pytest.mark.parametrize("iterations", [10, 100])
@pytest.mark.parametrize(
  "how", [{}, {"annealing": (50.0, 0.9)}, {"momentum": 1.5}, OURS]
)
def test_the_plan_is_that_of_as_many_iterations_in_numpy(iterations, how):
  cost = transport.cosine_cost(features(24), features(32, 1))
  ours = transport.solve(
    cost, epsilon=EPSILON, max_iterations=iterations, threshold=0.0, **how
  )
  theirs = sinkhorn(cost, iterations, **how)
  np.testing.assert_allclose(ours.plan, theirs, atol=2e-6)
  np.testing.assert_allclose(
    ours.error, np.abs(theirs.sum(0) - 1 / 32).sum(), atol=1e-4
  )


@pytest.mark.parametrize("how", [{}, OURS])
def test_marginals_are_uniform(how):
  cost = transport.cosine_cost(features(64), features(64, 1))
  plan, error = transport.solve(
    cost, epsilon=EPSILON, threshold=1e-3, max_iterations=2000, **how
  )
  assert (plan >= 0).all()
  np.testing.assert_allclose(plan.sum(1), 1 / 64, rtol=1e-5)
  np.testing.assert_allclose(plan.sum(0), 1 / 64, atol=1e-3)
  assert np.abs(plan.sum(0) - 1 / 64).sum() <= 1e-3
  np.testing.assert_allclose(error, np.abs(plan.sum(0) - 1 / 64).sum())


@pytest.mark.oracle
def test_the_plan_is_that_of_pot():
  ot = pytest.importorskip("ot")
  cost = transport.cosine_cost(features(24), features(32, 1))
  theirs = ot.sinkhorn(
    *(np.full(n, 1 / n) for n in cost.shape),
    np.float64(cost),
    EPSILON,
    method="sinkhorn_log",
    numItermax=5000,
    stopThr=1e-8,
    warn=False,
  )
  ours, error = transport.solve(
    cost, epsilon=EPSILON, threshold=1e-4, max_iterations=5000, **OURS
  )
  assert error <= 1e-4
  assert np.abs(ours - theirs).sum() < 1e-3
  np.testing.assert_allclose(
    (ours * cost).sum(), (theirs * cost).sum(), rtol=1e-5
  )


def test_the_cost_falls_to_that_of_the_best_assignment_with_epsilon():
  cost = transport.cosine_cost(features(32), features(32, 1))
  best = cost[linear_sum_assignment(cost)].mean()
  gaps = []
  for epsilon in (0.1, 0.03, 0.01, 0.003, 0.001):
    plan, error = transport.solve(
      cost, epsilon=epsilon, threshold=1e-4, max_iterations=5000, **OURS
    )
    assert error <= 1e-4
    gaps.append(float((plan * cost).sum() - best))
  print("epsilon 0.1 to 0.001, above the best assignment:", gaps)
  assert np.all(np.diff(gaps) < 0)
  assert gaps[0] > 0.03
  assert abs(gaps[-1]) < 1e-3


def test_of_a_batch_to_itself_there_is_nearly_nothing_to_transport():
  x = features(64)
  cost = transport.cosine_cost(x, x)
  plan, _ = transport.solve(cost, epsilon=EPSILON, threshold=1e-3, **OURS)
  other = transport.cosine_cost(x, features(64, 1))
  elsewhere, _ = transport.solve(other, epsilon=EPSILON, threshold=1e-3, **OURS)
  assert 0 <= (plan * cost).sum() < 2e-3
  assert (elsewhere * other).sum() > 0.1


def test_the_distance_is_unbiased():
  """Of batches of one distribution the mean is 0, of others above."""
  settings = {"epsilon": EPSILON, "threshold": 1e-3, **OURS}

  @jax.jit
  def distances(keys, shift):
    def one(key):
      x = jax.random.normal(key, (2, 16, 4))
      distance, _ = jax.vmap(
        partial(transport.energy_distance, **settings), axis_name=AXIS
      )(x[:1], x[1:] + shift)
      return distance[0]

    return jax.lax.map(one, keys)

  keys = jax.random.split(jax.random.key(0), 400)
  same, other = (np.array(distances(keys, shift)) for shift in (0.0, 0.5))
  deviation = same.std() / 20
  print(f"one distribution: {same.mean():.1e}, standard error {deviation:.1e}")
  assert abs(same.mean()) < 3 * deviation
  assert same.min() < 0 < same.max()
  assert other.mean() > 10 * deviation


@pytest.mark.parametrize("how", [{}, OURS])
def test_gradients_are_the_matched_features_of_numpys_plan(how):
  real, fake = features(48), features(48, 1, centre=0.3)
  distance, ours, _ = on_devices(
    real, fake, max_iterations=100, threshold=0.0, **how
  )
  theirs = matched_gradients(
    real, fake, partial(sinkhorn, iterations=100, **how)
  )
  for a, b in zip(ours, theirs, strict=True):
    assert np.abs(a).max() > 1e-3
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
  halves = [*np.split(real, 2), *np.split(fake, 2)]
  costs = []
  for i, j in transport.PAIRS:
    cost = 1 - np.float64(halves[i]) @ halves[j].T
    costs.append((sinkhorn(cost, 100, **how) * cost).sum())
  # 2 E W(X, Y) - E W(X, X') - E W(Y, Y').
  expected = 2 * np.mean(costs[:4]) - costs[4] - costs[5]
  np.testing.assert_allclose(distance, expected, atol=1e-5)


@pytest.mark.slow
def test_gradients_of_the_converged_plan():
  """How far off they are, and what annealing and momentum buy."""
  real, fake = features(128, dim=64), features(128, 1, dim=64)
  converged = matched_gradients(
    real, fake, partial(sinkhorn, iterations=800, **OURS)
  )
  errors = {}
  for name, how in (
    ("plain, 100", {"max_iterations": 100, "threshold": 0.0}),
    ("plain, 500", {"max_iterations": 500, "threshold": 0.0}),
    ("annealing and momentum, 100", {"max_iterations": 100, **OURS}),
    ("annealing and momentum, to 1e-3", {"max_iterations": 500, **OURS}),
  ):
    _, gradients, metrics = on_devices(real, fake, **how)
    errors[name] = max(
      np.linalg.norm(a - b) / np.linalg.norm(b)
      for a, b in zip(gradients, converged, strict=True)
    )
    print(
      f"{name}: {errors[name]:.2%}, marginals {metrics['marginal_error']:.1e}"
    )
  assert errors["annealing and momentum, to 1e-3"] < 0.01
  assert errors["annealing and momentum, 100"] < errors["plain, 100"] / 3


def test_no_gradient_flows_through_the_plan():
  cost = transport.cosine_cost(features(8), features(8, 1))
  gradient = jax.grad(
    lambda cost: jnp.square(
      transport.solve(cost, epsilon=EPSILON, **OURS).plan
    ).sum()
  )(cost)
  assert (gradient == 0).all()


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_devices_do_not_change_it(devices):
  real, fake = features(48), features(48, 1)
  how = {"max_iterations": 60, **OURS}  # some problems converge, some do not
  distance, gradients, metrics = on_devices(real, fake, **how)
  assert 0 < metrics["unconverged"] < 1
  again, others, theirs = on_devices(real, fake, devices, **how)
  np.testing.assert_allclose(again, distance, atol=1e-6)
  for name in metrics:
    np.testing.assert_allclose(theirs[name], metrics[name], rtol=1e-3)
  for a, b in zip(others, gradients, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_not_converging_is_reported():
  real, fake = features(32), features(32, 1)
  for how in ({"max_iterations": 1}, {"momentum": 1.95}):
    distance, gradients, metrics = on_devices(real, fake, **how)
    assert metrics["unconverged"] == 1
    assert metrics["marginal_error"] > 0.1
    assert np.isfinite(distance)
    assert all(np.isfinite(g).all() for g in gradients)
  *_, metrics = on_devices(real, fake, max_iterations=2000, **OURS)
  assert metrics["unconverged"] == 0
  assert metrics["marginal_error"] <= 1e-3


@pytest.mark.slow
def test_only_directions_count_and_zero_is_no_trouble():
  real, fake = features(16), features(16, 1)
  distance, gradients, _ = on_devices(real, fake, **OURS)
  again, shorter, _ = on_devices(100 * real, 1e-3 * fake, **OURS)
  np.testing.assert_allclose(again, distance, atol=1e-5)
  np.testing.assert_allclose(100 * shorter[0], gradients[0], atol=1e-5)
  for value in (0.0, 1e-30, 1e30):
    real[:3] = value
    distance, gradients, metrics = on_devices(real, fake, **OURS)
    assert np.isfinite([distance, *metrics.values()]).all()
    assert all(np.isfinite(g).all() for g in gradients)
  assert on_devices(0 * real, 0 * fake, **OURS)[0] == 0


def test_it_is_in_float32_whatever_the_networks_are_in():
  x = jnp.asarray(features(16), jnp.bfloat16)
  assert transport.cosine_cost(x, x).dtype == jnp.float32
  # Exact to less than epsilon, which rounded products are not.
  jaxpr = str(jax.make_jaxpr(transport.cosine_cost)(x, x))
  assert "HIGHEST" in jaxpr
  distance, gradients, _ = on_devices(x, jnp.roll(x, 1, 1), **OURS)
  assert np.isfinite(distance)
  assert {g.dtype for g in gradients} == {jnp.dtype("bfloat16")}


@pytest.mark.slow
def test_accelerators_solve_all_problems_at_once(monkeypatch):
  real, fake = features(32), features(32, 1)
  alone = on_devices(real, fake, **OURS)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  together = on_devices(real, fake, **OURS)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), alone, together
  )
