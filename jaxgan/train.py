"""Trains a game: builds the parts, restores the state, loops and saves."""

import os
import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from clu import parameter_overview
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan import config as config_lib
from jaxgan.data.augment import make_augment
from jaxgan.engine import checkpoint, guard, input_pipeline
from jaxgan.engine import devices as devices_lib
from jaxgan.engine.checkpoint import Checkpoints, open_checkpoints
from jaxgan.engine.devices import DeviceMapping
from jaxgan.engine.logs import import_wandb, open_logs, write_config
from jaxgan.engine.preemption import Stop
from jaxgan.engine.processes import broadcast, run_on_first, same_on_all
from jaxgan.engine.window import MetricsWindow
from jaxgan.engine.workdir import locked
from jaxgan.errors import InputError, first_line
from jaxgan.game import (
  Batch,
  Game,
  TrainState,
  minibatches,
  sampling_variables,
  with_pretrained,
)
from jaxgan.train_step import make_train_step
from jaxgan.viewing import preview


def train(
  config: ConfigDict,
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
  *,
  evaluator: Any = None,
) -> TrainState:
  """Trains, from the newest checkpoint in `workdir` if there is one.

  Of several processes, all call it; the first alone uses `workdir`.

  Args:
    config: see `jaxgan.config.base_config`.
    workdir: folder of the run; made if missing.
    devices: to train on; by default all of all processes.
    evaluator: evaluates every `config.eval_every` steps: `check(config)`
      refuses, at no cost, what it cannot evaluate, and `in_training(config,
      game)` returns `evaluate(variables) -> (scalars, score)`, of which the
      checkpoint with the lowest score is kept; None if nothing decides.

  Returns:
    The state after the last step, on one device or the host.

  Raises:
    InputError: where the config or the data cannot work, or the workdir
      belongs to another config.
    NonFiniteError: where a loss or gradient is not finite, and the config
      does not say how to go on, or that did not help.
    SaveError: where a checkpoint cannot be written.
    Preempted: where SIGTERM or Ctrl-C stopped the run, which is saved.
  """
  devices = devices or jax.devices()
  workdir = pathlib.Path(workdir)
  config_lib.check(config, len(devices))
  try:
    game = algorithms.create(config)
  except (AttributeError, KeyError) as e:  # of a locked config
    raise InputError(
      f"algorithm={config.algorithm!r} needs keys that this config has not "
      f"({first_line(e)}): choose a config of that algorithm"
    ) from e
  mapping = devices_lib.create(config.parallel, devices)
  process = mapping.process
  if not same_on_all(process, config.to_json()):
    raise InputError(
      "the processes have different configs: give all of them the same flags"
    )
  keys = jax.random.split(jax.random.key(config.seed), 3)
  init_rng, step_rng, sample_rng = keys

  # Refusals come before data is read or anything is written.
  import_wandb(config)
  init, template = algorithms.initial_state(config, game)
  if not config.eval_every:
    evaluator = None
  if evaluator:
    evaluator.check(config)
  weights = None
  if not run_on_first(process, partial(checkpoint.saved_steps, workdir)):
    weights = game.pretrained()
  source = data.create(config.data)
  with (
    locked(workdir, process),
    open_checkpoints(workdir, config, process) as checkpoints,
    Stop(process, workdir, config.steps) as stop,
  ):
    state = checkpoints.restore(template)
    if state and state.step >= config.steps:
      print(
        f"{workdir} is complete at step {state.step}; to train longer, give "
        f"--config.steps a value above {state.step}"
      )
      return state
    pipeline = input_pipeline.create(source, config, minibatches(game), mapping)
    if process.index == 0:
      write_config(workdir, config)
    examples = preview.examples(source, config)
    begin = partial(_begin, game, init, init_rng, examples, weights, mapping)
    if state:
      print(f"resuming {workdir} at step {state.step}")
    else:
      state = begin()
      print(
        parameter_overview.get_parameter_overview(
          state.params, include_stats=False
        )
      )
    train_step = make_train_step(
      game,
      step_rng,
      config.ema_decay,
      make_augment(config.data),
      skip=config.nonfinite == "skip",
    )
    loop = partial(
      _loop,
      config,
      workdir,
      mapping,
      pipeline.map_step(train_step),
      pipeline.inputs,
      checkpoints,
      preview.create(config, game, examples, sample_rng),
      evaluator and evaluator.in_training(config, game),
      stop,
    )
    state = guard.with_rollbacks(
      config, loop, state, partial(_restart, checkpoints, template, begin)
    )
    if process.index == 0:
      preview.summarize(workdir)
  return state


def _loop(
  config: ConfigDict,
  workdir: pathlib.Path,
  mapping: DeviceMapping,
  train_step: Callable[[TrainState, Any], Any],
  inputs: Callable[[int], Any],
  checkpoints: Checkpoints,
  draw: Callable[[Any], Any],
  evaluate: Callable[[Any], tuple[dict[str, float], float | None]] | None,
  stop: Stop,
  state: TrainState,
) -> TrainState:
  """Trains from `state` to the last step; see `train`."""
  start, rollbacks = int(state.step), int(state.rollbacks)
  state = mapping.replicate(state)
  window = MetricsWindow(config, start)
  with open_logs(workdir, config, start, mapping.process.index == 0) as logs:
    for step, batch in enumerate(logs.progress(inputs(start)), start + 1):
      state, metrics = train_step(state, batch)
      window.append(step, metrics)
      due = partial(_due, config, step)
      stopping = stop.requested() and step < config.steps
      evaluating = evaluate and due("eval_every") and not stopping

      if due("log_every"):
        window.check_finite()
        counts = {"rollbacks": rollbacks} if rollbacks else {}
        logs.write(step, window.means() | counts)
        checkpoints.check()
      if due("sample_every"):
        logs.write_picture(step, draw(_variables(mapping, state)))
      if due("checkpoint_every") or evaluating or stopping:
        window.check_finite()
        checkpoints.save(mapping.unreplicate(state))
      if evaluating:
        with window.clock_stopped(), stop.cutting_short(step):
          scalars, score = evaluate(_variables(mapping, state))
        logs.write(step, scalars)
        checkpoints.score(step, score)
      if stopping:
        checkpoints.wait()
        raise stop.error(step)
  return mapping.unreplicate(state)


def _due(config: ConfigDict, step: int, key: str) -> bool:
  return step == config.steps or bool(config[key] and step % config[key] == 0)


def _variables(mapping: DeviceMapping, state: TrainState) -> Any:
  return sampling_variables(mapping.unreplicate(state))


def _begin(
  game: Game,
  init: Callable[[jax.Array, Batch], TrainState],
  rng: jax.Array,
  examples: Batch,
  weights: dict[str, Any] | None,
  mapping: DeviceMapping,
) -> TrainState:
  """Returns the state before the first step, the same in all processes.

  `weights` may be None: a run that was killed while it saved for the first
  time looked as if it would be restored.
  """
  weights = game.pretrained() if weights is None else weights
  return broadcast(
    mapping.process, with_pretrained(init(rng, examples), weights)
  )


def _restart(
  checkpoints: Checkpoints,
  template: TrainState,
  begin: Callable[[], TrainState],
) -> TrainState:
  return checkpoints.restore(template) or begin()
