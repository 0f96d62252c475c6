"""DTN: each term by hand, the frozen net, and what cannot work."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorflow_datasets as tfds
from helpers.configs import feature_net, load_config, shrink
from helpers.games import (
  close,
  critic_of,
  difference,
  first_of,
  loss_of,
  pairs,
  play,
  start,
  weights,
  with_schedule,
)
from ml_collections import ConfigDict
from PIL import Image

from jaxgan import algorithms, data, models, train
from jaxgan.algorithms import dtn, with_pretrained
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.evaluation import classifiers, restored
from jaxgan.game import Pretrained

TERMS = ("adversarial", "constancy", "identity", "total_variation")


def tiny(**overrides):
  """A game in which networks say something from the start."""
  config = shrink(load_config("dtn"))
  config.batch_size = 8
  for player in ("generator", "critic"):
    config[player].kernel_init = "uniform"
    config.optimizers[player] = ConfigDict(
      {"name": "sgd", "learning_rate": 0.05}
    )
  config.update_from_flattened_dict(overrides)
  return config


def weights_of(**values):
  return {f"weights.{term}": values.get(term, 0.0) for term in TERMS}


# The terms by themselves.


def test_total_variation_of_a_ramp():
  y, x = np.mgrid[:7, :9].astype("f4")
  image = 0.03 * y - 0.04 * x
  images = np.stack([image, 2 * image])[..., None]
  found = dtn.total_variation(images)
  np.testing.assert_allclose(found, (0.05 + 0.1) / 2, rtol=1e-5)
  # One step, in one row of pixels: a mean over pixels and channels.
  step = np.zeros((1, 5, 5, 2), "f4")
  step[:, 3:, :, 0] = 0.5
  np.testing.assert_allclose(dtn.total_variation(step), 4 * 0.5 / 32)


def test_total_variation_of_a_flat_image_has_no_gradient():
  value, gradient = jax.value_and_grad(dtn.total_variation)(
    jnp.full((2, 6, 6, 1), 0.7)
  )
  assert value == 0
  np.testing.assert_array_equal(gradient, 0)


def test_distances_of_features():
  a = np.array([[1.0, 0.0], [3.0, 4.0]], "f4")
  b = np.array([[1.0, 1.0], [-6.0, -8.0]], "f4")
  np.testing.assert_allclose(dtn.squared(a, b), (1 + 81 + 144) / 4)
  np.testing.assert_allclose(
    dtn.cosine(a, b), (1 - 1 / np.sqrt(2) + 2) / 2, rtol=1e-5
  )


# The two losses.


def by_hand(config, state, batch, player):
  """What a player minimises, and the model state after it."""
  net = models.create("Classifier", config, "features.network")
  generator = models.create("Generator", config, "generator", shape=(16, 16, 1))
  critic = critic_of(config, outputs=3)

  def f(images):
    variables = {"params": state.params["features"]}
    variables |= state.model_state["features"]
    return net.apply(variables, images, False)[0]

  def direction(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

  def g(params, z):
    statistics = dict(state.model_state["generator"])
    statistics.pop("means", None)
    return models.apply(generator, params, statistics, z, train=True)

  source, target = batch["source"], batch["target"]
  z_source, z_target, z = f(source), f(target), f
  if config.features.centred:  # the first batch's mean is that of all so far
    mean = f(target).mean(0)

    def z(images):
      return direction(f(images) - mean)

    z_source, z_target = direction(f(source) - f(source).mean(0)), z(target)
  both = jnp.concatenate([z_source, z_target])

  def cross_entropy(logits, label):
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, jnp.full(len(logits), label)
    ).mean()

  def critic_loss(params):
    made, _ = g(state.params["generator"], both)
    own, total = state.model_state["critic"], 0.0
    for label, x in enumerate((*jnp.split(made, 2), target)):
      logits, own = critic(params, own, x)
      total += cross_entropy(logits, label)
    return total, own

  def generator_loss(params):
    made, own = g(params, both)
    of_source, of_target = jnp.split(made, 2)
    seen, total = state.model_state["critic"], 0.0
    for x in (of_source, of_target):
      logits, seen = critic(state.params["critic"], seen, x)
      total += cross_entropy(logits, 2)
    w = config.weights
    total *= w.adversarial
    total += w.constancy * jnp.square(z_source - z(of_source)).mean()
    total += w.identity * jnp.square(target - of_target).mean()
    total += w.total_variation * dtn.total_variation(made)
    return total, own

  loss = critic_loss if player == "critic" else generator_loss
  value = jax.vmap(jax.value_and_grad(loss, has_aux=True), axis_name="batch")
  (total, own), gradient = jax.jit(value)(
    jax.tree.map(lambda x: x[None], state.params[player])
  )
  return jax.tree.map(lambda x: x[0], (total, own, gradient))


@pytest.mark.parametrize(
  ("norm", "centred"),
  [("batch", False), ("none", False), ("batch", True), ("none", True)],
)
def test_losses_by_hand(norm, centred):
  config = tiny(
    **{"critic.norm": norm, "features.centred": centred},
    # Without batch norm, g's model state is the means alone.
    **{"generator.norm": norm if centred else "batch"},
    **weights_of(
      adversarial=0.7, constancy=15.0, identity=11.0, total_variation=3.0
    ),
  )
  algorithm, state, batches = start(config)
  state = with_pretrained(state, weights(algorithm))
  # Made of the state with that net.
  batches = jax.jit(
    jax.vmap(algorithm.prepare_step, (None, 0, None), axis_name="batch")
  )(state, jax.tree.map(lambda x: x[None], pairs(config)(0)), jax.random.key(0))
  batch = jax.tree.map(lambda x: x[0, 0], batches)
  for player in ("critic", "generator"):
    (total, (own, metrics)), gradient = loss_of(algorithm, player, state, batch)
    expected, expected_state, expected_gradient = by_hand(
      config, state, batch, player
    )
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    own = {key: x for key, x in own.items() if key != "means"}
    close(own or 0.0, expected_state or 0.0)
    close(gradient, expected_gradient, 1e-4)
    if player == "critic":
      assert set(metrics) == {"fake_source", "fake_target", "real"}
      assert all(0 < p < 1 for p in metrics.values())
    else:
      assert set(metrics) == set(TERMS)


@pytest.mark.slow
def test_the_critic_has_three_classes():
  # Whichever weights its last layer has, only that class's bias is wanted.
  config = tiny(**{"critic.norm": "none", "critic.use_bias": True})
  algorithm, state, batches = start(config)
  zero = jax.tree.map(jnp.zeros_like, state.params["critic"])
  state = state.replace(params={**state.params, "critic": zero})
  (total, _), gradient = loss_of(algorithm, "critic", state, first_of(batches))
  np.testing.assert_allclose(total, 3 * np.log(3), rtol=1e-6)
  # One third of each class is wanted, and one third given.
  np.testing.assert_allclose(gradient["Dense_0"]["bias"], 0, atol=1e-6)
  bias = {**zero["Dense_0"], "bias": jnp.array([0.0, 0.0, 50.0])}
  zero = {**zero, "Dense_0": bias}
  state = state.replace(params={**state.params, "critic": zero})
  loss, _ = loss_of(algorithm, "generator", state, first_of(batches))
  np.testing.assert_allclose(loss[1][1]["adversarial"], 0, atol=1e-6)


@pytest.mark.slow
def test_weight_0_removes_a_gradient():
  _, state, batches = start(tiny())

  def gradient(**values):
    algorithm = algorithms.create(tiny(**weights_of(**values)))
    (total, (_, metrics)), found = loss_of(
      algorithm, "generator", state, first_of(batches)
    )
    expected = sum(w * metrics[name] for name, w in values.items())
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert set(metrics) == set(TERMS)  # all are logged
    return found

  # With the others at 0 each gives its part, and none of another's.
  alone = [gradient(**{term: 2.0}) for term in TERMS]
  for part in alone:
    assert max(np.abs(x).max() for x in jax.tree.leaves(part)) > 1e-6
  together = jax.tree.map(lambda *x: sum(x), *alone)
  close(together, gradient(**dict.fromkeys(TERMS, 2.0)), 1e-4)


# Whole rounds.


def test_the_feature_net_is_what_it_was(tmp_path):
  config = shrink(load_config("dtn"))
  config.update(steps=3, eval_every=0)
  state = train(config, tmp_path).state
  params, model_state = classifiers.weights_of(
    Pretrained(config.features.network, (16, 16, 1), str(feature_net()), None)
  )
  for found in (state, restored.load(tmp_path).state):
    jax.tree.map(
      np.testing.assert_array_equal,
      (found.params["features"], found.model_state["features"]),
      (params, model_state),
    )
  algorithm = algorithms.create(config)
  init, _ = algorithms.initial_state(config, algorithm)
  fresh = init(jax.random.split(jax.random.key(0), 3)[0], {})
  for player in ("generator", "critic"):
    for new, old in zip(
      jax.tree.leaves(state.params[player]),
      jax.tree.leaves(fresh.params[player]),
      strict=True,
    ):
      assert (new != old).any()
  assert set(state.opt_state) == {"generator", "critic"}


@pytest.mark.slow
def test_a_first_checkpoint_that_was_cut_short(tmp_path):
  # It is no checkpoint, and what the net has learned is not in it.
  cut_short = tmp_path / "checkpoints" / "1.orbax-checkpoint-tmp"
  cut_short.mkdir(parents=True)
  (tmp_path / "config.json").touch()
  config = shrink(load_config("dtn"))
  config.update(steps=1, eval_every=0)
  state = train(config, tmp_path).state
  params, _ = classifiers.weights_of(
    Pretrained(config.features.network, (16, 16, 1), str(feature_net()), None)
  )
  jax.tree.map(np.testing.assert_array_equal, state.params["features"], params)


@pytest.mark.parametrize(
  "centred", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_devices_do_not_change_the_result(centred):
  values = {"weights.total_variation": 1.0, "features.centred": centred}
  config = tiny(n_critic=2, **values)
  algorithm = algorithms.create(config)
  one, metrics = play(algorithm, pairs(config, 2), 3)
  eight, theirs = play(
    algorithm, pairs(config, 2), 3, devices=8, kind="shard_map"
  )
  assert difference(one, eight) < 1e-5
  for key, value in metrics.items():
    np.testing.assert_allclose(theirs[key], value, rtol=1e-3, atol=1e-5)
  assert difference(one, jax.device_get(start(config, 2)[1])) > 0.01


@pytest.mark.slow
def test_means_are_of_all_batches():
  config = tiny(n_critic=1, **{"features.centred": True})
  algorithm = algorithms.create(config)
  state, _ = play(algorithm, pairs(config), 4)
  for domain, mean in state.model_state["generator"]["means"].items():
    seen = jnp.concatenate([pairs(config)(t)[domain][0] for t in range(4)])
    features = algorithm.embed(state.params, state.model_state, seen)
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-4, atol=1e-6)
  # An image is translated with those of its own domain.
  image = pairs(config)(4)["source"][0][:3]
  z = algorithm.embed(state.params, state.model_state, image)
  own = state.model_state["generator"]
  z = dtn.centre(z, own, "source")
  np.testing.assert_allclose(jnp.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
  expected, _ = models.apply(
    algorithm.generator,
    state.params["generator"],
    {"batch_stats": own["batch_stats"]},
    z,
    train=False,
  )
  shown = algorithm.sample(state.params, state.model_state, {"source": image})
  np.testing.assert_allclose(shown["source -> target"], expected, atol=1e-6)


@pytest.mark.slow
def test_more_turns_of_the_generator():
  config = tiny(n_critic=1, n_generator=2)
  algorithm = algorithms.create(config)
  assert [(turn.player, turn.updates) for turn in algorithm.schedule] == [
    ("critic", 1),
    ("generator", 2),
  ]
  state, _ = play(algorithm, pairs(config, 2), 1)
  assert not state.halted
  # The second update sees the second minibatch.
  once = with_schedule(algorithm, critic=1, generator=1)
  first = jax.tree.map(lambda x: x[:1], pairs(config, 2)(0))
  other, _ = play(once, lambda t: first, 1)
  close(state.params["critic"], other.params["critic"])
  with pytest.raises(AssertionError):
    close(state.params["generator"], other.params["generator"], 1e-4)


@pytest.mark.slow
def test_samples_are_of_both_domains():
  config = tiny(**{"data.source.channels": 3})
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  shown = jax.jit(algorithm.sample)(
    state.params, state.model_state, {k: batch[k] for k in ("source", "target")}
  )
  assert list(shown) == [
    "source",
    "source -> target",
    "target",
    "target -> target",
  ]
  for way, given, _, result, _ in algorithm.directions:
    one = algorithm.sample(
      state.params, state.model_state, {given: batch[given]}
    )
    assert list(one) == [given, result]
    assert one[result].shape == (8, 16, 16, 1), way
    np.testing.assert_allclose(one[result], shown[result], atol=1e-5)


def test_the_default_trains_a_classifier_once(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  brief = classifiers.default_config

  def two_rounds(preset):
    config = brief(preset)
    config.steps = 2
    return config

  monkeypatch.setattr(classifiers, "default_config", two_rounds)
  config = shrink(load_config("dtn"))
  config.features.update(workdir="", image_size=0, channels=0)
  config.update(steps=1, eval_every=0)
  # As long as nothing is learned from it, either split will do.
  config.data.source.split = "test"
  train(config, tmp_path / "first")
  assert "training a classifier of digits, once" in capsys.readouterr().out
  weights(algorithms.create(config))
  assert "once" not in capsys.readouterr().out
  (folder,) = (
    x for x in (tmp_path / "cache/jaxgan/classifiers").iterdir() if x.is_dir()
  )
  found = restored.load(folder).config
  assert found.data.split == "test"
  assert dict(found.classifier)["widths"] == [8, 8]
  # It is not needed again, nor for use.
  folder.rename(tmp_path / "gone")
  config.steps = 2
  run = train(config, tmp_path / "first", verbose=True)
  assert run.state.step == 2
  assert "resuming" in capsys.readouterr().out


class Street(tfds.core.GeneratorBasedBuilder):
  """Noise, in the form and with the splits of svhn_cropped."""

  VERSION = tfds.core.Version("1.0.0")
  SHAPE = 32, 32, 3
  SPLITS = "train", "test", "extra"

  def _info(self):
    features = tfds.features.FeaturesDict(
      {
        "image": tfds.features.Image(shape=self.SHAPE),
        "label": tfds.features.ClassLabel(num_classes=10),
      }
    )
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, dl_manager):
    return {split: self._generate_examples() for split in self.SPLITS}

  def _generate_examples(self):
    rng = np.random.default_rng(0)
    for i in range(20):
      pixels = rng.integers(0, 256, self.SHAPE, np.uint8)
      yield i, {"image": Image.fromarray(pixels.squeeze()), "label": i % 10}


class Postal(Street):
  """In the form of mnist."""

  SHAPE = 28, 28, 1
  SPLITS = "train", "test"


@pytest.mark.filterwarnings("default")
def test_the_digits_of_the_paper(tmp_path, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  for builder in (Street, Postal):
    made = builder(data_dir=tmp_path, file_format="array_record")
    made.download_and_prepare()

  def brief(preset):
    config = load_config("classifier", preset)
    config.update(steps=1, batch_size=16)
    return config

  monkeypatch.setattr(classifiers, "default_config", brief)
  config = load_config("dtn", "svhn_mnist")
  config.update(steps=1, batch_size=16, eval_every=0)
  config.generator.width = config.critic.width = 4
  config.features.network.widths = (4, 4, 4)
  config.data.source.name, config.data.target.name = "street", "postal"
  state = train(config, tmp_path / "run").state
  assert not state.halted
  # Its net has learned from the images of the extra split.
  (folder,) = (
    x for x in (tmp_path / "cache/jaxgan/classifiers").iterdir() if x.is_dir()
  )
  learned = restored.load(folder).config
  assert (learned.data.name, learned.data.split) == ("street", "extra")
  assert state.params["features"]["Conv_0"]["kernel"].shape == (5, 5, 3, 4)
  assert state.params["features"]["Dense_0"]["kernel"].shape[1] == 128
  assert data.held_out(config.data).source.split == "test"


# What cannot work.


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"generator.norm": "foo"}, "generator.norm='foo': choose"),
    ({"critic.norm": "spectral"}, "critic.norm='spectral': choose"),
    ({"weights.constancy": -1.0}, "weights.constancy=-1.0: give 0 or more"),
    (weights_of(), "all weights are 0"),
    ({"n_generator": 0}, "n_generator=0: give 1 or more"),
    ({"features.distance": "l1"}, "features.distance='l1': choose one of"),
    ({"features.channels": 2}, "features.channels=2: give 1 or 3, or 0"),
    ({"features.image_size": 3}, "features.image_size=3: give 4 or more"),
    (
      {"features.network.name": "none"},
      "features.network.name='none': no Classifier",
    ),
    ({"critic.name": "patchgan"}, "critic.name='patchgan' has no"),
    ({"data.image_size": 20}, "side 16, 24, 32, 48, 64, 96, 128, not 20x20x1"),
  ],
  ids=str,
)
def test_bad_values_are_refused(values, message):
  config = tiny()
  config.update_from_flattened_dict(values)
  with pytest.raises(InputError, match=message):
    algorithms.initial_state(config, algorithms.create(config))


def test_single_images_are_refused():
  config = tiny()
  config.data = presets.images("digits")
  with pytest.raises(InputError, match="dtn translates images: choose a p"):
    algorithms.create(config)


def test_other_feature_nets_are_refused(tmp_path):
  config = tiny()
  config.features.network.widths = (8, 16)
  algorithm = algorithms.create(config)
  with pytest.raises(InputError, match="set features.network to the former"):
    weights(algorithm)
  config = tiny(**{"features.image_size": 32})
  with pytest.raises(InputError, match=r"\[16, 16, 1\], not \[32, 32, 1\]"):
    weights(algorithms.create(config))
  config = tiny(**{"features.workdir": str(tmp_path)})
  with pytest.raises(InputError, match="holds no checkpoints"):
    weights(algorithms.create(config))
  config = load_config("dtn", "faces")
  with pytest.raises(InputError, match="import_torch --features"):
    weights(algorithms.create(config))


@pytest.mark.slow
def test_images_of_six_by_six_doubled():
  generator = models.create("Generator", tiny(), "generator", shape=(24, 24, 3))
  params, state = models.init(generator, jax.random.key(0), jnp.zeros((2, 5)))
  made, _ = models.apply(
    generator, params, state, jnp.ones((2, 5)), train=False
  )
  assert made.shape == (2, 24, 24, 3)
  critic = models.create("Critic", tiny(), "critic", outputs=3)
  params, state = models.init(critic, jax.random.key(0), made)
  assert models.apply(critic, params, state, made, train=False)[0].shape == (
    2,
    3,
  )
  assert data.example_shapes(load_config("dtn", "faces").data)["target"] == (
    64, 64, 3,
  )  # fmt: skip
