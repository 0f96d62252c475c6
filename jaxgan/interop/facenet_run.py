"""Makes a run of FaceNet's published weights, for DTN's features."""

import pathlib

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.algorithms import classifier
from jaxgan.errors import InputError
from jaxgan.interop import weights
from jaxgan.interop.imported_runs import check_workdir, save
from jaxgan.models import facenet

# By how many people a FaceNet knows, the set that it was trained on.
PEOPLE = {8631: "vgg_face2", 10575: "casia_webface"}


def import_file(path: str | pathlib.Path, workdir: str | pathlib.Path) -> str:
  """Makes a run of a file of weights, a classifier of people.

  Args:
    path: the file, see `weights.read`.
    workdir: folder of the run; made if missing.

  Returns:
    A description of the run, in lines.

  Raises:
    InputError: where the file is not that network, or the workdir is not empty.
  """
  check_workdir(workdir)
  entries = weights.read(path)
  name = "logits.weight"
  people = entries[name].shape if name in entries else ()
  if len(people) != 2 or people[1] != facenet.FEATURES:
    raise InputError(
      f"{path} is no InceptionResnetV1: it has no {name} of "
      f"[people, {facenet.FEATURES}]"
    )
  config = classifier.default_config("folder")
  config.data.update(
    name=PEOPLE.get(people[0], "people"), image_size=facenet.SIDE, crop=0
  )
  config.classifier = ConfigDict({"name": "facenet", "classes": people[0]})
  # So that the run holds its weights once, without averages and moments.
  config.ema_decay = 0.0
  config.optimizers.classifier = ConfigDict(
    {"name": "sgd", "learning_rate": 1e-3}
  )
  _, template = algorithms.initial_state(config, algorithms.create(config))
  shapes = {
    "params": template.params["classifier"],
    **template.model_state["classifier"],
  }
  try:
    variables = weights.named(shapes, entries)
  except InputError as e:
    raise InputError(f"{path} is no InceptionResnetV1: {e}") from e
  params = {"classifier": variables.pop("params")}
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  state = state.replace(params=params, model_state={"classifier": variables})
  save(workdir, state, config)
  return (
    f"{workdir} is a run of FaceNet, trained on {people[0]} people, for DTN:\n"
    f"python -m jaxgan.main --config=configs/dtn.py:faces "
    f"--config.features.workdir={workdir} "
    f"--config.features.network.classes={people[0]} "
    "--config.data.source.path=FACES --config.data.target.path=CARTOONS"
  )
