"""Networks whose features and labels the metrics are computed from."""

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.algorithms import classifier
from jaxgan.data.pixels import match_shape, to_float
from jaxgan.engine import checkpoint
from jaxgan.engine.devices import data_parallel, filled, replicate
from jaxgan.errors import InputError
from jaxgan.evaluation.classifiers import check_run, trained
from jaxgan.evaluation.restored import RestoredRun, load
from jaxgan.evaluation.sampling import batch_size
from jaxgan.game import sampling_variables
from jaxgan.interop import weights
from jaxgan.models import inception

_NAMES = {
  "mnist": "MNIST",
  "fashion_mnist": "Fashion-MNIST",
  "usps": "USPS",
  "cifar10": "CIFAR-10",
}


class FeatureNet(NamedTuple):
  """A network with frozen weights."""

  prefix: str  # of the names of its metrics: "MNIST-", and "" for Inception
  description: str  # for protocols, as the next two
  hash: str  # SHA-256 of its weights
  resizer: str  # how it changes the size of images
  classes: int  # labels of the data that it knows; 0 if it knows others
  size: int  # number of its features, D
  # `(variables, uint8 images [B, H, W, C]) -> features [B, D], logits [B, K]`,
  # on all local devices; B is at most `sampling.batch_size()`.
  apply: Callable[[Any, Any], tuple[jax.Array, jax.Array]]
  variables: Any = None  # the first argument of `apply`, on these devices


def create(config: ConfigDict, features: str = "") -> FeatureNet:
  """Returns the feature net for images of a `config.data`.

  Args:
    config: of the images.
    features: the folder of a run of `configs/classifier.py` or of FaceNet, see
      `jaxgan.import_torch`, or the file of Inception's weights. With none, a
      classifier is trained for the data, once, and stays in the user's cache
      folder.

  Raises:
    InputError: where the network cannot be had, or is for other images.
  """
  check(config, features)
  if not features:
    return from_classifier(*trained(config), config)
  path = pathlib.Path(features)
  if path.is_file():
    return from_inception(path)
  return from_classifier(path, load(path), config)


def check(config: ConfigDict, features: str = "") -> None:
  """Refuses, at no cost, arguments of `create`, by an `InputError`."""
  if features and not pathlib.Path(features).exists():
    raise InputError(
      f"no {features}: give the folder of a classifier's run or of FaceNet, or "
      "the file of Inception's weights"
    )
  if not (features or data.classes(config)):
    raise InputError(
      f"{config.name} has no labels to train a classifier with: give a feature "
      "net by --features (in training --config.eval_features), such as FaceNet "
      "or Inception's weights"
    )


def has_labels(features: str) -> bool:
  """Returns whether a feature net is a classifier that knows labels."""
  path = pathlib.Path(features)
  if not features or path.is_file():
    return False
  return load(path).config.get("classifier", {}).get("classes", 0) > 0


def from_inception(path: pathlib.Path) -> FeatureNet:
  """Returns Inception-v3 with the weights of a file; see `weights.read`."""
  variables = weights.inception_variables(weights.read(path))
  module = inception.Inception()

  def apply(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return module.apply(variables, inception.resize(images))

  return FeatureNet(
    prefix="",
    description="Inception-v3 of 2015-12-05",
    hash=hashlib.sha256(path.read_bytes()).hexdigest(),
    resizer="bilinear to 299x299 as in TensorFlow 1, no antialiasing",
    classes=0,
    size=2048,
    apply=filled(data_parallel(apply), batch_size()),
    variables=replicate(variables),
  )


def from_classifier(
  workdir: pathlib.Path, run: RestoredRun, config: ConfigDict
) -> FeatureNet:
  """Returns the classifier of a run, for images with this `config.data`.

  Raises:
    InputError: see `classifiers.check_run`.
  """
  shape, own_shape = (data.example_shape(x) for x in (config, run.config.data))
  check_run(workdir, run, shape, resized=True)
  net = untrained(run.config)
  if shape != own_shape:
    net = net._replace(resizer=f"linear to {own_shape[0]}x{own_shape[1]}")
  if config.name != run.config.data.name:
    net = net._replace(classes=0)  # of labels with another meaning
  return with_variables(net, sampling_variables(run.state))


def untrained(config: ConfigDict) -> FeatureNet:
  """Returns the classifier that a run's config describes, untrained."""
  module, shape = classifier.network(config), data.example_shape(config.data)

  def apply(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    images = match_shape(to_float(images), shape)
    return module.apply(variables, images, train=False)

  (features, logits), _ = jax.eval_shape(
    lambda x: module.init_with_output(jax.random.key(0), x, train=False),
    jnp.zeros((1, *shape)),
  )
  name, size = config.data.name, f"{shape[0]}x{shape[1]}"
  prefix, kind, resizer = _NAMES.get(name, name), "classifier", "none"
  if config.classifier.name == "facenet":
    prefix, kind, resizer = "FaceNet", "FaceNet", f"linear to {size}"
  return FeatureNet(
    prefix=f"{prefix}-",
    description=f"{kind} of {name}, {size}",
    hash="",
    resizer=resizer,
    classes=logits.shape[1],
    size=features.shape[1],
    apply=filled(data_parallel(apply), batch_size()),
  )


def with_variables(net: FeatureNet, variables: Any) -> FeatureNet:
  """Returns an `untrained` classifier with `sampling_variables` of a run."""
  params, model_state = (part["classifier"] for part in variables)
  arrays = jax.device_get({"params": params, **model_state})
  return net._replace(
    hash=checkpoint.digest(arrays), variables=replicate(arrays)
  )
