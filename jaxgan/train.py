"""The training loop, for every algorithm."""

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from clu import parameter_overview
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from jaxgan import algorithms, data
from jaxgan import config as config_lib
from jaxgan.data.augment import make_augment
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import unaugmented
from jaxgan.engine import checkpoint
from jaxgan.engine import devices as devices_lib
from jaxgan.engine import workdir as workdir_lib
from jaxgan.engine.devices import Parallel
from jaxgan.engine.input_pipeline import feed
from jaxgan.engine.logs import import_wandb, open_logs, rows, write_config
from jaxgan.engine.preemption import preemption
from jaxgan.engine.processes import (
  Process,
  broadcast,
  broadcast_from_first,
  run_on_first,
  same_on_all,
)
from jaxgan.errors import InputError, NonFiniteError, Preempted, first_line
from jaxgan.game import (
  FINITE_METRICS,
  Batch,
  Game,
  TrainState,
  minibatches,
  sampling_variables,
  with_pretrained,
)
from jaxgan.train_step import make_train_step
from jaxgan.viewing import pictures


class _Run(NamedTuple):
  """What stays the same from the first round to the last."""

  config: ConfigDict
  workdir: pathlib.Path
  manager: ocp.CheckpointManager | None
  mapping: Parallel
  step: Callable[[TrainState, Any], Any]
  inputs: Callable[[int], Iterator[Any]]
  picture: Callable[[Any], Image.Image | None]
  evaluate: Callable[..., Mapping[str, Any]] | None
  told: Callable[[], bool]


def train(
  config: ConfigDict,
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
) -> TrainState:
  """Trains, from the newest checkpoint in `workdir` if there is one.

  Of several processes, all call it, and the first reads and writes `workdir`:
  the others need not see it.

  Args:
    config: see `jaxgan.config.shared_config`.
    workdir: where the run is recorded; made if missing.
    devices: to train on; by default all of all processes.

  Returns:
    The state after the last round, on one device or the host.

  Raises:
    InputError: where the config or the data cannot work, or the workdir
      belongs to another config.
    NonFiniteError: where a loss or gradient is not finite, and the config
      does not say how to go on, or that did not help.
    SaveError: where a checkpoint cannot be written.
    Preempted: where the process was told to end, by SIGTERM.
  """
  devices = devices or jax.devices()
  config_lib.check(config, len(devices))
  workdir = pathlib.Path(workdir)
  try:
    algorithm = algorithms.create(config)
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
  init_rng, step_rng, sample_rng = jax.random.split(
    jax.random.key(config.seed), 3
  )

  # Before data is read or anything is written.
  import_wandb(config)
  init, template = algorithms.initial_state(config, algorithm)
  if config.eval_every:
    from jaxgan import evaluation  # which trains classifiers by this function

    evaluation.check(config)
  # Not where a checkpoint will have it.
  begun = run_on_first(
    process, lambda: any((workdir / "checkpoints").glob("[0-9]*"))
  )
  found = None if begun else algorithm.pretrained()
  source = data.create(config.data)
  with contextlib.ExitStack() as stack:
    stack.enter_context(workdir_lib.locked(workdir, process))
    manager = None
    if process.index == 0:
      manager = stack.enter_context(checkpoint.open_manager(workdir))
    state = _newest(manager, template, config, process)
    owed = state is not None and _owed(workdir, state, config, process)
    if state and state.step >= config.steps and not owed:
      print(
        f"{workdir} is complete at round {state.step}; to train longer, give "
        f"--config.steps a value above {state.step}"
      )
      return state
    step, inputs = feed(
      source,
      config,
      minibatches(algorithm),
      make_train_step(
        algorithm,
        step_rng,
        config.ema_decay,
        make_augment(config.data),
        skip=config.nonfinite == "skip",
      ),
      mapping,
    )
    if process.index == 0:
      write_config(workdir, config)
    shown = source[
      shuffled_indices(
        config.seed,
        np.arange(min(_shown(config), len(source))),
        len(source),
      )
    ]
    shown = unaugmented(shown, config.data)

    def begin() -> TrainState:
      # There may have been the beginning of a first checkpoint, cut short.
      own = algorithm.pretrained() if found is None else found
      return broadcast(process, with_pretrained(init(init_rng, shown), own))

    if state is None:
      state = begin()
      print(
        parameter_overview.get_parameter_overview(
          state.params, include_stats=False
        )
      )
    else:
      print(f"resuming {workdir} at round {state.step}")

    evaluate = None
    if config.eval_every:
      evaluate = evaluation.in_training(config, algorithm)
    picture = _painter(config, algorithm, shown, sample_rng)
    told = stack.enter_context(preemption(process))
    run = _Run(
      config, workdir, manager, mapping, step, inputs, picture, evaluate, told
    )
    origin, tries = None, 0
    while True:
      try:
        state = _play(run, state, owed)
        break
      except NonFiniteError as e:
        if config.nonfinite != "rollback":
          raise NonFiniteError(
            f"{e}; the run stopped before that update, checkpoints are not "
            "affected; lower the learning rate, change the seed, or see "
            "config.nonfinite"
          ) from e
        owed = False
        state = _newest(manager, template, config, process) or begin()
        tries = tries + 1 if origin == state.step else 1
        origin = int(state.step)
        if tries > config.nonfinite_limit:
          raise NonFiniteError(
            f"{e}; {config.nonfinite_limit} rollbacks did not help"
          ) from e
        print(f"{e}; rollback {tries} to round {origin}, with other noise")
        state = state.replace(rollbacks=np.int32(state.rollbacks + tries))
  if process.index == 0:
    _summarize(workdir)
  return state


