"""Metrics against closed forms, brute force and torch-fidelity."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
import sklearn
from helpers.oracles import import_torch_fidelity

from jaxgan.data import mixtures
from jaxgan.data.mixtures import Mixture, modes
from jaxgan.evaluation.metrics import Undefined, feature_pairs
from jaxgan.evaluation.metrics.classifier_scores import (
  inception_score,
  modes_found,
  reverse_kl,
)
from jaxgan.evaluation.metrics.distances import (
  Moments,
  frechet_distance,
  kid,
  merge,
  moments,
  prdc,
)
from jaxgan.evaluation.metrics.points import wasserstein


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def fidelity():
  """Modules of torch-fidelity, by the metric."""
  package = import_torch_fidelity()

  def module(metric):
    return getattr(package, f"metric_{metric}")

  return module


def tensors(*arrays):
  torch = pytest.importorskip("torch")
  return tuple(map(torch.from_numpy, arrays))


# Moments


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize(
  "sizes", [[30], [1, 29], [29, 1], [10, 3, 17], [1] * 30]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_merged_moments(sizes, offset, dtype):
  x = (normal(30, 4) + offset).astype(dtype)
  found, *others = map(moments, np.split(x, np.cumsum(sizes)[:-1]))
  for other in others:
    found = merge(found, other)
  centred = x.astype(np.float64) - offset  # exact
  assert found.count == 30
  assert found.mean.dtype == found.scatter.dtype == np.float64
  np.testing.assert_allclose(found.mean - offset, centred.mean(0), atol=1e-8)
  np.testing.assert_allclose(
    found.scatter, 29 * np.cov(centred, rowvar=False), rtol=1e-8, atol=1e-7
  )


# Frechet distance


def gaussian(mean, covariance, count=1000):
  return Moments(count, np.asarray(mean), covariance * (count - 1))


def test_frechet_of_diagonal_covariances():
  a = gaussian([0.0, 1, 2], np.diag([1.0, 4, 9]))
  b = gaussian([1.0, 1, 4], np.diag([4.0, 4, 0]), count=50)
  np.testing.assert_allclose(
    frechet_distance(a, b), (1 + 4) + (1 + 0 + 9), rtol=1e-12
  )


def test_frechet_of_commuting_covariances():
  axes = np.linalg.qr(normal(6, 6))[0]
  s, t = np.arange(1.0, 7), np.arange(9.0, 3, -1)
  a, b = (gaussian(np.zeros(6), (axes * x**2) @ axes.T) for x in (s, t))
  np.testing.assert_allclose(
    frechet_distance(a, b), ((s - t) ** 2).sum(), rtol=1e-12
  )


def test_frechet_of_a_shift():
  x, shift = normal(100, 8), np.arange(8)
  distance = frechet_distance(moments(x), moments(x + shift))
  np.testing.assert_allclose(distance, (shift**2).sum(), rtol=1e-12)


def test_frechet_against_matrix_square_root():
  first, second = (np.cov(normal(30, 12, seed=i).T) for i in (1, 2))
  means = normal(2, 12)
  a, b = gaussian(means[0], first), gaussian(means[1], second)
  root = scipy.linalg.sqrtm(first @ second)
  expected = ((means[0] - means[1]) ** 2).sum()
  expected += np.trace(first + second - 2 * root).real
  np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-8)
  np.testing.assert_allclose(frechet_distance(b, a), expected, rtol=1e-8)


@pytest.mark.parametrize("ranks", [(40, 15), (15, 40), (15, 15)])
def test_frechet_of_singular_covariances(ranks):
  # With C = F F^T, the trace of (C_a C_b)^(1/2) is the sum of the singular
  # values of F_a^T F_b.
  f, g = (normal(40, rank, seed=rank + i) for i, rank in enumerate(ranks))
  a, b = (gaussian(np.zeros(40), x @ x.T) for x in (f, g))
  cross = np.linalg.svd(f.T @ g, compute_uv=False).sum()
  expected = (f**2).sum() + (g**2).sum() - 2 * cross
  # Rounding covariances to float64 changes the root by its root, 1.5e-8.
  np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-7)
  np.testing.assert_allclose(frechet_distance(b, a), expected, rtol=1e-7)


@pytest.mark.parametrize("kind", ["full rank", "dead", "low rank"])
def test_frechet_of_a_set_to_itself(kind):
  x = normal(600, 512)
  if kind == "dead":
    x = np.maximum(x, 0) * (np.arange(512) % 2)
  elif kind == "low rank":
    x = x[:, :100] @ normal(100, 512, seed=1)
  found = moments(x)
  trace = found.scatter.trace() / (found.count - 1)
  assert abs(frechet_distance(found, found)) <= 1e-8 * trace


@pytest.mark.oracle
def test_frechet_against_torch_fidelity(fidelity):
  fid = fidelity("fid")
  x, y = normal(200, 32), 1.5 * normal(150, 32, seed=1) + 0.3
  stats = map(fid.fid_features_to_statistics, tensors(x, y))
  expected = fid.fid_statistics_to_metric(*stats, False)[fid.KEY_METRIC_FID]
  np.testing.assert_allclose(
    frechet_distance(moments(x), moments(y)), expected, rtol=1e-10
  )


def test_frechet_needs_more_vectors_than_dimensions():
  enough, few = moments(normal(5, 4)), moments(normal(4, 4))
  assert frechet_distance(enough, enough) < 1e-12
  for pair in ((enough, few), (few, enough)):
    with pytest.raises(Undefined, match="at least 5 .*not 4"):
      frechet_distance(*pair)


# Kernel distance


def looped_kernel(a, b):
  def mean(x, y, pairs):
    return np.mean([(x[i] @ y[j] / len(x[i]) + 1) ** 3 for i, j in pairs])

  pairs = list(itertools.product(range(len(a)), repeat=2))
  others = [(i, j) for i, j in pairs if i != j]
  return mean(a, a, others) + mean(b, b, others) - 2 * mean(a, b, pairs)


@pytest.mark.parametrize("size", [7, 1000])
def test_kid_against_loops(size):
  x, y = normal(7, 3), normal(7, 3, seed=1) + 1
  np.testing.assert_allclose(
    kid(x, y, subsets=3, size=size), looped_kernel(x, y), rtol=1e-12
  )


def test_kid_of_points():
  x, y = np.full((4, 2), 1), np.full((4, 2), 3)
  assert kid(x, y) == pytest.approx(2**3 + 10**3 - 2 * 4**3, rel=1e-14)


def test_kid_subsets_are_without_replacement():
  x, y = normal(5, 3), normal(4, 3, seed=1)
  each = [looped_kernel(np.delete(x, i, 0), y) for i in range(5)]
  error = np.std(each) / np.sqrt(2000)
  assert abs(kid(x, y, subsets=2000) - np.mean(each)) < 4 * error
  assert abs(kid(y, x, subsets=2000) - np.mean(each)) < 4 * error


@pytest.mark.oracle
def test_kid_against_torch_fidelity(fidelity):
  theirs = fidelity("kid")
  x, y = np.abs(normal(60, 16)), np.abs(normal(60, 16, seed=1)) + 0.1
  expected = theirs.kid_features_to_metric(
    *tensors(x, y), kid_subsets=2, kid_subset_size=60, verbose=False
  )[theirs.KEY_METRIC_KID_MEAN]
  np.testing.assert_allclose(kid(x, y, subsets=2), expected, rtol=1e-10)


@pytest.mark.parametrize("scale", [1, 1.5])
def test_kid_is_unbiased(scale):
  # Of Gaussians around 0 the distance is 3 / D (s^2 - t^2)^2.
  found = [
    kid(normal(40, 4, seed=i), scale * normal(40, 4, seed=i + 1), subsets=1)
    for i in range(0, 600, 2)
  ]
  error = np.std(found) / np.sqrt(len(found))
  assert abs(np.mean(found) - 3 / 4 * (1 - scale**2) ** 2) < 4 * error
  if scale == 1:
    assert min(found) < 0 < max(found)


def test_kid_seed():
  x, y = normal(50, 3), normal(50, 3, seed=1)
  first, again, other = (kid(x, y, s, subsets=2, size=10) for s in (1, 1, 2))
  assert first == again != other


def test_kid_needs_two_vectors():
  with pytest.raises(Undefined, match="at least 2"):
    kid(normal(1, 3), normal(5, 3))


# Neighbourhoods


def brute_prdc(real, fake, k):
  def squared(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    return ((x[:, None] - y) ** 2).sum(-1)

  # The nearest in the set is the vector itself, or one equal to it.
  reach_real, reach_fake = (np.sort(squared(x, x))[:, k] for x in (real, fake))
  gaps = squared(real, fake)
  around_real = gaps <= reach_real[:, None]
  around_fake = gaps <= reach_fake
  return (
    np.mean([column.any() for column in around_real.T]),
    np.mean([row.any() for row in around_fake]),
    around_real.sum() / (k * len(fake)),
    np.mean([row.any() for row in around_real]),
    np.median([np.sqrt(column.min()) for column in gaps.T]),
  )


def test_prdc_on_paper():
  # Of the reals: [-1, 1], [0, 2], [1, 5], [9.5, 10.5], [10, 11].
  # Of the fakes: [.25, .75], [.5, 1], [.75, 7.25], [19.5, 20.5] twice, [20, 22]
  real = np.array([0, 1, 3, 10, 10.5])[:, None]
  fake = np.array([0.5, 0.75, 4, 20, 20.5, 21])[:, None]
  found = prdc(real, fake, k=1)
  np.testing.assert_allclose(
    found, (3 / 6, 2 / 5, 5 / 6, 3 / 5, (1 + 9.5) / 2), rtol=1e-15
  )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("kind", ["distinct", "lattice"])
def test_prdc_against_brute_force(kind, k):
  if kind == "distinct":
    real, fake = normal(50, 5), 1.2 * normal(70, 5, seed=1) + 0.3
  else:  # many ties and copies
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 5, (50, 3)), rng.integers(1, 6, (70, 3))
  expected = brute_prdc(real, fake, k)
  assert 0 < min(expected[:2]) < 1
  np.testing.assert_allclose(prdc(real, fake, k), expected, rtol=1e-12)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_prdc_of_a_set_to_itself(copies):
  for size in (2, 16, 31, 64, 128):
    x = np.repeat(normal(30, size) + 1, copies, axis=0).astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(x)
    for other in (x, shuffled):
      found = prdc(x, other)
      assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
      assert found.nearest_distance < 1e-5
      expected = brute_prdc(x, other, 3)
      np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_prdc_of_copies_among_others():
  for size in (2, 16, 31, 64, 128):
    real, new = normal(2, 40, size) + 1
    fake = np.concatenate([real[:20], new[:30]])
    np.testing.assert_allclose(
      prdc(real, fake),
      brute_prdc(real, fake, 3),
      rtol=1e-12,
    )


@pytest.mark.oracle
def test_prdc_against_torch_fidelity(fidelity):
  real, fake = normal(80, 6), 1.3 * normal(90, 6, seed=1) + 0.3
  # Its first set is the generated one.
  expected = fidelity("prc").calculate_precision_recall_full(
    *tensors(fake, real)
  )
  assert 0 < min(expected) < max(expected) < 1
  found = prdc(real, fake)
  np.testing.assert_allclose(found[:2], expected, rtol=1e-6)  # of float32


def test_prdc_of_distant_sets():
  found = prdc(normal(20, 3), normal(30, 3) + 100)
  assert found[:4] == (0, 0, 0, 0)
  assert abs(found.nearest_distance - 100 * 3**0.5) < 10


def test_prdc_in_chunks():
  real, fake = normal(100, 4), normal(80, 4, seed=1)
  whole = prdc(real, fake)
  with sklearn.config_context(working_memory=2e-3):  # MiB: a few rows
    assert prdc(real, fake) == whole


def test_prdc_need_neighbours():
  assert prdc(normal(4, 2), normal(4, 2)).precision == 1
  for counts in ((3, 4), (4, 3)):
    with pytest.raises(Undefined, match="at least 4"):
      prdc(*(normal(count, 2) for count in counts))


# Labels


@pytest.mark.parametrize("splits", [1, 10])
def test_inception_score_bounds(splits):
  sure = 1e4 * np.tile(np.eye(7, dtype=np.float32), (10, 1))
  assert inception_score(sure, splits) == pytest.approx(7, rel=1e-12)
  constant = np.tile(normal(7), (70, 1))
  assert inception_score(constant, splits) == pytest.approx(1, rel=1e-12)


def test_inception_score_of_unequal_splits():
  logits = 3 * normal(23, 5)
  scores = []
  for part in np.split(logits, [5, 11, 17]):
    p = np.exp(part) / np.exp(part).sum(1, keepdims=True)
    scores.append(np.exp(scipy.stats.entropy(p.T, p.mean(0)[:, None]).mean()))
  np.testing.assert_allclose(
    inception_score(logits, splits=4), np.mean(scores), rtol=1e-12
  )


@pytest.mark.oracle
def test_inception_score_against_torch_fidelity(fidelity):
  isc = fidelity("isc")
  logits = 3 * normal(200, 10)
  expected = isc.isc_features_to_metric(*tensors(logits), shuffle=False)
  np.testing.assert_allclose(
    inception_score(logits), expected[isc.KEY_METRIC_ISC_MEAN], rtol=1e-12
  )


def test_modes_found():
  assert modes_found(np.array([0, 3, 1, 0, 20])) == 3
  assert modes_found(np.zeros(4, int)) == 0


def test_reverse_kl():
  data = np.array([10, 10, 10, 10])
  assert reverse_kl(3 * data, data) == 0
  one = reverse_kl(np.array([0, 5, 0, 0]), data)
  assert one == pytest.approx(np.log(4), rel=1e-14)
  assert reverse_kl(np.array([1, 1, 0]), np.array([1, 0, 1])) == np.inf
  # A class that neither has is no matter.
  assert reverse_kl(np.array([2, 0, 2]), np.array([7, 0, 7])) == 0
  made, held = np.array([0, 30, 4, 12, 1]), np.array([10, 20, 30, 40, 50])
  assert reverse_kl(made, held) == pytest.approx(
    scipy.stats.entropy(made, held), rel=1e-12
  )


# Points in the plane


def test_modes_of_points_by_hand():
  mixture = Mixture(np.array([[0.0, 0], [100, 0], [0, 100]]), 5.0)
  inside, outside = [[9, 12], [115, 0]], [[9, 12.01], [0, 115.01], [50, 0]]
  assert modes(np.array(inside), mixture) == (2, 1.0)
  assert modes(np.array(outside), mixture) == (0, 0.0)
  assert modes(np.array(inside + outside), mixture) == (2, 0.4)
  strange = [[np.nan, 0], [0, np.inf]]
  assert modes(np.array(inside + strange), mixture) == (2, 0.5)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_modes_of_the_mixture_itself(name):
  mixture = getattr(mixtures, name)()
  points = mixtures.draw(mixture, seed=5, length=20_000).arrays["image"]
  found, share = modes(points, mixture)
  assert found == len(mixture.centres)
  expected = 1 - np.exp(-4.5)  # the squared radius is exponential
  error = np.sqrt(expected * (1 - expected) / len(points))
  assert abs(share - expected) < 4 * error


def test_wasserstein_of_a_translation():
  x = normal(100, 2)
  moved = np.random.default_rng(0).permutation(x) + [3, -4]
  assert wasserstein(x, moved) == pytest.approx(5, rel=1e-12)
  assert wasserstein(x, x[::-1]) == 0


def test_wasserstein_against_all_assignments():
  x, y = normal(6, 2), 2 * normal(6, 2, seed=1)
  costs = [
    ((x - y[list(order)]) ** 2).sum(1).mean()
    for order in itertools.permutations(range(6))
  ]
  np.testing.assert_allclose(wasserstein(x, y), np.sqrt(min(costs)), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_wasserstein_of_points_that_are_not_finite(bad):
  x, y = normal(10, 2), normal(10, 2, seed=1)
  x[3, 1] = bad
  assert np.isnan(wasserstein(x, y))
  assert np.isnan(wasserstein(y, x))


def test_feature_pairs_of_known_angles():
  sources = np.array([[1.0, 0], [0, 2], [3, 3]])
  translations = np.array([[5.0, 0], [3, 0.1], [1, 1]])
  cosines = 1 - scipy.spatial.distance.cdist(sources, translations, "cosine")
  np.testing.assert_allclose(
    feature_pairs.similarity(sources, translations), np.trace(cosines) / 3
  )
  np.testing.assert_allclose(
    feature_pairs.random_similarity(sources, translations),
    (cosines.sum() - np.trace(cosines)) / 6,
  )
  # The second translation is nearest to the first source.
  assert feature_pairs.retrieval(sources, translations) == 2 / 3
  with pytest.raises(Undefined):
    feature_pairs.random_similarity(sources[:1], translations[:1])


def test_retrieval_of_more_than_a_chunk():
  rng = np.random.default_rng(0)
  features = rng.normal(size=(2500, 16))
  assert feature_pairs.retrieval(features, 2 * features) == 1
  shifted = np.roll(features, 1, axis=0)
  assert feature_pairs.retrieval(features, shifted) == 0
