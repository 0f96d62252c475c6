"""Writes a folder for a hosted Gradio Space; see `launch/space/`."""

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.applications import demo_models
from jaxgan.applications.demo_models import Entry
from jaxgan.config import flatten
from jaxgan.engine import checkpoint
from jaxgan.engine.files import new_folder, refuse_contents
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import sampling_variables

PACKAGE = pathlib.Path(__file__).parents[1]
TEMPLATE = PACKAGE.parent / "launch" / "space"


def export(
  entries: Sequence[Entry], folder: pathlib.Path, ema: bool = True
) -> None:
  """Writes a Gradio Space to a new folder.

  It holds `launch/space/`, this package, and of each run a checkpoint of its
  (averaged) weights, without optimizers or paths, with some examples.

  Raises:
    InputError: where the folder holds something or is part of what is copied,
      or launch/space is missing.
  """
  refuse_contents(folder, "--export")
  if not TEMPLATE.is_dir():
    raise InputError(f"no {TEMPLATE}: export from a checkout of jaxgan")
  for source in (PACKAGE, TEMPLATE):
    if folder.resolve().is_relative_to(source.resolve()):
      raise InputError(f"{folder} lies in {source}: give another --export")
  names = [entry.workdir.resolve().name for entry in entries]
  for name in names:
    if names.count(name) > 1:
      raise InputError(f"two runs are named {name}: rename the folder of one")
  with new_folder(folder, "--export") as partial:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TEMPLATE, partial, ignore=ignore, dirs_exist_ok=True)
    shutil.copytree(PACKAGE, partial / "jaxgan", ignore=ignore)
    with (partial / "README.md").open("a") as card:
      for name, entry in zip(names, entries, strict=True):
        card.write(f"* `{name}`: {demo_models.describe(entry.run)}.\n")
        _write(entry, partial / "runs" / name, ema)


def _write(entry: Entry, workdir: pathlib.Path, ema: bool) -> None:
  for domain in {x.source for x in entry.run.game.directions}:
    examples = workdir / "examples" / domain
    examples.mkdir(parents=True)
    demo_models.save(demo_models.examples(entry, domain), examples)
  config, state = _slim(entry.run, ema)
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, state, config)
  for path in workdir.rglob("commit_success.txt"):
    path.write_text("")  # it would tell where that was written


def _slim(run: RestoredRun, ema: bool) -> tuple[ConfigDict, Any]:
  """Returns the config and state of a run without optimizers and averages."""
  config = run.config.copy_and_resolve_references()
  config.ema_decay = 0.0
  for key in flatten(config):
    if key.split(".")[-1] in ("path", "workdir"):
      config.update_from_flattened_dict({key: ""})
  config.inception = ""
  sgd = {"name": "sgd", "learning_rate": 1e-3}
  for player in config.optimizers:
    config.optimizers[player] = ConfigDict(sgd)
  game = algorithms.create(config)
  params, model_state = sampling_variables(run.state, ema)
  return config, run.state.replace(
    params=params,
    model_state=model_state,
    opt_state={x: y.init(params[x]) for x, y in game.optimizers.items()},
    ema_params={player: params[player] for player in game.averaged},
    ema_model_state={player: model_state[player] for player in game.averaged},
  )