def _play(run: _Run, state: TrainState, owed: bool) -> TrainState:
  """Plays the rounds after the state's up to the last one.

  Args:
    run: what it belongs to.
    state: where it begins.
    owed: evaluate that first.
  """
  config, mapping, first = run.config, run.mapping, run.manager is not None
  start, rollbacks = int(state.step), int(state.rollbacks)
  state = mapping.replicate(state)
  window, finite, leaving, clock = [], start, False, time.time()
  with (
    open_logs(run.workdir, config, start)
    if first
    else contextlib.nullcontext(lambda *_, **__: None) as write,
    tqdm(
      total=config.steps,
      initial=start,
      unit="round",
      smoothing=0.05,
      mininterval=0.5 if sys.stderr.isatty() else 20,
      disable=not first,
    ) as bar,
  ):

    def measure(variables: Any) -> float | None:
      """Writes the metrics, and returns what decides: lower is better."""
      nonlocal clock
      began = time.time()
      scalars, score = run.evaluate(variables)
      clock += time.time() - began
      write(step, scalars)
      return score

    def told_to_end() -> Preempted:
      return Preempted(
        f"told to end: {run.workdir} is saved at round {step} of "
        f"{config.steps}; the same command goes on from there"
      )

    step = start
    if owed:
      try:
        measure(sampling_variables(mapping.unreplicate(state)))
      except Preempted as e:
        raise told_to_end() from e
    for step, batch in enumerate(run.inputs(start), start + 1):
      state, metrics = run.step(state, batch)
      window.append(metrics)
      if len(window) > 2:
        # The device works on the two rounds after this one; without the
        # wait, the host would run ahead without bound.
        jax.block_until_ready(window[-3])
      bar.update()

      leaving = run.told()
      log, show, save, measured = (
        _due(every, step, config)
        for every in (
          config.log_every,
          config.sample_every,
          config.checkpoint_every,
          config.eval_every,
        )
      )
      unfinished = leaving and step < config.steps
      save = save or leaving
      measured = measured and run.evaluate and not unfinished
      if log or save or measured:
        window = _fetch(window)
        finite = _check(window, step - len(window) + 1, finite, config)
      if log:
        seconds, clock = time.time() - clock, time.time()
        scalars = _means(window)
        speed = {"rounds_per_second": len(window) / seconds}
        counts = {"rollbacks": rollbacks} if rollbacks else {}
        write(step, scalars | speed | counts)
        bar.set_postfix(
          {
            key: f"{value:.3f}"
            for key, value in scalars.items()
            if key.endswith("/loss")
          }
        )
        window = []
        if first:
          checkpoint.check(run.manager)
      if show or measured:
        variables = sampling_variables(mapping.unreplicate(state))
      if show:
        write(step, picture=run.picture(variables))
      score = None
      if measured:
        try:
          score = measure(variables)
        except Preempted:  # owed: made when the run goes on, without a score
          leaving = unfinished = True
      if first and (save or measured):
        checkpoint.save(run.manager, mapping.unreplicate(state), config, score)
      if unfinished:
        if first:
          checkpoint.wait(run.manager)
        raise told_to_end()
  return mapping.unreplicate(state)


def _due(every: int, step: int, config: ConfigDict) -> bool:
  return step == config.steps or bool(every and step % every == 0)


