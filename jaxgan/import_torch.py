"""Makes a run of PyTorch weights: `python -m jaxgan.import_torch`.

Of the authors' code of CycleGAN and Pix2Pix, see `jaxgan/published.py`, or of
FaceNet, `jaxgan/models/facenet.py`, for DTN.
"""

import pathlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from jaxgan import algorithms, cli, data
from jaxgan.algorithms import classifier, cyclegan, l1_translation, pix2pix
from jaxgan.engine import checkpoint
from jaxgan.engine.logs import write_config
from jaxgan.errors import InputError
from jaxgan.game import TrainState
from jaxgan.interop import weights
from jaxgan.interop.pytorch_cyclegan import Architecture, Network, read
from jaxgan.models import facenet

_FLAGS = {
  "generator": "of the generator, from source to target.",
  "generator_back": "of CycleGAN's other generator, from target to source.",
  "critic": "of the critic of target images.",
  "critic_back": "of CycleGAN's other critic, of source images.",
}
# By algorithm and flag, where a network is in a state: player and name.
_PLACES: dict[str, dict[str, tuple[str, ...]]] = {
  "cyclegan": {
    "generator": ("generator", "forward"),
    "generator_back": ("generator", "backward"),
    "critic": ("critic", "target"),
    "critic_back": ("critic", "source"),
  },
  "pix2pix": {"generator": ("generator",), "critic": ("critic",)},
  "l1_translation": {"generator": ("generator",), "critic": ("critic",)},
}
# By how many people a FaceNet knows, the set that it was trained on.
_PEOPLE = {8631: "vgg_face2", 10575: "casia_webface"}
# As in the files of the same names in configs/.
_VALUES: dict[str, dict[str, Any]] = {
  "cyclegan": {
    "loss": "least_squares",
    "weights": {"adversarial": 2.0, "cycle": 10.0, "identity": 5.0},
    "pool_size": 50,
    "steps": 267_000,
  },
  "pix2pix": {
    "loss": "non_saturating",
    "weights": {"adversarial": 1.0, "l1": 100.0},
    "n_critic": 1,
    "steps": 80_000,
  },
  "l1_translation": {
    "loss": "non_saturating",
    "weights": {"adversarial": 1.0, "l1": 0.2},
    "n_critic": 1,
    "steps": 2000,
  },
}


def import_files(
  files: Mapping[str, str | pathlib.Path],
  workdir: str | pathlib.Path,
  image_size: int | None = None,
) -> ConfigDict:
  """Makes a run of published weights, at round 0, and prints what it holds.

  Args:
    files: by flag, see `define`; "generator" at least.
    workdir: of the run; made if missing.
    image_size: `data.image_size`; by default that of the published networks.

  Returns:
    The config of the run.

  Raises:
    InputError: where a file is none of these networks, they do not belong
      together, or the workdir is not empty.
  """
  workdir = _new(workdir)
  networks = {
    flag: read(path, flag.removesuffix("_back")) for flag, path in files.items()
  }
  config = create_config(networks, image_size)
  state = create_state(config, networks)
  _save(workdir, state, config)
  for flag in _PLACES[config.algorithm]:
    if flag in networks:
      print(f"{flag}: {_summary(networks[flag])}")
    else:
      print(f"note: the {flag} has fresh weights: no --{flag} was given")
  print(
    f"{workdir} is a run of {config.algorithm} at round 0, for images of "
    f"{config.data.image_size}x{config.data.image_size}; next:\n"
    f"python -m jaxgan.translate --workdir={workdir} --input=PATH --output=PATH"
  )
  return config


