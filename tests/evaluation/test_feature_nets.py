"""Classifiers and feature nets."""

import hashlib

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from helpers.configs import data_config, load_config, shrink

from jaxgan import algorithms, data
from jaxgan.errors import InputError
from jaxgan.evaluation import classifiers, feature_nets, sampling
from jaxgan.game import sampling_variables
from jaxgan.models import inception
from jaxgan.models.lenet import Classifier
from jaxgan.train import train

pytestmark = pytest.mark.slow


def apply(module, images, key=0, train=False):
  variables = module.init(jax.random.key(key), images, train=False)
  return module.apply(variables, images, train=train), variables


@pytest.mark.parametrize("shape", [(16, 16, 1), (32, 32, 3), (29, 21, 1)])
def test_classifier_shapes(shape):
  images = np.zeros((2, *shape), np.float32)
  (found, logits), _ = apply(Classifier(7, (4, 8), 5), images)
  assert found.shape == (2, 5)
  assert logits.shape == (2, 7)


def test_channels_are_classified_one_by_one():
  images = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3))
  images = images.astype(np.float32)
  module = Classifier(1000, (4, 8), 5, per_channel=True)
  (found, logits), variables = apply(module, images)
  single = Classifier(10, (4, 8), 5)
  parts = [single.apply(variables, images[..., i : i + 1], False)
           for i in range(3)]  # fmt: skip
  np.testing.assert_allclose(
    found, np.concatenate([part[0] for part in parts], 1), rtol=1e-5, atol=1e-5
  )
  a, b, c = (np.asarray(part[1]) for part in parts)
  expected = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None]
  np.testing.assert_allclose(
    logits, expected.reshape(4, 1000), rtol=1e-4, atol=1e-5
  )
  digits = [part.argmax(1) for part in (a, b, c)]
  np.testing.assert_array_equal(
    logits.argmax(1), 100 * digits[0] + 10 * digits[1] + digits[2]
  )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A classifier of the digits, trained for seconds."""
  config = load_config("classifier")
  config.steps = 150
  config.ema_decay = 0.9  # of so few rounds
  config.optimizers.classifier.learning_rate = 3e-3
  workdir = tmp_path_factory.mktemp("classifier")
  train(config, workdir)
  return workdir


def test_a_trained_classifier_knows_digits(workdir):
  net = feature_nets.create(data_config("digits"), features=str(workdir))
  source = data.create(data_config("digits", split="test"))
  batch = source[np.arange(200)]
  found, logits = (
    np.asarray(x) for x in net.apply(net.variables, batch["image"])
  )
  assert (logits.argmax(1) == batch["label"]).mean() > 0.9
  assert found.shape == (200, net.size)
  # Normalised over the training images, so roughly over these.
  assert 0.5 < found.std() < 1.5
  assert (net.prefix, net.classes, len(net.hash)) == ("digits-", 10, 64)


def test_batches_of_any_size_agree(workdir):
  net = feature_nets.create(data_config("digits"), features=str(workdir))
  images = data.create(data_config("digits"))[np.arange(40)]["image"]
  whole = np.asarray(net.apply(net.variables, images)[0])
  part = np.asarray(net.apply(net.variables, jax.numpy.asarray(images[:3]))[0])
  assert (len(whole), len(part)) == (40, 3)
  np.testing.assert_allclose(part, whole[:3], rtol=1e-4, atol=1e-5)


def test_images_of_another_size_are_resized(workdir):
  small = data.create(data_config("digits"))[np.arange(40)]["image"]
  large = small.repeat(2, axis=1).repeat(2, axis=2)
  found = []
  for preset, images in (("digits", small), ("mnist", large)):
    net = feature_nets.create(data_config(preset), features=str(workdir))
    found.append(np.asarray(net.apply(net.variables, images)[1]).argmax(1))
  assert (found[0] == found[1]).mean() > 0.9
  assert net.resizer == "linear to 16x16"
  assert net.classes == 0


def test_a_net_for_other_channels_is_refused(workdir):
  with pytest.raises(InputError, match=r"\[16, 16, 1\], not \[32, 32, 3\]"):
    feature_nets.create(data_config("cifar10"), features=str(workdir))


def test_labels_of_other_data_are_not_counted(workdir):
  config = data_config("typeset_digits")
  net = feature_nets.create(config, features=str(workdir))
  assert (net.prefix, net.classes) == ("digits-", 0)


def test_another_run_is_no_classifier(tmp_path):
  config = shrink(load_config("nsgan"))
  config.steps = 1
  train(config, tmp_path)
  with pytest.raises(InputError, match="not of a classifier"):
    feature_nets.create(config.data, features=str(tmp_path))


def test_images_without_labels_need_a_net(workdir, tmp_path):
  config = load_config("dcgan", "folder")
  with pytest.raises(InputError, match="no labels"):
    feature_nets.check(config.data)
  feature_nets.check(config.data, features=str(workdir))
  assert feature_nets.has_labels(str(workdir))
  assert not feature_nets.has_labels("")
  with pytest.raises(InputError, match="no .*none.pth"):
    feature_nets.check(config.data, str(tmp_path / "none.pth"))
  config = load_config("classifier", "folder")
  with pytest.raises(InputError, match="no images with labels"):
    algorithms.create(config)


def test_another_number_of_labels_is_refused():
  config = load_config("classifier")
  config.classifier.classes = 7
  with pytest.raises(InputError, match="classifier.classes=10"):
    algorithms.create(config)


def test_a_classifier_outlives_its_data(tmp_path):
  lines = np.column_stack([np.arange(40) % 10, np.zeros((40, 256))])
  folder = tmp_path / "usps"
  folder.mkdir()
  np.savetxt(folder / "zip.train.gz", lines, fmt="%.2f")
  config = shrink(load_config("classifier", "usps"))
  config.update_from_flattened_dict({"steps": 1, "data.path": str(folder)})
  train(config, tmp_path / "run")
  folder.rename(tmp_path / "moved")
  net = feature_nets.create(config.data, features=str(tmp_path / "run"))
  assert net.classes == 10


def tiny(preset):
  config = shrink(load_config("classifier", preset))
  config.steps = 2
  return config


def test_a_classifier_is_trained_once(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setattr(classifiers, "default_config", tiny)
  config = load_config("dcgan", "digits")
  config.data.flip = True  # how a GAN's data is augmented does not matter
  folder = tmp_path / "jaxgan/classifiers"
  folder.mkdir(parents=True)
  first = feature_nets.create(config.data)
  (kept,) = (p for p in folder.iterdir() if p.is_dir())
  assert "once" in capsys.readouterr().out
  config.data.flip = False
  assert feature_nets.create(config.data).hash == first.hash
  assert "once" not in capsys.readouterr().out
  # What was left half-way, or is damaged, is made again.
  (folder / f"{kept.name}.partial").mkdir()
  for path in (kept / "checkpoints").rglob("*"):
    if path.is_file():
      path.write_bytes(b"")
  assert feature_nets.create(config.data).hash == first.hash
  assert "again" in capsys.readouterr().out
  assert [p for p in folder.iterdir() if p.is_dir()] == [kept]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
  with pytest.raises(InputError, match="XDG_CACHE_HOME"):
    feature_nets.create(load_config("dcgan", "digits").data)


def test_the_stacked_preset_classifies_channels():
  config = load_config("classifier", "stacked_digits")
  algorithm = algorithms.create(config)
  _, template = algorithms.initial_state(config, algorithm)
  params, _ = sampling_variables(template)
  kernels = [leaf.shape for leaf in jax.tree.leaves(params["classifier"])]
  assert (5, 5, 1, 32) in kernels  # grey input
  assert (64, 10) in kernels  # ten classes


def test_inception_has_the_plain_names(tmp_path, monkeypatch):
  numpy = pytest.importorskip("safetensors.numpy")
  monkeypatch.setattr(sampling, "BATCH_SIZE", 8)
  shape = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
  module = inception.Inception()
  variables = jax.eval_shape(module.init, jax.random.key(0), shape)
  rng = np.random.default_rng(0)
  names = {"kernel": "weight", "scale": "weight", "bias": "bias",
           "mean": "running_mean", "var": "running_var"}  # fmt: skip
  weights = {}
  for tree in variables.values():
    for path, leaf in flatten_dict(tree).items():
      x = rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32)
      x = x.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[x.ndim])
      name = ".".join((*path[:-1], names[path[-1]]))
      weights[name] = np.ascontiguousarray(x)
  file = tmp_path / "weights.safetensors"
  numpy.save_file(weights, file)
  net = feature_nets.create(load_config("dcgan", "folder").data, str(file))
  assert (net.prefix, net.classes, net.size) == ("", 0, 2048)
  assert net.hash == hashlib.sha256(file.read_bytes()).hexdigest()
  images = rng.integers(0, 256, (3, 20, 20, 1), np.uint8)
  found, logits = net.apply(net.variables, images)
  assert (found.shape, logits.shape) == ((3, 2048), (3, 1008))
