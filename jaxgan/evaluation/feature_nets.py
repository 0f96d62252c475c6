"""Networks whose features and labels the metrics are computed from."""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import filelock
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.algorithms import classifier
from jaxgan.config import InputError, classifier_config
from jaxgan.engine import checkpoint, startup
from jaxgan.engine.input_pipeline import to_float
from jaxgan.engine.processes import Process, from_first
from jaxgan.evaluation.restored import (
  Run,
  batch_size,
  load,
  over_devices,
  replicate,
  shard,
)
from jaxgan.interop import weights
from jaxgan.models import inception
from jaxgan.train import create_algorithm, initial_state, train
from jaxgan.train_step import TrainState, sampling_variables

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
  variables = inception.inception_variables(weights.read(path))
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


def _of_run(workdir: pathlib.Path, run: Run, config: ConfigDict) -> FeatureNet:
  _check_run(workdir, run, data.example_shape(config))
  net = untrained(run.config)
  if config.name != run.config.data.name:
    net = net._replace(classes=0)  # of labels with another meaning
  return with_variables(net, sampling_variables(run.state))


def weights_of(
  workdir: pathlib.Path,
  network: ConfigDict,
  shape: tuple[int, ...],
  run: Run | None = None,
) -> tuple[Any, Any]:
  """Params and model state of a classifier trained by this project.

  Args:
    workdir: of its run.
    network: its `config.classifier`.
    shape: of the images that it is for.
    run: the run, if it is loaded.

  Raises:
    InputError: where it is another one.
  """
  try:
    run = run or load(workdir)
    _check_run(workdir, run, shape)
  except InputError as e:
    raise InputError(
      f"{e}; see features.workdir, features.image_size and features.channels"
    ) from e
  own, wanted = (
    json.dumps(x.to_dict(), sort_keys=True)
    for x in (run.config.classifier, network)
  )
  if own != wanted:
    raise InputError(
      f"the classifier in {workdir} is {own}, not {wanted}: set "
      "features.network to the former"
    )
  print(f"features of a classifier of {run.config.data.name}, in {workdir}")
  params, model_state = sampling_variables(run.state)
  return params["classifier"], model_state["classifier"]


def _check_run(workdir: pathlib.Path, run: Run, shape: tuple[int, ...]) -> None:
  """Refuses a run that is of no classifier for images of a shape."""
  if run.config.algorithm != "classifier":
    raise InputError(
      f"{workdir} is a run of {run.config.algorithm!r}, not of a classifier"
    )
  own = data.example_shape(run.config.data)
  if shape != own:
    raise InputError(
      f"the classifier in {workdir} is for images of shape {list(own)}, not "
      f"{list(shape)}"
    )


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


def trained(
  config: ConfigDict, network: ConfigDict | None = None, split: str = "train"
) -> tuple[pathlib.Path, Run]:
  """A data set's classifier and its folder, trained if it is not in the cache.

  Of several processes, all call it, and the first finds or trains it.

  Args:
    config: `config.data` of the images.
    network: `config.classifier`; by default the usual one.
    split: of the images that it learns from.

  Raises:
    InputError: where the images have no labels, or other ones, or the cache
      cannot be written.
  """
  own = classifier_config("digits")
  own.data = config.copy_and_resolve_references()
  own.data.update(
    split=split, flip=False, dequantize=False, crop=config.image_size // 16
  )
  own.classifier.classes = data.classes(config)
  if network is not None:
    own.classifier = network
  # What it is, wherever its data is stored and on how many devices.
  algorithm = create_algorithm(own)
  _, template = initial_state(own, algorithm)
  key = own.copy_and_resolve_references()
  key.data.path = ""
  key = f"{key.to_json(sort_keys=True)} {template}"
  digest = hashlib.sha256(key.encode()).hexdigest()
  devices = jax.local_devices()
  own.batch_size = -(-own.batch_size // len(devices)) * len(devices)
  folder = startup.cache_folder() / "classifiers"
  workdir = folder / f"{config.name.replace('/', '_')}-{digest[:12]}"

  def find() -> TrainState:
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
      raise InputError(
        f"{folder} cannot be made: {e.strerror}; set XDG_CACHE_HOME, or give a "
        "classifier"
      ) from e
    # Two evaluations may need it at once.
    with filelock.FileLock(f"{workdir}.lock"):
      if workdir.exists():
        try:
          return load(workdir).state
        except InputError as e:
          print(f"training again, for want of a whole one: {e}")
          shutil.rmtree(workdir)
      print(f"training a classifier of {config.name}, once, for {workdir}")
      partial = workdir.with_name(f"{workdir.name}.partial")
      shutil.rmtree(partial, ignore_errors=True)
      train(own, partial, devices)
      partial.rename(workdir)
      return load(workdir).state

  process = Process(jax.process_index(), jax.process_count())
  state = from_first(process, find, template)
  return workdir, Run(own, algorithm, state)


def _padded(
  apply: Callable[..., tuple[jax.Array, jax.Array]],
) -> Callable[[Any, Any], tuple[jax.Array, jax.Array]]:
  """Compiles for one size of batch, to which smaller ones are filled up."""
  mapped, size = over_devices(apply), batch_size()

  def run(variables: Any, images: Any) -> tuple[jax.Array, jax.Array]:
    pad = np.pad if isinstance(images, np.ndarray) else jnp.pad
    rest = [(0, size - len(images))] + [(0, 0)] * (images.ndim - 1)
    full = pad(images, rest) if rest[0][1] else images
    return mapped(variables, shard(full))

  return run
