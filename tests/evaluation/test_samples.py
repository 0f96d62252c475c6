"""Measures of samples: reference, floors, protocols, evaluation in training."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
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

from jaxgan import algorithms, data, evaluation, train
from jaxgan.data.arrays import ArraySource
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import to_uint8
from jaxgan.engine import checkpoint, devices, scores
from jaxgan.errors import InputError
from jaxgan.evaluation import (
  EvaluationOptions,
  feature_nets,
  restored,
  samples,
  sampling,
  statistics,
)
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.tables import Metric

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


def test_floors_are_of_as_many_images_as_there_are_samples(few):
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


def test_a_folder_has_halves_for_a_floor(few, tmp_path):
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


def test_a_floor_that_cannot_be_had_is_none(few, monkeypatch):
  config = data_config("digits")
  net = plain_net(size=20)
  monkeypatch.setattr(
    data,
    "create",
    lambda c, create=data.create: _first(create(c), c),
  )
  real = statistics.reference(config, net, EvaluationOptions(count=25))
  assert "FID" not in real.held_out
  assert "precision" in real.held_out


def _first(source, config):
  """Of the held-out images, 15."""
  if config.split == "train":
    return source
  return ArraySource({k: x[:15] for k, x in source.arrays.items()})


def test_points():
  mixture = data.mixtures.ring()
  perfect = data.mixtures.draw(mixture, 7, 2500).arrays["image"]
  metrics = samples.compare_points(perfect, mixture)
  assert next(iter(metrics)) == "Wasserstein-2"
  assert metrics["modes"] == (8, 8, False)
  assert metrics["high quality"].value > 0.98
  far = samples.compare_points(perfect[:500] + 1.0, mixture)["Wasserstein-2"]
  # Shifted by (1, 1), from itself and not quite from another draw.
  np.testing.assert_allclose(far.value, 2**0.5, rtol=0.05)
  assert far.real < 0.3
  broken = samples.compare_points(np.full_like(perfect[:100], np.nan), mixture)
  assert not np.isfinite(broken["Wasserstein-2"].value)


def test_samples_do_not_depend_on_their_batch(monkeypatch):
  config = shrink(load_config("dcgan"))
  algorithm = algorithms.create(config)
  params, model_state = algorithm.init(jax.random.key(0), {})
  images = {}
  for size in (16, 24):
    monkeypatch.setattr(sampling, "BATCH_SIZE", size)
    sample = sampling.sampler(algorithm, seed=3)
    batches = list(map(np.asarray, sample((params, model_state), 40)))
    assert sum(map(len, batches)) == 40
    images[size] = np.concatenate(batches)
  assert images[16].dtype == np.uint8
  difference = images[16].astype(int) - images[24]
  assert np.abs(difference).max() <= 1  # rounded after sums in another order
  # With the batch's own statistics, the batch matters.
  sample = sampling.sampler(algorithm, 3, batch_statistics=True)
  other = np.concatenate(list(sample((params, model_state), 40)))
  assert np.abs(other.astype(int) - images[24]).mean() > 0.5
  seeds = sampling.sampler(algorithm, seed=4)
  assert (np.asarray(next(seeds((params, model_state), 8))) != other[:8]).any()


def test_batch_statistics_are_of_all_devices():
  # Eight simulated devices against the whole batch on one.
  config = shrink(load_config("dcgan"))
  algorithm = algorithms.create(config)
  params, model_state = algorithm.init(jax.random.key(0), {})
  inputs = sampling.draw_inputs(algorithm, 0, np.arange(16))
  variables = devices.replicate((params, model_state))
  found = sampling.generator(algorithm, True)(variables, inputs)
  alone = jax.vmap(
    lambda inputs: algorithm.sample(params, model_state, inputs, True),
    axis_name="batch",
  )({"latent": inputs["latent"][None]})["generated"][0]
  difference = np.asarray(found, int) - np.asarray(to_uint8(alone), int)
  assert np.abs(difference).max() <= 1


def test_quantization_rounds():
  grey = np.array([-1.1, -1, -0.999, 0, 0.5, 1, 1.2]).reshape(7, 1, 1, 1)
  found = np.asarray(to_uint8(jnp.asarray(grey)))
  np.testing.assert_array_equal(found.ravel(), [0, 0, 0, 128, 191, 255, 255])


def small(name="nsgan", preset=None, **values):
  config = shrink(load_config(name, preset))
  config.update_from_flattened_dict({"steps": 4, "log_every": 1} | values)
  return config.lock()


def test_evaluation_while_training(tmp_path, monkeypatch):
  values = iter([3.0, 5.0, float("nan"), 4.0, 4.5, 6.0])

  monkeypatch.setattr(evaluation, "check", lambda *_: None)

  def create(config, algorithm, options):
    assert options == EvaluationOptions(count=77)

    def evaluate(variables):
      params, _ = variables
      assert set(params) == {"generator", "critic"}
      return {
        "second": Metric(1.0, None, False),
        "first": Metric(next(values), 0.5, True),
      }

    return evaluate, {}

  monkeypatch.setattr(evaluation, "create", create)
  config = small(
    eval_every=1,
    eval_samples=77,
    steps=6,
    checkpoint_every=0,
    best_metric="first",
  )
  train(config, tmp_path)
  with checkpoint.open_manager(tmp_path, read_only=True) as manager:
    # The best and the latest three; NaN did not win.
    assert sorted(manager.all_steps()) == [1, 4, 5, 6]
    assert scores.best_step(tmp_path, manager.all_steps()) == 1
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  found = [row["eval/first"] for row in rows if "eval/first" in row]
  np.testing.assert_array_equal(found, [3, 5, np.nan, 4, 4.5, 6])
  assert restored.load(tmp_path, "best").state.step == 1
  assert restored.load(tmp_path, 5).state.step == 5
  assert restored.load(tmp_path).state.step == 6
  with pytest.raises(InputError, match="no checkpoint 2, but 1, 4, 5, 6"):
    restored.load(tmp_path, 2)


def test_higher_can_be_better(tmp_path):
  config = small("classifier", steps=8, eval_every=2, checkpoint_every=0)
  train(config, tmp_path)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  found = {
    row["step"]: row["eval/accuracy"]
    for row in map(json.loads, lines)
    if "eval/accuracy" in row
  }
  assert set(found) == {2, 4, 6, 8}
  best = restored.load(tmp_path, "best").state.step
  assert found[int(best)] == max(found.values())


def scored(values, monkeypatch, **config):
  """The score of an evaluation with these metrics."""
  metrics = {
    name: Metric(x, None, lower) for name, (x, lower) in values.items()
  }
  monkeypatch.setattr(evaluation, "create", lambda *_: (lambda _: metrics, {}))
  return evaluation.in_training(small(**config), None)(None)


def test_the_best_metric_is_a_name(monkeypatch):
  values = {"digits-KID": (0.5, True), "digits-FID": (2.0, True),
            "digits-IS": (3.0, False), "x": (9.0, None)}  # fmt: skip
  scalars, score = scored(values, monkeypatch)
  assert scalars == {f"eval/{name}": x for name, (x, _) in values.items()}
  assert score == 2.0
  for name, expected in (
    ("KID", 0.5),
    ("digits-KID", 0.5),
    ("digits-IS", -3.0),
  ):
    assert scored(values, monkeypatch, best_metric=name)[1] == expected
  # Without a name, other directions and unknown metrics decide nothing.
  others = {"backward digits-FID": (1.0, True), "x": (9.0, None)}
  assert scored(others, monkeypatch)[1] is None
  for name in ("modes", "x"):
    with pytest.raises(
      InputError, match=f"{name}'.* digits-KID, digits-FID, digits-IS$"
    ):
      scored(values, monkeypatch, best_metric=name)


@pytest.mark.parametrize(
  ("name", "preset", "metric", "known"),
  [
    ("nsgan", None, "L1", "FID, KID, IS"),
    ("gan", "ring", "FID", "Wasserstein-2, modes"),
    ("classifier", None, "FID", "accuracy"),
    ("pix2pix", None, "L1 to the source", "accuracy, L1, PSNR"),
  ],
)
def test_an_unknown_best_metric_is_refused(name, preset, metric, known):
  config = small(name, preset, best_metric=metric)
  with pytest.raises(InputError, match=f"best_metric='{metric}'.* {known}"):
    evaluation.check(config)
  config = small(name, preset, best_metric="digits-" + known.split(",")[0])
  evaluation.check(config)


def test_evaluation_does_not_change_training(tmp_path, monkeypatch):
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net(size=20))
  states = [
    train(small(eval_every=every, eval_samples=40), tmp_path / str(every))
    for every in (0, 2)
  ]
  digests = {checkpoint.digest(jax.device_get(state)) for state in states}
  assert len(digests) == 1


def test_what_cannot_be_evaluated_is_refused_at_once(tmp_path):
  write_images(tmp_path / "images", 20)
  config = small(
    "dcgan", "folder", eval_every=1, **{"data.path": str(tmp_path / "images")}
  )
  with pytest.raises(InputError, match="no labels"):
    train(config, tmp_path / "run")
  with config.unlocked():
    config.inception = str(tmp_path / "none.pth")
  with pytest.raises(InputError, match="none.pth"):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()
