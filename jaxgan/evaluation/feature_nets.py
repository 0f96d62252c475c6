"""Networks whose features and labels the metrics are computed from."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.algorithms import classifier
from jaxgan.data.pixels import to_float
from jaxgan.engine import checkpoint
from jaxgan.engine.devices import data_parallel, replicate, shard
from jaxgan.errors import InputError
from jaxgan.evaluation.classifiers import check_run, trained
from jaxgan.evaluation.restored import RestoredRun, load
from jaxgan.evaluation.sampling import batch_size
from jaxgan.game import sampling_variables
from jaxgan.interop import weights
from jaxgan.interop.inception import inception_variables
from jaxgan.models import inception

_NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "usps": "USPS"}


class FeatureNet(NamedTuple):
  """A network with frozen weights.

  Attributes:
    prefix: of the names of its metrics: "MNIST-", and "" for Inception.
    description: what it is.
    hash: SHA-256 of its weights.
    resizer: what it does to the size of images.
    classes: how many labels of the data it tells apart; 0 if other labels.
    size: how many features it has.
    apply: `(variables, uint8 images [B, H, W, C]) -> features [B', D], logits
      [B', K]`, on all local devices; B' is `run.batch_size()`, B that or less.
    variables: its first argument, on these devices.
  """

  prefix: str
  description: str
  hash: str
  resizer: str
  classes: int
  size: int
  apply: Callable[[Any, Any], tuple[jax.Array, jax.Array]]
  variables: Any = None


def create(config: ConfigDict, file: str = "", workdir: str = "") -> FeatureNet:
  """Returns the network for images of a run.

  Args:
    config: of the run.
    file: weights of Inception; see `from_inception`.
    workdir: of a run of `configs/classifier.py`. By default one is trained
      for the data, once, and kept in the user's cache folder.

  Raises:
    InputError: where the network cannot be had, or is for other images.
  """
  check(config, file, workdir)
  if file:
    return from_inception(file)
  if workdir:
    return from_classifier(pathlib.Path(workdir), config.data)
  return _of_run(*trained(config.data), config.data)


def check(config: ConfigDict, file: str = "", workdir: str = "") -> None:
  """Refuses what `create` could not do; at no cost.

  Raises:
    InputError: with a remedy.
  """
  if file and workdir:
    raise InputError("give a classifier or Inception's weights, not both")
  if file and not pathlib.Path(file).is_file():
    raise InputError(f"no file {file}: give one of Inception's weights")
  if not file and not workdir and not data.classes(config.data):
    raise InputError(
      f"{config.data.name} has no labels to train a classifier with: give "
      "Inception's weights"
    )


def from_inception(file: str) -> FeatureNet:
  """Inception-v3 with published weights; see `weights.read` for files."""
  path = pathlib.Path(file)
  variables = inception_variables(weights.read(path))
  module = inception.Inception()

  def apply(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return module.apply(variables, inception.resize(images))

  return FeatureNet(
    prefix="",
    description="Inception-v3 of 2015-12-05",
    hash=weights.sha256(path),
    resizer="bilinear to 299x299 as in TensorFlow 1, no antialiasing",
    classes=0,
    size=2048,
    apply=_padded(apply),
    variables=replicate(variables),
  )


def from_classifier(workdir: pathlib.Path, config: ConfigDict) -> FeatureNet:
  """A classifier trained by this project.

  Args:
    workdir: of its run.
    config: `config.data` of the images that it is for.

  Raises:
    InputError: where it is for images of another shape.
  """
  return _of_run(workdir, load(workdir), config)


def _of_run(
  workdir: pathlib.Path, run: RestoredRun, config: ConfigDict
) -> FeatureNet:
  check_run(workdir, run, data.example_shape(config))
  net = untrained(run.config)
  if config.name != run.config.data.name:
    net = net._replace(classes=0)  # of labels with another meaning
  return with_variables(net, sampling_variables(run.state))


def untrained(config: ConfigDict) -> FeatureNet:
  """The classifier that a config describes, without variables."""
  module = classifier.network(config)

  def apply(own: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return module.apply(own, to_float(images), train=False)

  name, (side, _, channels) = config.data.name, data.example_shape(config.data)
  return FeatureNet(
    prefix=_NAMES.get(name, name) + "-",
    description=f"classifier of {name}, {side}x{side}",
    hash="",
    resizer="none",
    classes=module.classes,
    size=module.features * (channels if module.per_channel else 1),
    apply=_padded(apply),
  )


def with_variables(net: FeatureNet, variables: Any) -> FeatureNet:
  """An `untrained` classifier with what `sampling_variables` returns."""
  params, model_state = (part["classifier"] for part in variables)
  own = jax.device_get({"params": params, **model_state})
  return net._replace(hash=checkpoint.digest(own), variables=replicate(own))


def _padded(
  apply: Callable[..., tuple[jax.Array, jax.Array]],
) -> Callable[[Any, Any], tuple[jax.Array, jax.Array]]:
  """Compiles for one size of batch, to which smaller ones are filled up."""
  mapped, size = data_parallel(apply), batch_size()

  def run(variables: Any, images: Any) -> tuple[jax.Array, jax.Array]:
    pad = np.pad if isinstance(images, np.ndarray) else jnp.pad
    rest = [(0, size - len(images))] + [(0, 0)] * (images.ndim - 1)
    full = pad(images, rest) if rest[0][1] else images
    return mapped(variables, shard(full))

  return run
