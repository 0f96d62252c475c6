"""Measures of translations, with networks that a test can see through."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.files import write_images
from helpers.games import with_methods
from helpers.runs import command
from scipy import signal

from jaxgan import algorithms, data, evaluation, train
from jaxgan.data.order import shuffled_indices
from jaxgan.evaluation import (
  EvaluationOptions,
  feature_nets,
  restored,
  sampling,
  translations,
)
from jaxgan.evaluation.feature_nets import FeatureNet
from jaxgan.evaluation.metrics import image_pairs

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few(monkeypatch):
  """Batches of 16, so that there are several."""
  monkeypatch.setattr(sampling, "BATCH_SIZE", 16)


FORWARD, BACKWARD = "source -> target", "target -> source"


def shifting(algorithm, shift):
  """The algorithm with G(x) = x + shift and F(y) = y - shift / 2, cut."""

  def sample(params, model_state, batch, train=False):
    shown = {}
    if "source" in batch:
      there = jnp.clip(batch["source"] + shift, -1, 1)
      back = jnp.clip(there - shift / 2, -1, 1)
      shown |= {FORWARD: there, f"{FORWARD} -> source": back}
    if "target" in batch:
      there = jnp.clip(batch["target"] - shift / 2, -1, 1)
      shown |= {BACKWARD: there, f"{BACKWARD} -> target": there}
    return shown

  return with_methods(algorithm, sample=sample)


def ink_net(images, *_):
  """Ten classes by the place of the darkest of ten pixels."""

  def apply(variables, images):
    flat = jnp.asarray(images).reshape(len(images), -1) / 255.0
    return flat[:, 100:103], flat[:, 50:60]

  name = images.name
  return FeatureNet(f"{name}-", "pixels", "0", "none", 10, 3, apply)


def test_unpaired_digits(monkeypatch):
  monkeypatch.setattr(feature_nets, "create", ink_net)
  config = shrink(load_config("cyclegan"))
  algorithm = shifting(algorithms.create(config), 0.5)
  evaluate, protocol = evaluation.create(
    config, algorithm, EvaluationOptions(count=70)
  )
  metrics = evaluate(({}, {}))
  held_out = data.held_out(config.data)
  for prefix, side, other, shift in (
    ("", "source", "typeset_digits", 0.5),
    ("backward ", "target", "digits", -0.25),
  ):
    source = data.create(data.domain(held_out, side))
    order = shuffled_indices(0, np.arange(len(source)), len(source))
    batch = source[order[:70]]
    x = batch["image"] / 127.5 - 1
    there = np.clip(x + shift, -1, 1)
    for name, images in (("", there), (" untranslated", x)):
      pixels = np.rint((images + 1) * 127.5).reshape(70, -1)[:, 50:60]
      right = (pixels.argmax(1) == batch["label"]).mean()
      found = metrics[f"{prefix}{other}-accuracy{name}"]
      np.testing.assert_allclose(found.value, right)
      assert found.lower_is_better is False
    cycle = np.clip(there - 0.25, -1, 1) if side == "source" else there
    np.testing.assert_allclose(
      metrics[f"{prefix}cycle L1"].value, np.abs(cycle - x).mean(), rtol=1e-4
    )
    np.testing.assert_allclose(
      metrics[f"{prefix}L1 to the source"].value,
      np.abs(there - x).mean(),
      atol=0.5 / 127.5,
    )
    assert metrics[f"{prefix}{other}-FID"].value > 0
  assert next(iter(metrics)) == "typeset_digits-accuracy"
  assert protocol["samples"] == protocol["backward"]["samples"] == 70
  assert protocol["translated"]["held_out"]
  assert protocol["translated"]["data"]["source"]["split"] == "test"


def test_what_should_not_change_and_what_should_be_kept(monkeypatch):
  monkeypatch.setattr(feature_nets, "create", ink_net)
  config = shrink(load_config("dtn"))

  def sample(params, model_state, batch, train=False):
    return {
      f"{start} -> target": jnp.clip(x + 0.5, -1, 1)
      for start, x in batch.items()
    }

  def embed(params, model_state, images):
    return images[:, 4, 4:12, 0] + 1.5

  algorithm = with_methods(
    algorithms.create(config), sample=sample, embed=embed
  )
  evaluate, protocol = evaluation.create(
    config, algorithm, EvaluationOptions(count=70)
  )
  metrics = evaluate(({}, {}))
  held_out = data.held_out(config.data)
  for prefix, side in (("", "source"), ("identity ", "target")):
    source = data.create(data.domain(held_out, side))
    order = shuffled_indices(0, np.arange(len(source)), len(source))
    batch = source[order[:70]]
    x = batch["image"] / 127.5 - 1
    made = np.clip(np.rint((x + 1.5) * 127.5), 0, 255) / 127.5 - 1
    a, b = (embed({}, {}, y) for y in (x, made))
    cosines = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found = metrics[f"{prefix}embedding similarity"]
    np.testing.assert_allclose(found.value, cosines.mean(), rtol=1e-4)
    assert found.lower_is_better is False
    name = "L1" if prefix else "L1 to the source"
    np.testing.assert_allclose(
      metrics[prefix + name].value, np.abs(made - x).mean(), rtol=1e-4
    )
    pixels = np.rint((made + 1) * 127.5).reshape(70, -1)[:, 50:60]
    right = (pixels.argmax(1) == batch["label"]).mean()
    name = f"{prefix}typeset_digits-accuracy"
    np.testing.assert_allclose(metrics[name].value, right)
  # Of what should not change, no distance of distributions.
  assert "typeset_digits-FID" in metrics
  assert not any("identity" in name and "FID" in name for name in metrics)
  assert next(iter(metrics)) == "typeset_digits-accuracy"
  assert protocol["identity"]["samples"] == 70


def test_a_net_without_labels_tells_what_is_kept(monkeypatch):
  """Of a translation that darkens or lightens, and one that mixes images up."""

  def net(images_config, *_):
    def apply(variables, images):
      features, logits = ink_net(images_config).apply(variables, images)
      return features + 0.1, logits  # none is of length 0

    return ink_net(images_config)._replace(
      classes=0, prefix="Net-", apply=apply
    )

  monkeypatch.setattr(feature_nets, "create", net)
  monkeypatch.setattr(feature_nets, "has_labels", lambda _: False)
  config = shrink(load_config("cyclegan"))
  options = EvaluationOptions(count=70, features="net.npz")
  found = []
  for shift in (0.0, 0.5):
    game = shifting(algorithms.create(config), shift)
    found.append(evaluation.create(config, game, options)[0](({}, {})))
  same, shifted = found
  for prefix in ("", "backward "):
    np.testing.assert_allclose(same[f"{prefix}Net-similarity"].value, 1)
    assert shifted[f"{prefix}Net-similarity"].value < 1
    assert same[f"{prefix}Net-similarity of random pairs"].value < 0.99
    # Many digits are alike in three pixels.
    retrieval = f"{prefix}Net-retrieval"
    assert same[retrieval].value > shifted[retrieval].value
  assert not any("accuracy" in name for name in same)


def test_a_classifier_is_one_of_the_target(monkeypatch):
  seen = []

  def create(images, features=""):
    seen.append((images.name, features))
    return ink_net(images)

  monkeypatch.setattr(feature_nets, "create", create)
  config = shrink(load_config("cyclegan"))
  game = algorithms.create(config)
  for labels in (True, False):
    monkeypatch.setattr(feature_nets, "has_labels", lambda _, x=labels: x)
    evaluation.create(config, game, EvaluationOptions(count=70, features="f"))
  digits, typeset = "digits", "typeset_digits"
  assert seen == [(typeset, "f"), (digits, ""), (typeset, "f"), (digits, "f")]


def test_pairs_without_labels_or_another_split(tmp_path, monkeypatch):
  write_images(tmp_path, 21, size=(40, 16))
  config = shrink(load_config("pix2pix", "pairs"))
  config.data.update(path=str(tmp_path), image_size=16)
  config.generator.downs = 4
  config.critic.layers = 1
  algorithm = shifting(algorithms.create(config), 0.0)
  evaluate, protocol = evaluation.create(config, algorithm)
  metrics = evaluate(({}, {}))
  assert list(metrics) == ["L1", "PSNR", "SSIM"]
  assert [m.lower_is_better for m in metrics.values()] == [True, False, False]
  assert not protocol["translated"]["held_out"]
  assert protocol["samples"] == 21
  plain = config.data.copy_and_resolve_references()
  plain.margin = 0
  batch = data.create(plain)[np.arange(21)]
  a, b = (batch[key] / 127.5 - 1 for key in ("source", "target"))
  np.testing.assert_allclose(
    metrics["L1"].value, np.abs(a - b).mean(), rtol=1e-4
  )
  mse = np.square((a - b) / 2).mean((1, 2, 3))
  np.testing.assert_allclose(
    metrics["PSNR"].value, (-10 * np.log10(mse)).mean(), rtol=1e-4
  )


def test_ssim_against_its_formula():
  rng = np.random.default_rng(0)
  a = rng.uniform(-1, 1, (2, 20, 23, 1)).astype("f4")
  b = np.clip(a + rng.normal(0, 0.3, a.shape), -1, 1).astype("f4")
  line = np.exp(-np.square(np.arange(11) - 5) / (2 * 1.5**2))
  window = np.outer(line, line) / line.sum() ** 2

  def mean(x):
    return signal.convolve2d(x, window, "valid")

  for i in range(2):
    x, y = ((z[i, ..., 0].astype("f8") + 1) / 2 for z in (a, b))
    mx, my = mean(x), mean(y)
    vx, vy = mean(x * x) - mx**2, mean(y * y) - my**2
    cov = mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    expected = ((2 * mx * my + c1) * (2 * cov + c2)) / (
      (mx**2 + my**2 + c1) * (vx + vy + c2)
    )
    np.testing.assert_allclose(
      image_pairs.ssim(a, b)[i], expected.mean(), rtol=1e-3
    )
  np.testing.assert_allclose(image_pairs.ssim(a, a), 1, rtol=1e-5)


def test_noise_is_that_of_the_image_and_the_seed():
  config = shrink(load_config("pix2pix"))
  config.batch_size = 1  # or the running statistics would level all out
  algorithm = algorithms.create(config)
  params, model_state = jax.jit(algorithm.init)(jax.random.key(0), {})
  results = {}
  for count, seed in ((40, 0), (20, 0), (20, 1)):
    made = []

    def sample(*args, made=made):
      made.append(args)
      return algorithm.sample(*args)

    (forward,) = algorithm.directions
    translate = translations._translator(
      with_methods(algorithm, sample=sample),
      forward,
      config.data,
      EvaluationOptions(seed=seed),
    )
    source = data.create(config.data)
    found = translate((params, model_state), source, np.arange(count))
    assert "latent" in made[0][2]
    results[count, seed] = found.images
  np.testing.assert_array_equal(results[40, 0][:20], results[20, 0])
  assert (results[20, 0] != results[20, 1]).any()


def test_evaluation_while_training(tmp_path, monkeypatch):
  monkeypatch.setattr(feature_nets, "create", ink_net)
  config = shrink(load_config("cyclegan"))
  config.update(steps=2, eval_every=1, eval_samples=20)
  train(config, tmp_path, jax.devices()[:4])  # compiled for other tests, too
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  scores = {
    row["step"]: row["eval/typeset_digits-accuracy"]
    for row in rows
    if "eval/typeset_digits-accuracy" in row
  }
  assert set(scores) == {1, 2}
  best = int(restored.load(tmp_path, "best").state.step)
  assert scores[best] == max(scores.values())


@pytest.mark.parametrize("count", [2, 20])
def test_few_images(count, monkeypatch):
  # Where there are too few for a metric, it is left out.
  monkeypatch.setattr(feature_nets, "create", ink_net)
  config = shrink(load_config("l1_translation"))
  algorithm = shifting(algorithms.create(config), 0.5)
  evaluate, _ = evaluation.create(
    config, algorithm, EvaluationOptions(count=count)
  )
  metrics = evaluate(({}, {}))
  assert all(np.isfinite(m.value) for m in metrics.values())
  assert ("typeset_digits-IS" in metrics) == (count == 20)
  assert metrics["L1 to the source"].lower_is_better is None
  assert list(metrics)[0] == "typeset_digits-accuracy"


def test_evaluation_by_the_command(tmp_path, trained):
  config = shrink(load_config("pix2pix"))
  shutil.copytree(trained("pix2pix"), tmp_path / "run")
  # A classifier of two steps, that none need be trained for long.
  shutil.copytree(trained("classifier"), tmp_path / "classifier")
  result = command(
    "evaluate", f"--workdir={tmp_path}/run",
    f"--features={tmp_path}/classifier", "--samples=80", cwd=tmp_path,
  )  # fmt: skip
  assert result.returncode == 0, result.stderr
  assert "digits-accuracy untranslated" in result.stdout
  found = json.loads((tmp_path / "run/evaluation.json").read_text())
  assert {"digits-accuracy", "L1", "PSNR", "SSIM", "digits-FID"} < set(
    found["metrics"]
  )
  assert found["protocol"]["samples"] == 80
  result = command(
    "sample", f"--workdir={tmp_path}/run", "--output=x.png", cwd=tmp_path
  )
  assert "jaxgan.translate" in result.stderr
  config.data.image_size = 32  # that classifier reads 16x16
  _, protocol = evaluation.create(
    config,
    algorithms.create(config),
    EvaluationOptions(features=str(tmp_path / "classifier")),
  )
  assert protocol["resizer"] == "linear to 16x16"