def _owed(
  workdir: pathlib.Path,
  state: TrainState,
  config: ConfigDict,
  process: Process,
) -> bool:
  """Whether a checkpoint was due for an evaluation that was not finished."""
  step = int(state.step)
  return (
    bool(config.eval_every)
    and _due(config.eval_every, step, config)
    and not run_on_first(
      process,
      lambda: any(
        row["step"] == step and any(key.startswith("eval/") for key in row)
        for row in rows(workdir)
      ),
    )
  )


def _newest(
  manager: ocp.CheckpointManager | None,
  template: TrainState,
  config: ConfigDict,
  process: Process,
) -> TrainState | None:
  """The newest whole checkpoint, which the first process reads, in all."""

  def read() -> TrainState | None:
    checkpoint.wait(manager)
    return checkpoint.restore(manager, template, config)

  return broadcast_from_first(process, read, template)


def _painter(
  config: ConfigDict, algorithm: Game, shown: Batch, rng: jax.Array
) -> Callable[[Any], Image.Image | None]:
  """Returns `picture(variables)`, of samples that belong to real examples."""
  sample, mixture = jax.jit(algorithm.sample), data.mixture(config.data)
  if algorithm.inputs:
    keys = jax.random.split(rng, len(next(iter(shown.values()))))
    shown = {**shown, **algorithm.inputs(keys)}

  def picture(variables: Any) -> Image.Image | None:
    samples = sample(*variables, shown)
    real = {"real": shown["image"]} if "image" in shown else {}
    return pictures.picture({**real, **samples}, mixture) if samples else None

  return picture


def _shown(config: ConfigDict) -> int:
  """How many examples a picture shows.

  Images are a grid with sides of at most 1024 pixels, or half of that where
  several grids are to be compared.
  """
  if data.mixture(config.data):
    return 2048
  most, side = (16, 512) if data.is_translation(config.data) else (64, 1024)
  largest = max(map(max, data.example_shapes(config.data).values()))
  return min(most, max(4, (side // largest) ** 2))


def _fetch(window: list[Any]) -> list[dict[str, np.generic]]:
  """Brings the metrics of rounds to the host, as any one device has them."""
  own = jax.tree.map(
    lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x, window
  )
  return [
    {key: value.flat[0] for key, value in row.items()}
    for row in jax.device_get(own)
  ]


def _check(
  window: list[dict[str, np.generic]],
  first: int,
  finite: int,
  config: ConfigDict,
) -> int:
  """Refuses metrics of rounds `first`, ... that are not finite.

  Args:
    window: see `_fetch`.
    first: the round that it begins with.
    finite: the last round before them that was, or is taken to have been.
    config: of the run; with `nonfinite="skip"`, `nonfinite_limit` rounds in a
      row are let pass.

  Returns:
    The last round that was finite.
  """
  for step, row in enumerate(window, first):
    poisoned = _poisoned(row)
    if poisoned is None:
      finite = max(finite, step)
    elif config.nonfinite != "skip":
      raise NonFiniteError(f"round {step}: {poisoned}")
    elif step - finite > config.nonfinite_limit:
      raise NonFiniteError(
        f"round {step}: {poisoned}, and so were the "
        f"{config.nonfinite_limit} rounds before it, which were skipped"
      )
  return finite


def _poisoned(row: Mapping[str, np.generic]) -> str | None:
  """What kept an update of a round from being made, if anything did."""
  for key, value in row.items():
    player, name = key.split("/", 1)
    if name in FINITE_METRICS and not np.isfinite(value):
      return f"{name} of the {player} is {value}"
  return None


def _means(window: list[dict[str, np.generic]]) -> dict[str, float]:
  """Means over the rounds that were finite, and how many were not."""
  means = {}
  for key in window[0]:
    values = np.array([row[key] for row in window])
    if (finite := np.isfinite(values)).any():
      means[key] = float(values[finite].mean())
  skipped = sum(_poisoned(row) is not None for row in window)
  return means | ({"skipped": skipped} if skipped else {})


def _summarize(workdir: pathlib.Path) -> None:
  pictures.curves({workdir.name: rows(workdir)}, workdir / "curves.png")
  if samples := sorted((workdir / "samples").glob("*.png")):
    every = -(-len(samples) // 50)  # a GIF of at most 50 frames
    frames = map(Image.open, samples[::-every][::-1])
    pictures.animate(frames, workdir / "samples.gif")
