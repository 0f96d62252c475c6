"""Measures of samples: reference, floors, protocols, evaluation in training."""

import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.checkpoints import data_file, flip
from helpers.configs import data_config, load_config, shrink
from helpers.feature_nets import plain_net
from helpers.files import write_images
from helpers.runs import command

from jaxgan import algorithms, data
from jaxgan.data.arrays import ArraySource
from jaxgan.data.pixels import to_uint8
from jaxgan.engine import checkpoint, devices, logs
from jaxgan.errors import InputError, Preempted
from jaxgan.evaluation import (
  feature_nets,
  restored,
  samples,
  sampling,
  statistics,
)
from jaxgan.game import sampling_variables
from jaxgan.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def few(monkeypatch):
  """Batches of 16, so that there are several."""
  monkeypatch.setattr(sampling, "BATCH", 16)


def test_statistics_are_those_of_all_images(few, monkeypatch):
  monkeypatch.setattr(statistics, "KEPT", 40)
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


def test_reference_and_floor(few):
  config = data_config("digits")
  net = plain_net()
  real = statistics.reference(config, net)
  assert len(real.real.labels) == 1437
  protocol = real.protocol
  assert protocol["held_out_split"] == "test"
  assert [protocol[k] for k in ("real", "floor", "samples")] == [1437, 360, 360]

  def collected(split, count):
    source = data.create(data_config("digits", split=split))
    order = np.arange(count)
    return statistics.collect(net, sampling.examples(source, order), count, "x")

  # The floor is what the held-out images get as samples.
  as_samples = statistics.compare(real, collected("test", 360))
  for name, metric in as_samples.items():
    np.testing.assert_allclose(
      metric.value, metric.floor, rtol=0.2, err_msg=name
    )
  np.testing.assert_allclose(
    as_samples["pixels-FID"].value, as_samples["pixels-FID"].floor, rtol=1e-9
  )
  assert [name for name, m in as_samples.items() if m.lower] == [
    "pixels-FID", "pixels-KID", "pixels-reverse KL",
  ]  # fmt: skip
  # The training images themselves are nearer.
  metrics = statistics.compare(real, collected("train", 1437))
  assert abs(metrics["pixels-FID"].value) < 1e-12
  assert metrics["pixels-FID"].floor > 1e-4
  assert metrics["pixels-precision"].value == 1
  assert metrics["pixels-coverage"].value == 1


def test_floors_are_of_as_many_images_as_there_are_samples(few):
  config = data_config("digits")
  for count, floor in ((100, 100), (360, 360), (500, 360)):
    protocol = statistics.reference(config, plain_net(), count).protocol
    assert (protocol["samples"], protocol["floor"]) == (count, floor)


def test_a_limit_on_the_real_images(few):
  whole, part = (
    statistics.reference(data_config("digits"), plain_net(), most=most)
    for most in (0, 50)
  )
  assert len(part.real.labels) == part.protocol["real"] == 50
  digests = {x.protocol["images_sha256"] for x in (whole, part)}
  assert len(digests) == 2


def test_a_folder_has_halves_for_a_floor(few, tmp_path):
  write_images(tmp_path, 41, mode="L")
  config = data_config(path=str(tmp_path), image_size=20, channels=1)
  net = plain_net(classes=0)
  real = statistics.reference(config, net)
  images = data.create(config)[np.arange(41)]["image"].reshape(41, -1)
  np.testing.assert_allclose(
    real.real.moments.mean, images[:, 100:103].mean(0) / 255, rtol=1e-6
  )
  assert real.real.moments.count == 41
  assert real.protocol["floor"] == real.protocol["samples"] == 20
  assert real.protocol["held_out_split"] == "half of the same"
  assert set(real.floors) == {
    "FID", "KID", "IS", "precision", "recall", "density", "coverage",
  }  # fmt: skip


def test_too_few_images_say_how_many_are_needed(few, monkeypatch, tmp_path):
  write_images(tmp_path, 3, mode="L")
  config = data_config(path=str(tmp_path), image_size=20, channels=1)
  with pytest.raises(InputError, match="3 real images: .* at least 4"):
    statistics.reference(config, plain_net(classes=0))
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net())
  config = shrink(load_config("nsgan"))
  with pytest.raises(InputError, match="3 samples: .* at least 4"):
    samples.create(config, algorithms.create(config), 3)


def test_a_floor_that_cannot_be_had_is_none(few, monkeypatch):
  config = data_config("digits")
  net = plain_net(size=20)
  monkeypatch.setattr(
    data,
    "create",
    lambda c, create=data.create: _first(create(c), c),
  )
  real = statistics.reference(config, net, count=25)
  assert real.floors["FID"] is None
  assert real.floors["precision"] is not None


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
  assert far.floor < 0.3
  broken = samples.compare_points(np.full_like(perfect[:100], np.nan), mixture)
  assert not np.isfinite(broken["Wasserstein-2"].value)


def test_samples_do_not_depend_on_their_batch(monkeypatch):
  config = shrink(load_config("dcgan"))
  algorithm = algorithms.create(config)
  params, model_state = algorithm.init(jax.random.key(0), {})
  images = {}
  for size in (16, 24):
    monkeypatch.setattr(sampling, "BATCH", size)
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
  scores = iter([3.0, 5.0, float("nan"), 4.0, 4.5, 6.0])

  monkeypatch.setattr(samples, "check", lambda *_: None)

  def create(config, algorithm, count, inception):
    assert (config.eval_samples, count, inception) == (77, 77, "")

    def evaluate(variables, pause):
      params, _ = variables
      assert set(params) == {"generator", "critic"}
      return {
        "first": statistics.Metric(next(scores), 0.5, True),
        "second": statistics.Metric(1.0, None, False),
      }

    return evaluate, {}

  monkeypatch.setattr(samples, "create", create)
  config = small(eval_every=1, eval_samples=77, steps=6, checkpoint_every=0)
  train(config, tmp_path)
  with checkpoint.open_manager(tmp_path, read_only=True) as manager:
    # The best and the latest three; NaN did not win.
    assert sorted(manager.all_steps()) == [1, 4, 5, 6]
    assert manager.best_step() == 1
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


