"""Trained weights alone, to sample and translate with, in a small folder.

It holds `run.json`, the config, and `weights.npz`, the params in 16 bits and
the model state of all players but critics: a tenth of a checkpoint, from which
no training can go on.
"""

import json
import pathlib
from collections.abc import Callable, Collection
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.config import flatten
from jaxgan.engine import checkpoint
from jaxgan.engine.files import new_folder, read_arrays
from jaxgan.errors import InputError
from jaxgan.game import Game, TrainState, sampling_variables

CONFIG, WEIGHTS = "run.json", "weights.npz"
_PARTS = ("params", "model_state")


def write(
  config: ConfigDict,
  state: TrainState,
  folder: pathlib.Path,
  ema: bool = True,
  leave_out: Collection[str] = (),
) -> None:
  """Writes the weights of a run to a new folder.

  Args:
    config: of the run.
    state: its state.
    folder: to make.
    ema: whether to write averaged weights.
    leave_out: frozen players, such as DTN's "features", whose run is then
      looked for in a folder of that name in this one.

  Raises:
    InputError: where the folder holds something, the run has no generator, or
      a player is not frozen.
  """
  config = _without_paths(config, ema)
  frozen = algorithms.create(config).pretrained
  if "generator" not in state.params:
    raise InputError(f"a run of {config.algorithm!r} has no generator")
  for player in leave_out:
    if player not in frozen:
      raise InputError(f"leave_out={player!r}: that is no frozen player")
  variables = sampling_variables(state, ema)
  players = {"generator", *frozen} - {*leave_out}
  arrays = {"step": np.asarray(state.step)}
  for part, trees in zip(_PARTS, jax.device_get(variables), strict=True):
    tree = {part: {player: trees[player] for player in players}}
    for name, x in flatten_dict(tree, sep="/").items():
      fits = part == "params" and (abs(x) < np.finfo("float16").max).all()
      arrays[name] = x.astype("float16") if fits else x
  contents = {
    "format": checkpoint.FORMAT,
    "config": json.loads(config.to_json()),
    "left_out": {x: _digest(variables, x) for x in leave_out},
  }
  with new_folder(folder, "--output") as partial:
    text = json.dumps(contents, indent=2)
    (partial / CONFIG).write_text(f"{text}\n")
    np.savez(partial / WEIGHTS, **arrays)


def read(
  folder: pathlib.Path, load: Callable[[pathlib.Path], Any]
) -> tuple[ConfigDict, Game, TrainState]:
  """Returns the config, game and state of a folder that `write` made.

  Args:
    folder: the folder.
    load: restores the run of a player that was left out, from its folder.

  Raises:
    InputError: where the folder is damaged, another version of jaxgan wrote
      it, or the run of such a player is missing or another.
  """
  try:
    contents = json.loads((folder / CONFIG).read_text())
  except (OSError, ValueError) as e:
    raise InputError(f"{folder / CONFIG} cannot be read: {e}") from e
  match contents:
    case {"format": int(), "config": {**config}, "left_out": {**left_out}}:
      checkpoint.check_format(folder, contents)
    case _:
      raise InputError(f"{folder / CONFIG} is not of jaxgan.export")
  arrays = read_arrays(folder / WEIGHTS)
  config = ConfigDict(config)
  game = algorithms.create(config)
  _, template = algorithms.initial_state(config, game)
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  state = state.replace(step=arrays.pop("step", state.step), opt_state={})
  trees = unflatten_dict(arrays, sep="/")
  for player, digest in left_out.items():
    variables = _left_out(folder / player, load)
    if _digest(variables, "classifier") != digest:
      raise InputError(
        f"{folder / player} is not the network that {folder} was trained with"
      )
    for part, tree in zip(_PARTS, variables, strict=True):
      trees.setdefault(part, {})[player] = tree["classifier"]
  for part in _PARTS:
    tree = dict(getattr(state, part))
    for player in ("generator", *game.pretrained):
      old = flatten_dict(tree[player], keep_empty_nodes=True)
      new = flatten_dict(trees.get(part, {}).get(player, {}))
      shapes = {key: x.shape for key, x in flatten_dict(tree[player]).items()}
      if shapes != {key: x.shape for key, x in new.items()}:
        raise InputError(
          f"{folder} is damaged: the {part} of its {player} are not those of "
          "its config"
        )
      new = {key: x.astype(old[key].dtype) for key, x in new.items()}
      tree[player] = unflatten_dict(old | new)
    averages = {player: tree[player] for player in game.averaged}
    state = state.replace(**{part: tree, f"ema_{part}": averages})
  return config, game, state


def _left_out(
  folder: pathlib.Path, load: Callable[[pathlib.Path], Any]
) -> tuple[Any, Any]:
  """Returns the params and model state of a feature net's run."""
  if not folder.is_dir():
    raise InputError(
      f"no {folder}: the run of this network has to be put there; FaceNet's by "
      f"python -m jaxgan.import_torch --features=FILE --workdir={folder}"
    )
  run = load(folder)
  if run.config.algorithm != "classifier":
    raise InputError(f"{folder} is a run of {run.config.algorithm!r}")
  return sampling_variables(run.state)


def _digest(variables: Any, player: str) -> str:
  """Returns the digest of a player's params and model state."""
  return checkpoint.digest(jax.device_get([x[player] for x in variables]))


def _without_paths(config: ConfigDict, ema: bool) -> ConfigDict:
  """Returns a config without paths, and without averages unless `ema`."""
  config = config.copy_and_resolve_references()
  config.ema_decay *= ema
  for key in flatten(config):
    if key.split(".")[-1] in ("path", "workdir", "eval_features"):
      config.update_from_flattened_dict({key: ""})
  return config
