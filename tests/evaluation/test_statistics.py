"""Statistics of images, and metrics of samples beside those of real ones."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from helpers.configs import data_config, load_config, shrink
from helpers.feature_nets import plain_net
from helpers.files import write_images
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from jaxgan import algorithms, data, evaluation
from jaxgan.data.arrays import ArraySource
from jaxgan.data.order import shuffled_indices
from jaxgan.errors import InputError
from jaxgan.evaluation import (
  EvaluationOptions,
  feature_nets,
  sampling,
  statistics,
)
from jaxgan.evaluation.metrics import tables

pytestmark = pytest.mark.slow


@pytest.fixture
def few(monkeypatch):
  """Batches of 16, so that there are several."""
  monkeypatch.setattr(sampling, "BATCH_SIZE", 16)


def test_statistics_are_those_of_all_images(few, monkeypatch):
  monkeypatch.setattr(statistics, "MAX_KID_FEATURES", 40)
  net = plain_net()
  images = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 1), np.uint8)
  source = ArraySource({"image": images, "label": np.arange(70) % 10})
  order = np.arange(70)[::-1]
  found = statistics.collect(
    net, sampling.examples(source, order), 70, "images"
  )
  expected = images[::-1].reshape(70, -1)[:, 100:103] / 255
  np.testing.assert_allclose(found.moments.mean, expected.mean(0), rtol=1e-6)
  np.testing.assert_allclose(
    found.moments.scatter / 69, np.cov(expected.T), rtol=1e-5
  )
  np.testing.assert_allclose(found.features, expected[:40], rtol=1e-6)
  np.testing.assert_array_equal(found.labels, (np.arange(70) % 10)[::-1])
  assert found.logits.shape == (70, 10)


def grey_levels(images):
  """The features and logits of `plain_net`."""
  flat = images.reshape(len(images), -1).astype(np.float64) / 255
  return flat[:, 100:103], flat[:, 50:60]


def expected_metrics(images, labels, samples):
  """The metrics of samples, by scipy and scikit-learn alone."""
  (real, _), (fake, logits) = grey_levels(images), grey_levels(samples)
  (m, c), (n, d) = ((x.mean(0), np.cov(x.T)) for x in (real, fake))
  kernel = partial(polynomial_kernel, degree=3, gamma=1 / 3, coef0=1)
  within = [
    (kernel(x).sum() - np.trace(kernel(x))) / (len(x) * (len(x) - 1))
    for x in (real, fake)
  ]
  reach_real, reach_fake = (
    NearestNeighbors(n_neighbors=4).fit(x).kneighbors(x)[0][:, -1] + 1e-6
    for x in (real, fake)
  )
  gaps = cdist(real, fake)
  around = gaps <= reach_real[:, None]
  shares = np.split(
    softmax(logits, 1), [i * len(logits) // 10 for i in range(1, 10)]
  )
  counts, data_counts = (
    np.array([(x == i).sum() for i in range(10)])
    for x in (logits.argmax(1), labels)
  )
  return {
    "FID": ((m - n) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real),
    "KID": sum(within) - 2 * kernel(real, fake).mean(),
    "IS": np.mean(
      [np.exp(entropy(p, p.mean(0), axis=1).mean()) for p in shares]
    ),
    "precision": around.any(0).mean(),
    "recall": (gaps <= reach_fake).any(1).mean(),
    "density": around.sum() / 3 / len(fake),
    "coverage": around.any(1).mean(),
    "nearest distance": np.median(gaps.min(0)),
    "modes": (counts > 0).sum(),
    "reverse KL": entropy(counts, data_counts),
  }


@pytest.fixture(scope="module")
def digits():
  """Training images with labels, held-out ones in order, and others."""
  trained = data.create(data_config("digits"))[np.arange(1437)]
  held_out = data.create(data_config("digits", split="test"))
  held_out = held_out[shuffled_indices(0, np.arange(360), 360)]["image"]
  typeset = data.create(data_config("typeset_digits"))[np.arange(100)]["image"]
  return trained["image"], trained["label"], held_out, typeset


def check_values(found, expected):
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    # KID is a mean over random subsets.
    rtol, atol = (0.01, 1e-4) if name == "KID" else (1e-4, 1e-8)
    np.testing.assert_allclose(found[name], value, rtol, atol, err_msg=name)


def compare_typeset(typeset):
  """Metrics of the typeset digits as samples, without their prefix."""
  real = statistics.reference(
    data_config("digits"), plain_net(), EvaluationOptions()
  )
  source = ArraySource({"image": typeset})
  batches = sampling.examples(source, np.arange(len(typeset)))
  generated = statistics.collect(plain_net(), batches, len(typeset), "x")
  metrics = statistics.compare(real, generated)
  return {name.removeprefix("pixels-"): m for name, m in metrics.items()}, real


def test_metrics_against_scipy(few, digits):
  images, labels, held_out, typeset = digits
  metrics, real = compare_typeset(typeset)
  values = {name: m.value for name, m in metrics.items()}
  check_values(values, expected_metrics(images, labels, typeset))
  values = {name: m.real for name, m in metrics.items()}
  check_values(values, expected_metrics(images, labels, held_out))
  assert [name for name, m in metrics.items() if m.lower_is_better] == [
    "FID", "KID", "reverse KL",
  ]  # fmt: skip
  protocol = real.protocol
  assert protocol["held_out_split"] == "test"
  counts = [protocol[k] for k in ("real", "held_out", "samples")]
  assert counts == [1437, 360, 360]


@pytest.mark.parametrize("name", tables.IMAGES)
def test_a_wrong_metric_would_be_noticed(few, digits, monkeypatch, name):
  images, labels, _, typeset = digits
  measure = tables.IMAGES[name]

  def wrong(x):
    return measure.function(dataclasses.replace(x, generated=x.real))

  monkeypatch.setitem(tables.IMAGES, name, measure._replace(function=wrong))
  metrics, _ = compare_typeset(typeset)
  values = {name: m.value for name, m in metrics.items()}
  with pytest.raises(AssertionError, match=name):
    check_values(values, expected_metrics(images, labels, typeset))


def test_as_many_real_images_as_samples_are_compared(few):
  config = data_config("digits")
  for count, held_out in ((100, 100), (360, 360), (500, 360)):
    protocol = statistics.reference(
      config, plain_net(), EvaluationOptions(count=count)
    ).protocol
    assert (protocol["samples"], protocol["held_out"]) == (count, held_out)


def test_a_limit_on_the_real_images(few):
  whole, part = (
    statistics.reference(
      data_config("digits"), plain_net(), EvaluationOptions(max_real=limit)
    )
    for limit in (0, 50)
  )
  assert len(part.real.labels) == part.protocol["real"] == 50
  digests = {x.protocol["images_sha256"] for x in (whole, part)}
  assert len(digests) == 2


def test_a_folder_is_compared_by_halves(few, tmp_path):
  write_images(tmp_path, 41, mode="L")
  config = data_config(path=str(tmp_path), image_size=20, channels=1)
  net = plain_net(classes=0)
  real = statistics.reference(config, net, EvaluationOptions())
  images = data.create(config)[np.arange(41)]["image"].reshape(41, -1)
  np.testing.assert_allclose(
    real.real.moments.mean, images[:, 100:103].mean(0) / 255, rtol=1e-6
  )
  assert real.real.moments.count == 41
  assert real.protocol["held_out"] == real.protocol["samples"] == 20
  assert real.protocol["held_out_split"] == "half of the same"
  assert set(real.held_out) == {
    "FID", "KID", "IS", "precision", "recall", "density", "coverage",
    "nearest distance",
  }  # fmt: skip


def test_too_few_images_say_how_many_are_needed(few, monkeypatch, tmp_path):
  write_images(tmp_path, 3, mode="L")
  config = data_config(path=str(tmp_path), image_size=20, channels=1)
  with pytest.raises(InputError, match="3 real images: .* at least 4"):
    statistics.reference(config, plain_net(classes=0), EvaluationOptions())
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net())
  config = shrink(load_config("nsgan"))
  with pytest.raises(InputError, match="3 samples: .* at least 4"):
    evaluation.create(
      config, algorithms.create(config), EvaluationOptions(count=3)
    )


def test_a_real_value_may_be_undefined(few, monkeypatch):
  config = data_config("digits")
  net = plain_net(size=20)
  monkeypatch.setattr(
    data,
    "create",
    lambda c, create=data.create: _shorten(create(c), c),
  )
  real = statistics.reference(config, net, EvaluationOptions(count=25))
  assert "FID" not in real.held_out
  assert "precision" in real.held_out


def _shorten(source, config):
  """Of the held-out images, 15."""
  if config.split == "train":
    return source
  return ArraySource({k: x[:15] for k, x in source.arrays.items()})
