"""Distances between two sets of features of a network, `[N, D]`.

Names such as FID belong to the features of Inception.
"""

from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metrics import Undefined


class Moments(NamedTuple):
  """The first two moments of a stream of vectors, in float64."""

  count: int
  mean: np.ndarray  # `[D]`
  scatter: np.ndarray  # `[D, D]`, the sum of (x - mean) (x - mean)^T


def moments(x: np.ndarray) -> Moments:
  """Returns the moments of `[N, D]`, N at least 1."""
  x = x.astype(np.float64)
  mean = x.mean(0)
  return Moments(len(x), mean, (x - mean).T @ (x - mean))


def merge(a: Moments, b: Moments) -> Moments:
  """Returns the moments of both streams (Chan et al. 1979, eq. 2.1)."""
  count = a.count + b.count
  gap = b.mean - a.mean
  return Moments(
    count,
    a.mean + gap * b.count / count,
    a.scatter + b.scatter + np.outer(gap, gap) * a.count * b.count / count,
  )


def frechet_distance(a: Moments, b: Moments) -> float:
  """Returns the squared Frechet distance of Gaussians with these moments.

  Heusel et al. 2017 (arXiv:1706.08500), eq. 6:
  `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`, covariances with
  N - 1 in the denominator. It is biased upwards, the more the fewer vectors.

  Raises:
    Undefined: where there are not more vectors than dimensions, so that a
      covariance would be singular.
  """
  needed = len(a.mean) + 1
  if min(a.count, b.count) < needed:
    raise Undefined(
      f"a covariance of {needed - 1} features needs at least {needed} images, "
      f"not {min(a.count, b.count)}"
    )
  first, second = (m.scatter / (m.count - 1) for m in (a, b))
  values, vectors = np.linalg.eigh(first)
  # Directions in which nothing varies would each add the root of a rounding
  # error.
  varies = values > len(values) * np.finfo(np.float64).eps * values[-1]
  root = vectors[:, varies] * np.sqrt(values[varies])
  # It has the eigenvalues of C_a C_b, but is symmetric.
  product = np.linalg.eigvalsh(root.T @ second @ root)
  gap = ((a.mean - b.mean) ** 2).sum()
  traces = np.trace(first) + np.trace(second)
  return float(gap + traces - 2 * np.sqrt(product.clip(0)).sum())


def kid(
  a: np.ndarray,
  b: np.ndarray,
  seed: int = 0,
  subsets: int = 100,
  size: int = 1000,
) -> float:
  """Returns the squared maximum mean discrepancy with a cubic kernel: KID.

  Binkowski et al. 2018 (arXiv:1801.01401), section 4: the unbiased estimate
  with `k(x, y) = (x . y / D + 1)^3` for features `[N, D]` and `[M, D]`, the
  mean over random subsets of `size` vectors, or all where there are fewer.
  Small negative values are no mistake.

  Raises:
    Undefined: where a set has fewer than 2 vectors.
  """
  rng = np.random.default_rng(seed)
  size = min(size, len(a), len(b))
  if size < 2:
    raise Undefined("a kernel distance needs at least 2 images")
  if size == len(a) == len(b):
    subsets = 1  # they would all be the same
  a, b = a.astype(np.float64), b.astype(np.float64)
  total = 0.0
  for _ in range(subsets):
    x, y = (z[rng.choice(len(z), size, replace=False)] for z in (a, b))
    within = sum(_cubes(z, z) - _diagonal_cubes(z) for z in (x, y))
    between = _cubes(x, y)
    total += within / (size * (size - 1)) - 2 * between / size**2
  return float(total / subsets)


def _cubes(x: np.ndarray, y: np.ndarray) -> float:
  """Returns the sum of the kernel over all pairs."""
  z = x @ y.T / x.shape[1] + 1
  return np.einsum("ij,ij,ij->", z, z, z)  # in one pass, without copies


def _diagonal_cubes(x: np.ndarray) -> float:
  """Returns the sum of the kernel of each vector with itself."""
  return (((x * x).mean(1) + 1) ** 3).sum()


class PRDC(NamedTuple):
  """The result of `prdc`; in [0, 1] but for the density and the distance."""

  precision: float
  recall: float
  density: float
  coverage: float
  nearest_distance: float


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 3) -> PRDC:
  """Returns how much features `[N, D]` and `[M, D]` overlap.

  A vector's neighbourhood is the ball that reaches to its k-th nearest other
  vector of the same set. Precision is the share of fakes in a neighbourhood
  of a real, recall that of reals in one of a fake (Kynkaanniemi et al. 2019,
  arXiv:1904.06991, eq. 1 and 2); density is the mean number of real
  neighbourhoods around a fake over k, coverage the share of reals with a fake
  in their neighbourhood (Naeem et al. 2020, arXiv:2002.09797, eq. 2 and 3).
  The nearest distance is the median of the distances of fakes to the nearest
  real.

  Raises:
    Undefined: where a vector has no k others.
  """
  from sklearn.metrics import pairwise_distances_chunked
  from sklearn.neighbors import NearestNeighbors

  if min(len(real), len(fake)) <= k:
    raise Undefined(f"neighbourhoods of {k} need at least {k + 1} images")
  centre = real.astype(np.float64).mean(0)
  real, fake = real - centre, fake - centre
  # Distances are rounded, and copies have to count as neighbours.
  slack = 1e-6 * np.sqrt((real**2).sum(1).mean())
  search = NearestNeighbors(n_neighbors=k, algorithm="brute")
  radii = [search.fit(x).kneighbors()[0][:, -1] + slack for x in (real, fake)]
  around = np.zeros(len(fake))  # real neighbourhoods around each fake
  covered, recalled = np.zeros((2, len(real)), bool)
  nearest = np.full(len(fake), np.inf)
  start = 0
  for gaps in pairwise_distances_chunked(real, fake):
    rows = slice(start, start + len(gaps))
    inside = gaps <= radii[0][rows, None]
    around += inside.sum(0)
    covered[rows] = inside.any(1)
    recalled[rows] = (gaps <= radii[1]).any(1)
    nearest = np.minimum(nearest, gaps.min(0))
    start += len(gaps)
  return PRDC(
    precision=float((around > 0).mean()),
    recall=float(recalled.mean()),
    density=float(around.mean() / k),
    coverage=float(covered.mean()),
    nearest_distance=float(np.median(nearest)),
  )
