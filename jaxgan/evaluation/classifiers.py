"""."""

import hashlib
import json
import pathlib
import shutil
from typing import Any

import filelock
import jax
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan.algorithms.classifier import default_config as classifier_config
from jaxgan.engine import startup
from jaxgan.engine.processes import Process, broadcast_from_first
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun, load
from jaxgan.game import TrainState, sampling_variables
from jaxgan.train import train


def weights_of(
  workdir: pathlib.Path,
  network: ConfigDict,
  shape: tuple[int, ...],
  run: RestoredRun | None = None,
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
    check_run(workdir, run, shape)
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


def trained(
  config: ConfigDict, network: ConfigDict | None = None, split: str = "train"
) -> tuple[pathlib.Path, RestoredRun]:
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
  game = algorithms.create(own)
  _, template = algorithms.initial_state(own, game)
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
  state = broadcast_from_first(process, find, template)
  return workdir, RestoredRun(own, game, state)


def check_run(
  workdir: pathlib.Path, run: RestoredRun, shape: tuple[int, ...]
) -> None:
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
