"""Classifiers of the data, for features: trained once, and then cached."""

import hashlib
import json
import pathlib
import shutil
from typing import Any

import filelock
import jax
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan.algorithms.classifier import default_config
from jaxgan.engine import startup
from jaxgan.engine.devices import round_up
from jaxgan.engine.processes import Process, broadcast_from_first
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun, load
from jaxgan.game import Pretrained, TrainState, sampling_variables
from jaxgan.train import train


def weights_of(spec: Pretrained) -> tuple[Any, Any]:
  """Returns the params and model state of a classifier, trained if need be.

  Raises:
    InputError: where the run is not that of such a classifier, or there is
      neither a run nor data to train one.
  """
  if spec.workdir:
    workdir, run = pathlib.Path(spec.workdir), None
  elif spec.network.name == "facenet" or not data.classes(spec.data):
    raise InputError(
      "features.workdir='': give the folder of a classifier's run, such as one "
      "of FaceNet by python -m jaxgan.import_torch --features=FILE"
    )
  else:
    workdir, run = trained(spec.data, spec.network, spec.data.split)
  try:
    run = run or load(workdir)
    check_run(workdir, run, spec.shape)
  except InputError as e:
    raise InputError(
      f"{e}; see features.workdir, features.image_size and features.channels"
    ) from e
  stored, wanted = (
    json.dumps(x.to_dict(), sort_keys=True)
    for x in (run.config.classifier, spec.network)
  )
  if stored != wanted:
    raise InputError(
      f"the classifier in {workdir} is {stored}, not {wanted}: set "
      "features.network to the former"
    )
  print(f"features of a classifier of {run.config.data.name}, in {workdir}")
  params, model_state = sampling_variables(run.state)
  return params["classifier"], model_state["classifier"]


def trained(
  config: ConfigDict, network: ConfigDict | None = None, split: str = "train"
) -> tuple[pathlib.Path, RestoredRun]:
  """Returns the folder and the run of the classifier of a `config.data`.

  It is trained if it is not in the user's cache folder. All processes call
  this, and the first reads or trains it.

  Raises:
    InputError: where the images have no labels, or other ones, or the cache
      cannot be written.
  """
  run_config = default_config("digits")
  run_config.data = config.copy_and_resolve_references()
  run_config.data.update(
    split=split, flip=False, dequantize=False, crop=config.image_size // 16
  )
  run_config.classifier.update(
    classes=data.classes(config), per_channel=data.is_stacked(config)
  )
  if network is not None:
    run_config.classifier = network
  game = algorithms.create(run_config)
  _, template = algorithms.initial_state(run_config, game)
  # The same wherever its data is stored and on how many devices it is trained.
  key = run_config.copy_and_resolve_references()
  key.data.path = ""
  key = f"{key.to_json(sort_keys=True)} {template}"
  digest = hashlib.sha256(key.encode()).hexdigest()
  run_config.batch_size = round_up(run_config.batch_size)
  folder = startup.cache_folder() / "classifiers"
  workdir = folder / f"{config.name.replace('/', '_')}-{digest[:12]}"

  def load_or_train() -> TrainState:
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
      train(run_config, partial, jax.local_devices())
      partial.rename(workdir)
      return load(workdir).state

  process = Process(jax.process_index(), jax.process_count())
  state = broadcast_from_first(process, load_or_train, template)
  return workdir, RestoredRun(run_config, game, state)


def check_run(
  workdir: pathlib.Path,
  run: RestoredRun,
  shape: tuple[int, ...],
  resized: bool = False,
) -> None:
  """Refuses a run that is of no classifier for images of a shape.

  FaceNet is for faces of any size, and others are if the images are `resized`.
  """
  if run.config.algorithm != "classifier":
    raise InputError(
      f"{workdir} is a run of {run.config.algorithm!r}, not of a classifier"
    )
  trained_shape = data.example_shape(run.config.data)
  any_size = resized or run.config.classifier.name == "facenet"
  same_channels = shape[-1] == trained_shape[-1]
  if shape != trained_shape and not (any_size and same_channels):
    raise InputError(
      f"the classifier in {workdir} is for images of shape "
      f"{list(trained_shape)}, not {list(shape)}"
    )
