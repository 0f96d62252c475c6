"""Makes runs of published weights: CycleGAN, Pix2Pix and FaceNet."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan.algorithms import classifier, cyclegan, l1_translation, pix2pix
from jaxgan.engine import checkpoint
from jaxgan.engine.files import refuse_contents
from jaxgan.engine.logs import write_config
from jaxgan.errors import InputError
from jaxgan.game import TrainState
from jaxgan.interop import weights
from jaxgan.interop.pytorch_cyclegan import Architecture, Network, read
from jaxgan.models import facenet

# By flag, the network of its file.
NETWORKS = {
  "generator": "the generator, from source to target",
  "generator_back": "CycleGAN's other generator, from target to source",
  "critic": "the critic of target images",
  "critic_back": "CycleGAN's other critic, of source images",
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
# As in the files of the same names in configs/.
_VALUES: dict[str, dict[str, Any]] = {
  "cyclegan": {
    "loss": {"name": "least_squares"},
    "weights": {"adversarial": 2.0, "cycle": 10.0, "identity": 5.0},
    "pool_size": 50,
    "steps": 267_000,
  },
  "pix2pix": {
    "loss": {"name": "non_saturating"},
    "weights": {"l1": 100.0},
    "steps": 80_000,
  },
  "l1_translation": {
    "loss": {"name": "non_saturating"},
    "weights": {"l1": 0.2},
    "steps": 2000,
  },
}


def import_translation(
  files: Mapping[str, str | pathlib.Path],
  workdir: str | pathlib.Path,
  image_size: int | None = None,
) -> str:
  """Makes a run that translates by published weights, at step 0.

  Args:
    files: by a key of `NETWORKS`; "generator" at least.
    workdir: folder of the run; made if missing.
    image_size: `data.image_size`; by default that of the published networks.

  Returns:
    A description of the run, in lines.

  Raises:
    InputError: where a file is none of these networks, they do not belong
      together, or the workdir is not empty.
  """
  refuse_contents(pathlib.Path(workdir), "--workdir")
  networks = {
    flag: read(path, flag.removesuffix("_back")) for flag, path in files.items()
  }
  config = create_config(networks, image_size)
  _save(workdir, create_state(config, networks), config)
  lines = [
    f"{flag}: {_summary(networks[flag])}"
    if flag in networks
    else f"note: the {flag} has fresh weights: no --{flag} was given"
    for flag in _PLACES[config.algorithm]
  ]
  size = config.data.image_size
  lines += [
    f"{workdir} is a run of {config.algorithm} at step 0, for images of "
    f"{size}x{size}; next:",
    f"python -m jaxgan.translate --workdir={workdir} --input=PATH "
    "--output=PATH",
  ]
  return "\n".join(lines)


def import_facenet(
  path: str | pathlib.Path, workdir: str | pathlib.Path
) -> str:
  """Makes a run of FaceNet's weights, a feature net.

  The logits of the people it was trained on, which some files hold, are left
  out.

  Args:
    path: the file, see `weights.read`.
    workdir: folder of the run; made if missing.

  Returns:
    A description of the run, in lines.

  Raises:
    InputError: where the file is not that network, or the workdir is not empty.
  """
  refuse_contents(pathlib.Path(workdir), "--workdir")
  entries = weights.read(path)
  left_out = [x for x in ("logits.weight", "logits.bias") if x in entries]
  for name in left_out:
    del entries[name]
  config = classifier.default_config("folder")
  config.data.update(name="people", image_size=facenet.SIDE, crop=0)
  config.classifier = ConfigDict({"name": "facenet", "classes": 0})
  # So that the run holds its weights once, without averages and moments.
  config.ema_decay = 0.0
  sgd = {"name": "sgd", "learning_rate": 1e-3}
  config.optimizers.classifier = ConfigDict(sgd)
  _, template = algorithms.initial_state(config, algorithms.create(config))
  shapes = template.model_state["classifier"]
  shapes = {"params": template.params["classifier"], **shapes}
  try:
    variables = weights.convert_named(shapes, entries)
  except InputError as e:
    raise InputError(f"{path} is no InceptionResnetV1: {e}") from e
  params = {"classifier": variables.pop("params")}
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  state = state.replace(params=params, model_state={"classifier": variables})
  _save(workdir, state, config)
  lines = [
    f"{workdir} is a run of FaceNet, a feature net for metrics and for DTN:",
    f"python -m jaxgan.evaluate --workdir=RUN --features={workdir}",
    f"python -m jaxgan.main --config=configs/dtn.py:faces "
    f"--config.features.workdir={workdir} "
    "--config.data.source.path=FACES --config.data.target.path=CARTOONS",
  ]
  if left_out:
    lines.insert(0, f"note: {' and '.join(left_out)} are left out")
  return "\n".join(lines)


def _save(
  workdir: str | pathlib.Path, state: TrainState, config: ConfigDict
) -> None:
  workdir = pathlib.Path(workdir)
  with checkpoint.open_manager(workdir) as manager:
    write_config(workdir, config)
    checkpoint.save(manager, state, config)


def create_config(
  networks: Mapping[str, Network], image_size: int | None = None
) -> ConfigDict:
  """Returns the config of a run; see `import_translation`."""
  generator = networks["generator"].architecture
  unet = generator.config["name"] == "unet"
  game = pix2pix if unet else l1_translation
  if "generator_back" in networks:
    game = cyclegan
  config = game.default_config("pairs" if game is pix2pix else "folders")
  algorithm = config.algorithm
  _check_together(networks, algorithm)
  config.update(_VALUES[algorithm])
  config.generator = ConfigDict(generator.config)
  if unet:  # only Pix2Pix makes its noise
    config.generator.dropout = algorithm == "pix2pix"
  norm = generator.config["norm"]
  config.critic = ConfigDict(
    {"name": "patchgan", "width": 64, "layers": 3, "norm": norm}
  )
  for flag in {"critic", "critic_back"} & networks.keys():
    config.critic = ConfigDict(networks[flag].architecture.config)
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  if algorithm != "l1_translation":
    adam["schedule"] = "half_linear"
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  config.batch_size = 1
  size = image_size
  if size is None:
    size = 2 ** generator.config["downs"] if unet else 256
  config.data.update(image_size=size, margin=size * 30 // 256)  # 286 for 256
  config.data.source.channels = generator.inputs
  config.data.target.channels = generator.outputs
  if algorithm == "cyclegan" and generator.inputs != generator.outputs:
    config.weights.identity = 0.0  # it needs both the same
  return config


def create_state(
  config: ConfigDict, networks: Mapping[str, Network]
) -> TrainState:
  """Returns the state at step 0, with fresh weights where there is no file."""
  game = algorithms.create(config)
  init, _ = algorithms.initial_state(config, game)
  shapes = data.example_shapes(config.data)
  example = {key: jnp.zeros((1, *shape)) for key, shape in shapes.items()}
  # The key that training would take.
  state = init(jax.random.split(jax.random.key(config.seed), 3)[0], example)
  params, model_state = state.params, state.model_state
  for flag, network in networks.items():
    place = _PLACES[config.algorithm][flag]
    params = _placed(params, place, network.params)
    model_state = _placed(model_state, place, network.model_state)
  return state.replace(
    params=params,
    model_state=model_state,
    ema_params={player: params[player] for player in game.averaged},
    ema_model_state={player: model_state[player] for player in game.averaged},
  )


def _check_together(networks: Mapping[str, Network], algorithm: str) -> None:
  """Refuses networks that do not belong to one run."""
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
  judged = source + target if algorithm == "pix2pix" else target
  for flag, model, inputs, outputs in (
    ("generator_back", first, target, source),
    ("critic", None, judged, 1),
    ("critic_back", networks.get("critic"), source, 1),
  ):
    if flag not in networks:
      continue
    path, network, *_ = networks[flag]
    if (network.inputs, network.outputs) != (inputs, outputs):
      raise InputError(
        f"{path} takes {network.inputs} channels and makes {network.outputs}: "
        f"as --{flag} of {first.path}, it has to take {inputs} and make "
        f"{outputs}"
      )
    if model and network.config != model.architecture.config:
      raise InputError(
        f"{path} is of another form than {model.path}: {_form(network)}, not "
        f"{_form(model.architecture)}"
      )


def _placed(
  tree: Mapping[str, Any], place: tuple[str, ...], new: Any
) -> dict[str, Any]:
  """Returns the tree with another entry at a place."""
  key, *rest = place
  return {**tree, key: _placed(tree[key], tuple(rest), new) if rest else new}


def _form(architecture: Architecture) -> str:
  config = architecture.config
  return f"{architecture.kind}, {config['norm']} norm, width {config['width']}"


def _summary(network: Network) -> str:
  path, form, params, _ = network
  note = f"; {form.note}" if form.note else ""
  return (
    f"{_form(form)}, {form.inputs} channels to {form.outputs}, "
    f"{optax.tree.size(params):,} parameters, from {path}{note}"
  )