def import_facenet(
  path: str | pathlib.Path, workdir: str | pathlib.Path
) -> ConfigDict:
  """Makes a run of FaceNet's published weights, a classifier of people.

  Args:
    path: of the file, see `weights.read`.
    workdir: of the run; made if missing.

  Returns:
    The config of the run.

  Raises:
    InputError: where the file is not that network, or the workdir is not empty.
  """
  workdir = _new(workdir)
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
    name=_PEOPLE.get(people[0], "people"), image_size=facenet.SIDE, crop=0
  )
  config.classifier = ConfigDict({"name": "facenet", "classes": people[0]})
  # So that the run holds its weights once, without averages and moments.
  config.ema_decay = 0.0
  config.optimizers.classifier = ConfigDict(
    {"name": "sgd", "learning_rate": 1e-3}
  )
  algorithm = algorithms.create(config)
  _, template = algorithms.initial_state(config, algorithm)
  shapes = {
    "params": template.params["classifier"],
    **template.model_state["classifier"],
  }
  try:
    found = weights.named(shapes, entries)
  except InputError as e:
    raise InputError(f"{path} is no InceptionResnetV1: {e}") from e
  params = found.pop("params")
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  _save(
    workdir,
    state.replace(
      params={"classifier": params}, model_state={"classifier": found}
    ),
    config,
  )
  print(
    f"{workdir} is a run of FaceNet, trained on {people[0]} people, for DTN:\n"
    f"python -m jaxgan.main --config=configs/dtn.py:faces "
    f"--config.features.workdir={workdir} "
    f"--config.features.network.classes={people[0]} "
    "--config.data.source.path=FACES --config.data.target.path=CARTOONS"
  )
  return config


def _new(workdir: str | pathlib.Path) -> pathlib.Path:
  workdir = pathlib.Path(workdir)
  if workdir.exists() and any(workdir.iterdir()):
    raise InputError(
      f"{workdir} holds a run or other files: give a new --workdir"
    )
  return workdir


def _save(workdir: pathlib.Path, state: TrainState, config: ConfigDict) -> None:
  workdir.mkdir(parents=True, exist_ok=True)
  write_config(workdir, config)
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, state, config)


def create_config(
  networks: Mapping[str, Network], image_size: int | None = None
) -> ConfigDict:
  """Returns the config of a run of these networks; see `import_files`.

  Raises:
    InputError: where they do not belong together.
  """
  generator = networks["generator"].architecture
  unet = generator.config["name"] == "unet"
  if "generator_back" in networks:
    game = cyclegan
  else:
    game = pix2pix if unet else l1_translation
  config = game.default_config("pairs" if game is pix2pix else "folders")
  algorithm = config.algorithm
  _check_together(networks, algorithm)
  config.update(_VALUES[algorithm])
  config.generator = ConfigDict(generator.config)
  if unet:
    # Only Pix2Pix makes its noise.
    config.generator.dropout = algorithm == "pix2pix"
  config.critic = ConfigDict(
    {
      "name": "patchgan",
      "width": 64,
      "layers": 3,
      "norm": generator.config["norm"],
    }
  )
  for flag in {"critic", "critic_back"} & networks.keys():
    config.critic = ConfigDict(networks[flag].architecture.config)
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  if algorithm != "l1_translation":
    adam["schedule"] = "half_linear"
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  config.batch_size = 1
  if image_size is None:
    image_size = 2 ** generator.config["downs"] if unet else 256
  config.data.image_size = image_size
  config.data.margin = image_size * 30 // 256  # 286 for 256
  config.data.source.channels = generator.inputs
  config.data.target.channels = generator.outputs
  if algorithm == "cyclegan" and generator.inputs != generator.outputs:
    config.weights.identity = 0.0  # it needs both the same
  return config


