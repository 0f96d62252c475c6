"""The training loop, for every algorithm."""

import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from jaxgan import checkpoint, data, parallel, pictures
from jaxgan import config as config_lib
from jaxgan.config import InputError, first_line
from jaxgan.data.batches import feed, make_prepare, shuffled, unaugmented
from jaxgan.logging import import_wandb, open_logs, rows, write_config
from jaxgan.train_step import (
  GUARDED,
  Algorithm,
  Batch,
  TrainState,
  create_train_state,
  make_train_step,
  minibatches,
  sampling_variables,
)


class NonFiniteError(ArithmeticError):
  """A loss or gradient was not finite, and the run stopped before using it."""


def create_algorithm(config: ConfigDict) -> Algorithm:
  """Returns what `jaxgan.algorithms.<config.algorithm>.create` makes.

  Raises:
    InputError: where there is no such algorithm.
  """
  name = f"jaxgan.algorithms.{config.algorithm}"
  if not config.algorithm.isidentifier() or not find_spec(name):
    raise InputError(f"no algorithm {config.algorithm!r}")
  module = import_module(name)
  return module.create(config)


def initial_state(
  config: ConfigDict, algorithm: Algorithm
) -> tuple[Callable[[jax.Array, Batch], TrainState], TrainState]:
  """Returns what draws the first state from a key and a batch, and its shapes.

  Raises:
    InputError: where networks and shapes do not go together.
  """
  example = {
    key: jax.ShapeDtypeStruct((1, *shape), "float32")
    for key, shape in data.example_shapes(config.data).items()
  }
  create = jax.jit(
    partial(create_train_state, algorithm),
    # It runs once, and would gain less than compiling it well costs.
    compiler_options={"xla_backend_optimization_level": 0}
    if jax.default_backend() == "cpu"
    else None,
  )
  try:
    template = jax.eval_shape(create, jax.random.key(0), example)
  except InputError:
    raise
  except (TypeError, ValueError, ZeroDivisionError) as e:
    raise InputError(f"the networks cannot be built: {first_line(e)}") from e
  if any(0 in leaf.shape for leaf in jax.tree.leaves(template.params)):
    raise InputError("a network has a layer without units: give it some")
  return create, template


def with_pretrained(state: TrainState, found: Mapping[str, Any]) -> TrainState:
  """The first state, with what `Algorithm.pretrained` found."""
  trees = {"params": state.params, "model_state": state.model_state}
  for name, own in found.items():
    for key, tree in zip(trees, own, strict=True):
      trees[key] = {**trees[key], name: tree}
  return state.replace(**trees)


