"""Trained weights alone, to sample and translate with, in a small folder.

It holds `run.json`, the config, and `weights.npz`, the params in 16 bits and
the model state of all players but critics: a tenth of a checkpoint, from which
no training can go on.
"""

import json
import pathlib
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.checks import one_of
from jaxgan.config import flatten
from jaxgan.engine import checkpoint
from jaxgan.engine.files import new_folder
from jaxgan.errors import InputError
from jaxgan.game import Game, TrainState, sampling_variables

CONFIG, WEIGHTS = "run.json", "weights.npz"
_PARTS = ("params", "model_state")


def write(
  config: ConfigDict,
  state: TrainState,
  folder: pathlib.Path,
  ema: bool = True,
  leave_out: Iterable[str] = (),
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
    InputError: where the folder holds something, or a player is not frozen.
  """
  config = _without_paths(config)
  frozen = algorithms.create(config).pretrained
  for player in leave_out:
    one_of("leave_out", player, frozen)
  players = {"generator", *frozen} - {*leave_out}
  arrays = {"step": np.asarray(state.step)}
  variables = zip(_PARTS, sampling_variables(state, ema), strict=True)
  for part, trees in jax.device_get(dict(variables)).items():
    tree = {part: {player: trees[player] for player in players}}
    for name, x in flatten_dict(tree, sep="/").items():
      fits = part == "params" and (abs(x) < np.finfo("float16").max).all()
      arrays[name] = x.astype("float16") if fits else x
  contents = {
    "format": checkpoint.FORMAT,
    "config": json.loads(config.to_json()),
    "left_out": sorted(leave_out),
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
      it, or the run of such a player is missing.
  """
  try:
    contents = json.loads((folder / CONFIG).read_text())
    checkpoint.check_format(folder, contents)
    config = ConfigDict(contents["config"])
    with np.load(folder / WEIGHTS, allow_pickle=False) as file:
      arrays = dict(file)
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
    raise InputError(f"{folder} is damaged: fetch it again ({e})") from e
  game = algorithms.create(config)
  _, template = algorithms.initial_state(config, game)
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
  state = state.replace(step=arrays.pop("step", state.step), opt_state={})
  trees = unflatten_dict(arrays, sep="/")
  for player in contents["left_out"]:
    net = folder / player
    if not net.is_dir():
      raise InputError(
        f"{folder} comes without the weights of its {player}: python -m "
        f"jaxgan.import_torch --features=FILE --workdir={net}"
      )
    run = load(net)
    for part, tree in zip(_PARTS, sampling_variables(run.state), strict=True):
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
    state = state.replace(**{part: tree})
  return config, game, state


def _without_paths(config: ConfigDict) -> ConfigDict:
  """Returns a config without paths and without averages."""
  config = config.copy_and_resolve_references()
  config.ema_decay = 0.0
  for key in flatten(config):
    if key.split(".")[-1] in ("path", "workdir", "eval_features"):
      config.update_from_flattened_dict({key: ""})
  return config