def create_state(
  config: ConfigDict, networks: Mapping[str, Network]
) -> TrainState:
  """Returns the state at round 0, in which players not given are fresh.

  Raises:
    InputError: where the config cannot work, as for too small images.
  """
  algorithm = algorithms.create(config)
  init, _ = algorithms.initial_state(config, algorithm)
  example = {
    key: jnp.zeros((1, *shape))
    for key, shape in data.example_shapes(config.data).items()
  }
  # The key that training would take.
  state = init(jax.random.split(jax.random.key(config.seed), 3)[0], example)
  trees = {"params": state.params, "model_state": state.model_state}
  for flag, network in networks.items():
    place = _PLACES[config.algorithm][flag]
    for key, tree in trees.items():
      trees[key] = _placed(tree, place, getattr(network, key))
  averages = {
    f"ema_{key}": {player: tree[player] for player in algorithm.ema}
    for key, tree in trees.items()
  }
  return state.replace(**trees, **averages)


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    files={
      flag: flags.DEFINE_string(flag, None, f"File of weights: {whose}")
      for flag, whose in _FLAGS.items()
    },
    features=flags.DEFINE_string(
      "features", None, "File of FaceNet's weights, for a run of it alone."
    ),
    workdir=flags.DEFINE_string("workdir", None, "Folder of the new run."),
    image_size=flags.DEFINE_integer(
      "image_size",
      None,
      "Side of its images; by default 256, or that of the U-Net.",
    ),
  )


def main(given: SimpleNamespace) -> None:
  """Imports the files of the flags."""
  files = {flag: x.value for flag, x in given.files.items() if x.value}
  facenet_file = given.features.value
  if bool(facenet_file) == ("generator" in files):
    raise InputError(
      "give --generator=FILE, such as a latest_net_G.pth, or --features=FILE, "
      "such as a vggface2.pt"
    )
  if not given.workdir.value:
    raise InputError("give --workdir=DIR, a folder for the run")
  if facenet_file:
    if files or given.image_size.value is not None:
      raise InputError("--features is for a run of FaceNet: give no other file")
    import_facenet(facenet_file, given.workdir.value)
    return
  import_files(files, given.workdir.value, given.image_size.value)


def _check_together(networks: Mapping[str, Network], algorithm: str) -> None:
  """Refuses networks that are not those of one run."""
  for flag in networks:
    if flag not in _PLACES[algorithm]:
      raise InputError(f"--{flag} is CycleGAN's: give --generator_back, too")
  first = networks["generator"]
  source, target = first.architecture.inputs, first.architecture.outputs
  if {source, target} - {1, 3}:
    raise InputError(
      f"{first.path} translates {source} channels to {target}: only 1 and 3 "
      "are supported"
    )
  if algorithm == "l1_translation" and source != target:
    raise InputError(
      f"{first.path} translates {source} channels to {target}: a run of one "
      "ResNet needs both the same; give --generator_back, too"
    )
  seen = source + target if algorithm == "pix2pix" else target
  for flag, model, inputs, outputs in (
    ("generator_back", first, target, source),
    ("critic", None, seen, 1),
    ("critic_back", networks.get("critic"), source, 1),
  ):
    if flag not in networks:
      continue
    path, own = networks[flag].path, networks[flag].architecture
    if (own.inputs, own.outputs) != (inputs, outputs):
      raise InputError(
        f"{path} takes {own.inputs} channels and makes {own.outputs}: as "
        f"--{flag} of {first.path}, it has to take {inputs} and make {outputs}"
      )
    if model and own.config != model.architecture.config:
      raise InputError(
        f"{path} is of another form than {model.path}: {_form(own)}, not "
        f"{_form(model.architecture)}"
      )


def _placed(
  tree: Mapping[str, Any], place: tuple[str, ...], new: Any
) -> dict[str, Any]:
  """The tree with another entry at a place."""
  key, *rest = place
  return {**tree, key: _placed(tree[key], tuple(rest), new) if rest else new}


def _form(architecture: Architecture) -> str:
  config = architecture.config
  return f"{architecture.kind}, {config['norm']} norm, width {config['width']}"


def _summary(network: Network) -> str:
  own = network.architecture
  count = sum(x.size for x in flatten_dict(network.params).values())
  note = f"; {own.note}" if own.note else ""
  return (
    f"{_form(own)}, {own.inputs} channels to {own.outputs}, {count:,} "
    f"parameters, from {network.path}{note}"
  )


if __name__ == "__main__":
  cli.run(main, define)
