"""Trains a game: builds the parts, restores the state, loops and saves."""

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan import config as config_lib
from jaxgan.data.augment import make_augment
from jaxgan.engine import checkpoint, guard, input_pipeline, logs, processes
from jaxgan.engine import devices as devices_lib
from jaxgan.engine.embeddings import embed_once
from jaxgan.engine.preemption import Stop
from jaxgan.engine.window import MetricsWindow
from jaxgan.engine.workdir import locked
from jaxgan.game import Game, TrainState, minibatches, sampling_variables
from jaxgan.train_step import make_train_step
from jaxgan.viewing import preview


def train(
  config: ConfigDict,
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
  *,
  evaluator: Any = None,
  pretrained: Callable[[Any], Any] | None = None,
  verbose: bool = False,
) -> TrainState:
  """Trains, from the newest checkpoint in `workdir` if there is one.

  Args:
    config: see `jaxgan.config.shared_config`.
    workdir: folder of the run; of several processes the first alone uses it.
    devices: to train on; by default all of all processes.
    evaluator: `check(config)` refuses a run that it cannot evaluate;
      `in_training(config, game)` returns `evaluate(variables) -> (scalars,
      score)`. The checkpoint with the lowest score is kept; None is no score.
    pretrained: returns the variables for a value of `Game.pretrained`.
    verbose: prints the parameters, or the step from which the run goes on.

  Returns:
    The state after the last step, on one device or the host.

  Raises:
    InputError: where the config, the data or the workdir cannot be used.
    NonFiniteError: where a loss or gradient is not finite.
    SaveError: where a checkpoint cannot be written.
    Preempted: where SIGTERM or Ctrl-C stopped the run, which is saved.
  """
  devices = devices or jax.devices()
  workdir = pathlib.Path(workdir)
  config_lib.check(config, len(devices))
  game = algorithms.create(config)
  mapping = devices_lib.create(config.parallel, devices)
  process = mapping.process
  processes.check_same(process, config.to_json())
  evaluator = evaluator if config.eval_every else None
  init_rng, *rngs = jax.random.split(jax.random.key(config.seed), 3)
  # Refusals come before data is read or anything is written.
  logs.import_wandb(config)
  init, template = algorithms.initial_state(config, game)
  if evaluator:
    evaluator.check(config)
  frozen = cache(lambda: {k: pretrained(x) for k, x in game.pretrained.items()})
  saved_steps = partial(checkpoint.saved_steps, workdir)
  if not processes.run_on_first(process, saved_steps):
    frozen()
  source = data.create(config.data)
  with (
    locked(workdir, process),
    checkpoint.open_checkpoints(workdir, config, process) as checkpoints,
    Stop(process, workdir, config.steps) as stop,
  ):
    state = checkpoints.restore(template)
    if state and state.step >= config.steps:
      logs.print_complete(workdir, config, int(state.step))
      return state
    examples = preview.examples(source, config)
    begin = partial(algorithms.begin, init, init_rng, examples, frozen)
    restart = partial(checkpoints.restore_or, begin, template)
    state = state or restart()
    source = embed_once(config, game, source, state)
    if verbose:
      logs.print_start(workdir, state)
    loop = partial(
      _loop,
      config,
      mapping,
      *_step_and_inputs(config, game, source, mapping, rngs[0], devices),
      partial(logs.open_logs, workdir, config, process),
      checkpoints,
      preview.create(config, game, examples, rngs[1]),
      evaluator and evaluator.in_training(config, game),
      stop,
    )
    state = guard.with_rollbacks(config, loop, state, restart)
    if process.index == 0:
      preview.summarize(workdir)
  return state


def _step_and_inputs(
  config: ConfigDict,
  game: Game,
  source: data.Source,
  mapping: devices_lib.DeviceMapping,
  rng: jax.Array,
  devices: Sequence[jax.Device],
) -> tuple[Callable[..., Any], Callable[[int], Iterator[Any]]]:
  """Returns the step on all devices, and `inputs(start)` for it."""
  pipeline = input_pipeline.create(source, config, minibatches(game), mapping)
  train_step = make_train_step(
    game,
    rng,
    config.ema_decay,
    make_augment(config.data),
    skip=config.nonfinite == "skip",
    platform=devices[0].platform,
  )
  return pipeline.map_step(train_step), pipeline.inputs


def _loop(
  config: ConfigDict,
  mapping: devices_lib.DeviceMapping,
  train_step: Callable[[TrainState, Any], Any],
  inputs: Callable[[int], Iterator[Any]],
  open_logs: Callable[[int], Any],
  checkpoints: checkpoint.Checkpoints,
  draw: Callable[[Any], Any],
  evaluate: Callable[[Any], tuple[dict[str, float], float | None]] | None,
  stop: Stop,
  state: TrainState,
) -> TrainState:
  """Trains from a state on the host to the last step; see `train`."""
  start, rollbacks = int(state.step), int(state.rollbacks)
  state = mapping.replicate(state)
  window = MetricsWindow(config, start)
  with open_logs(start) as log:
    for step, batch in enumerate(log.progress(inputs(start)), start + 1):
      state, metrics = train_step(state, batch)
      window.append(step, metrics)
      due = partial(_due, config, step)
      stopping = stop.requested() and step < config.steps
      evaluating = evaluate and due("eval_every") and not stopping

      if due("log_every"):
        window.check_finite()
        counts = {"rollbacks": rollbacks} if rollbacks else {}
        log.write(step, window.means() | counts)
        checkpoints.check()
      if due("sample_every"):
        log.write_picture(step, draw(_variables(mapping, state)))
      if due("checkpoint_every") or evaluating or stopping:
        window.check_finite()
        checkpoints.save(mapping.unreplicate(state))
      if evaluating:
        with window.clock_stopped(), stop.cutting_short(step):
          scalars, score = evaluate(_variables(mapping, state))
        log.write(step, scalars)
        checkpoints.score(step, score)
      if stopping:
        checkpoints.wait()
        raise stop.error(step)
  return mapping.unreplicate(state)


def _due(config: ConfigDict, step: int, key: str) -> bool:
  return step == config.steps or bool(config[key] and step % config[key] == 0)


def _variables(mapping: devices_lib.DeviceMapping, state: TrainState) -> Any:
  return sampling_variables(mapping.unreplicate(state))
