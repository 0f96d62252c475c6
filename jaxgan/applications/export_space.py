"""What a hosted Gradio Space needs, in one folder; see `launch/space/`."""

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
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import sampling_variables

TEMPLATE = pathlib.Path(__file__).parents[1] / "launch" / "space"


def export(
  entries: Sequence[Entry], folder: pathlib.Path, ema: bool = True
) -> None:
  """Writes what a Gradio Space needs to a new folder.

  That is `launch/space/`, this package, and of each run a checkpoint of its
  weights alone, without optimizers, averages or paths, with some examples. The
  folder gets its name when it is complete.

  Args:
    entries: see `load`.
    folder: where to.
    ema: whether to use averaged weights.

  Raises:
    InputError: where the folder holds something or is part of what is copied,
      or launch/space is missing.
  """
  package = pathlib.Path(__file__).parent
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise InputError(f"{folder} holds something: give another --export")
  if not TEMPLATE.is_dir():
    raise InputError(f"no {TEMPLATE}: export from a checkout of jaxgan")
  for source in (package, TEMPLATE):
    if folder.resolve().is_relative_to(source.resolve()):
      raise InputError(f"{folder} lies in {source}: give another --export")
  names = [entry.workdir.resolve().name for entry in entries]
  for name in names:
    if names.count(name) > 1:
      raise InputError(f"two runs are named {name}: rename the folder of one")
  partial = folder.with_name(f"{folder.name}.partial")
  shutil.rmtree(partial, ignore_errors=True)
  ignore = shutil.ignore_patterns("__pycache__")
  shutil.copytree(TEMPLATE, partial, ignore=ignore)
  shutil.copytree(package, partial / "jaxgan", ignore=ignore)
  card = partial / "README.md"
  lines = [card.read_text()]
  for name, entry in zip(names, entries, strict=True):
    workdir = partial / "runs" / name
    lines.append(f"* `{name}`: {demo_models.describe(entry.run)}.\n")
    for start in {way.source for way in entry.run.game.directions}:
      own = workdir / "examples" / start
      if not own.exists():
        shown = demo_models.examples(entry, start)
        own.mkdir(parents=True)
        demo_models.save(shown, own)
    config, state = _slim(entry.run, ema)
    with checkpoint.open_manager(workdir) as manager:
      checkpoint.save(manager, state, config)
    for path in workdir.rglob("commit_success.txt"):
      path.write_text("")  # it would tell where that was written
  card.write_text("".join(lines))
  partial.replace(folder)


def _slim(run: RestoredRun, ema: bool) -> tuple[ConfigDict, Any]:
  """A run whose checkpoint holds little but what sampling needs."""
  config = run.config.copy_and_resolve_references()
  config.ema_decay = 0.0
  for key in flatten(config):
    if key.split(".")[-1] in ("path", "workdir"):
      config.update_from_flattened_dict({key: ""})
  config.inception = ""
  for player in config.optimizers:
    config.optimizers[player] = ConfigDict(
      {"name": "sgd", "learning_rate": 1e-3}
    )
  algorithm = algorithms.create(config)
  params, model_state = sampling_variables(run.state, ema)
  return config, run.state.replace(
    params=params,
    model_state=model_state,
    opt_state={
      player: optimizer.init(params[player])
      for player, optimizer in algorithm.optimizers.items()
    },
    ema_params={player: params[player] for player in algorithm.ema},
    ema_model_state={player: model_state[player] for player in algorithm.ema},
  )