def test_evaluation_does_not_change_training(tmp_path, monkeypatch):
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net(size=20))
  states = [
    train(small(eval_every=every, eval_samples=40), tmp_path / str(every))
    for every in (0, 2)
  ]
  digests = {checkpoint.digest(jax.device_get(state)) for state in states}
  assert len(digests) == 1


@pytest.mark.parametrize("at", [2, 4])
def test_told_to_end_while_evaluating(tmp_path, monkeypatch, at):
  """It ends between two batches, and is saved; later it is evaluated."""
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net(size=20))
  asked, create = [], samples.create

  def told(*args, **kwargs):
    evaluate, protocol = create(*args, **kwargs)

    def evaluate_and_tell(variables, pause):
      def counted():
        asked.append(1)
        if len(asked) == 2:
          signal.raise_signal(signal.SIGTERM)
        pause()

      return evaluate(variables, counted)

    return evaluate_and_tell, protocol

  monkeypatch.setattr(samples, "create", told)
  config = small(eval_every=at, eval_samples=300, checkpoint_every=0)
  with pytest.raises(Preempted):
    train(config, tmp_path)
  assert len(asked) == 2
  assert restored.load(tmp_path).state.step == at
  assert "eval" not in (tmp_path / "metrics.jsonl").read_text()
  monkeypatch.setattr(samples, "create", create)
  assert train(config, tmp_path).step == 4
  found = logs.rows(tmp_path)
  evaluated = [row["step"] for row in found if any("eval/" in k for k in row)]
  assert evaluated == list(range(at, 5, at))


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


def test_no_run_no_checkpoint_no_best(tmp_path):
  with pytest.raises(InputError, match="holds no checkpoints"):
    restored.load(tmp_path / "none")
  assert not (tmp_path / "none").exists()
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(InputError, match="no checkpoint yet"):
    restored.load(tmp_path)
  train(small(steps=1), tmp_path / "run")
  with pytest.raises(InputError, match="eval_every"):
    restored.load(tmp_path / "run", "best")


def test_a_damaged_checkpoint_is_not_measured(tmp_path):
  train(small(steps=2, checkpoint_every=1), tmp_path)
  flip(data_file(tmp_path, 2))
  with pytest.raises(InputError, match="none of the checkpoints"):
    restored.load(tmp_path, 2)
  with pytest.warns(UserWarning, match="checkpoint 2 is damaged"):
    assert restored.load(tmp_path).state.step == 1
  # Only the training moves what is damaged.
  assert not (tmp_path / "damaged").exists()


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A folder with a GAN's run and a classifier's."""
  workdir = tmp_path_factory.mktemp("runs")
  train(small(), workdir / "gan")
  train(small("classifier"), workdir / "classifier")
  return workdir


def test_the_command(workdir):
  arguments = ("--workdir=gan", "--classifier=classifier", "--samples=300")
  path = workdir / "gan" / "evaluation.json"
  results = []
  for count in (1, 2):
    result = command("evaluate", *arguments, cwd=workdir, devices=count)
    assert result.returncode == 0, result.stderr
    results.append(json.loads(path.read_text()))
  assert "digits-FID" in result.stdout
  assert "300 samples, seed 0, averaged weights" in result.stdout
  first, second = results
  # The same numbers, but for the order of sums on two devices.
  assert first["protocol"] == second["protocol"]
  for name, metric in first["metrics"].items():
    np.testing.assert_allclose(
      metric["value"], second["metrics"][name]["value"], rtol=0.02, atol=1e-3
    )
  protocol = first["protocol"]
  assert protocol["step"] == 4
  assert (
    protocol["features_sha256"]
    == feature_nets.from_classifier(
      workdir / "classifier", data_config("digits")
    ).hash
  )
  assert protocol["versions"]["jax"] == jax.__version__
  # And that of the library: the same net, samples and images.
  found = restored.load(workdir / "gan")
  evaluate, _ = samples.create(
    found.config, found.game, 300, classifier=str(workdir / "classifier")
  )
  for name, metric in evaluate(sampling_variables(found.state)).items():
    np.testing.assert_allclose(
      metric.value, first["metrics"][name]["value"], rtol=0.02, atol=1e-3
    )


@pytest.mark.parametrize(
  ("module", "arguments", "message"),
  [
    ("evaluate", [], "--workdir"),
    ("evaluate", ["--workdir=gan", "--step=x"], "no checkpoint x, but 4"),
    (
      "evaluate",
      ["--workdir=gan", "--classifier=classifier", "--samples=20"],
      "at least 65",
    ),
    ("evaluate", ["--workdir=gan", "--inception=none.pth"], "none.pth"),
    ("evaluate", ["--workdir=gan", "--config=x"], "config"),
    ("sample", ["--workdir=gan", "--output=x.png", "--kind=x"], "grid"),
    ("sample", ["--workdir=gan", "--output=x.jpg"], ".png"),
    ("sample", ["--workdir=classifier", "--output=x.png"], "from noise"),
    ("compare", ["none"], "none of the folders"),
  ],
  ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_commands_get_one_line(workdir, module, arguments, message):
  result = command(module, *arguments, cwd=workdir)
  assert result.returncode == 1
  *warnings, line = result.stderr.strip().splitlines()
  assert all(w.startswith("warning: ") for w in warnings)
  assert line.startswith("error: ")
  assert message in line