def train(config: ConfigDict, workdir: str | os.PathLike[str]) -> TrainState:
  """Trains, from the newest checkpoint in `workdir` if there is one.

  Args:
    config: see `jaxgan.config.base_config`.
    workdir: where the run is recorded; made if missing.

  Returns:
    The state after the last round, on one device or the host.

  Raises:
    InputError: where the config or the data cannot work, or the workdir
      belongs to another config.
    NonFiniteError: where a loss or gradient is not finite.
  """
  config_lib.check(config)
  workdir = pathlib.Path(workdir)
  try:
    algorithm = create_algorithm(config)
  except (AttributeError, KeyError) as e:  # of a locked config
    raise InputError(
      f"algorithm={config.algorithm!r} needs keys that this config has not "
      f"({first_line(e)}): choose a config of that algorithm"
    ) from e
  mapping = parallel.create(config.parallel)
  init_rng, step_rng, sample_rng = jax.random.split(
    jax.random.key(config.seed), 3
  )

  # Before data is read or anything is written.
  import_wandb(config)
  create, template = initial_state(config, algorithm)
  if config.eval_every:
    from jaxgan import measure  # which trains classifiers by this function

    measure.check(config, config.inception)
  # Not where a checkpoint will have it.
  begun = any((workdir / "checkpoints").glob("[0-9]*"))
  found = None if begun else algorithm.pretrained()
  source = data.create(config.data)
  updates = minibatches(algorithm)
  _claim(workdir)
  with checkpoint.open_manager(workdir) as manager:
    stored = checkpoint.stored_config(manager)
    changed = stored and config_lib.differences(stored, config)
    if changed:
      raise InputError(
        f"{workdir} belongs to a run with another config: "
        f"{', '.join(changed)}; give another --workdir"
      )
    state = checkpoint.restore(manager, template)
    start = int(state.step) if state else 0
    if start >= config.steps:
      print(
        f"{workdir} is complete at round {start}; to train longer, give "
        f"--config.steps a value above {start}"
      )
      return state
    train_step, inputs = feed(
      source,
      config,
      updates,
      start,
      make_train_step(
        algorithm, step_rng, config.ema_decay, make_prepare(config.data)
      ),
      mapping,
    )
    write_config(workdir, config)
    mixture = data.mixture(config.data)
    shown = source[
      shuffled(
        config.seed,
        np.arange(min(_shown(config), len(source))),
        len(source),
      )
    ]
    shown = unaugmented(shown, config.data)
    if state is None:
      # That may have been the beginning of a first one, cut short.
      found = algorithm.pretrained() if found is None else found
      state = with_pretrained(create(init_rng, shown), found)
      print(
        parameter_overview.get_parameter_overview(
          state.params, include_stats=False
        )
      )
    else:
      print(f"resuming {workdir} at round {start}")

    evaluate = None
    if config.eval_every:
      evaluate, _ = measure.create(
        config, algorithm, config.eval_samples, inception=config.inception
      )
    sample = jax.jit(algorithm.sample)
    if algorithm.latents:
      count = len(next(iter(shown.values())))
      keys = jax.random.split(sample_rng, count)
      shown["latent"] = algorithm.latents(keys)
    state = mapping.replicate(state)
    window, clock = [], time.time()
    with (
      open_logs(workdir, config, start) as write,
      tqdm(
        total=config.steps,
        initial=start,
        unit="round",
        smoothing=0.05,
        mininterval=0.5 if sys.stderr.isatty() else 20,
      ) as bar,
    ):
      for step, batch in enumerate(inputs, start + 1):
        state, metrics = train_step(state, batch)
        window.append(metrics)
        if len(window) > 2:
          # The device works on the two rounds after this one; without the
          # wait, the host would run ahead without bound.
          jax.block_until_ready(window[-3])
        bar.update()

        log, show, save, measured = (
          step == config.steps or (every and step % every == 0)
          for every in (
            config.log_every,
            config.sample_every,
            config.checkpoint_every,
            config.eval_every,
          )
        )
        measured = measured and evaluate
        if log or save or measured:
          window = _fetch(window, step - len(window) + 1)
        if log:
          seconds, clock = time.time() - clock, time.time()
          scalars = {
            key: float(np.mean([row[key] for row in window]))
            for key in window[0]
          }
          speed = len(window) / seconds
          write(step, {**scalars, "rounds_per_second": speed})
          bar.set_postfix(
            {
              key: f"{value:.3f}"
              for key, value in scalars.items()
              if key.endswith("/loss")
            }
          )
          window = []
        if show or measured:
          variables = sampling_variables(mapping.unreplicate(state))
        if show and (samples := sample(*variables, shown)):
          real = {"real": shown["image"]} if "image" in shown else {}
          picture = pictures.picture({**real, **samples}, mixture)
          write(step, picture=picture)
        score = None
        if measured:
          began = time.time()
          metrics = evaluate(variables)
          clock += time.time() - began
          write(step, {f"eval/{k}": m.value for k, m in metrics.items()})
          first = next(iter(metrics.values()))
          if first.lower is not None:
            score = first.value if first.lower else -first.value
        if save or measured:
          checkpoint.save(manager, mapping.unreplicate(state), config, score)
  _summarize(workdir)
  return mapping.unreplicate(state)


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


def _claim(workdir: pathlib.Path) -> None:
  """Makes the workdir, or checks that it is that of a run."""
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    # The files of a run are cut back when it resumes; those of others are
    # not to be touched.
    if any(workdir.iterdir()) and not (workdir / "config.json").exists():
      raise InputError(
        f"{workdir} holds files, but no run: give another --workdir"
      )
    (workdir / "config.json").touch()
  except OSError as e:
    raise InputError(f"workdir {workdir} cannot be used: {e.strerror}") from e


def _fetch(window: list[Any], first: int) -> list[dict[str, float]]:
  """Brings the metrics of rounds `first`, ... to the host and checks them."""
  fetched = [
    {key: value.flat[0] for key, value in row.items()}
    for row in jax.device_get(window)
  ]
  for step, row in enumerate(fetched, first):
    for key, value in row.items():
      player, name = key.split("/", 1)
      if name in GUARDED and not np.isfinite(value):
        raise NonFiniteError(
          f"round {step}: {name} of the {player} is {value}; the run stopped "
          "before that update, checkpoints are not affected; lower the "
          "learning rate or change the seed"
        )
  return fetched


def _summarize(workdir: pathlib.Path) -> None:
  pictures.curves({workdir.name: rows(workdir)}, workdir / "curves.png")
  if samples := sorted((workdir / "samples").glob("*.png")):
    every = -(-len(samples) // 50)  # a GIF of at most 50 frames
    frames = map(Image.open, samples[::-every][::-1])
    pictures.animate(frames, workdir / "samples.gif")
