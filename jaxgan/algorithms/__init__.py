"""Algorithms: `create(config)` in each module returns a `Game`."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import data, names, xla_cpu
from jaxgan.contracts import check_game
from jaxgan.errors import GameError, InputError
from jaxgan.game import Batch, Game, ModelState, Params, TrainState


def create(config: ConfigDict) -> Game:
  """Returns the game of `jaxgan/algorithms/<config.algorithm>.py`.

  An algorithm `MODULE.NAME` is a function of the user's; see `names.own`.

  Raises:
    InputError: where there is no such algorithm, or the config cannot work.
    GameError: where its schedule and its players do not fit.
  """
  if create_own := names.own("algorithm", config.algorithm):
    return check_game(create_own(config))
  path = f"{__name__}.{config.algorithm}"
  known = config.algorithm.isidentifier() and find_spec(path)
  module = import_module(path) if known else None
  if not hasattr(module, "create"):
    modules = (
      import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__)
    )
    known = [m.__name__.split(".")[-1] for m in modules if hasattr(m, "create")]
    raise InputError(
      f"algorithm={config.algorithm!r}: choose one of {', '.join(known)}"
    )
  if hasattr(module, "default_config"):
    for key in module.default_config("outlines"):
      if key not in config:
        raise InputError(
          f"algorithm={config.algorithm!r} needs the key {key!r}, which this "
          "config has not: choose a config of that algorithm"
        )
  return check_game(module.create(config))


def initial_state(
  config: ConfigDict, game: Game
) -> tuple[Callable[[jax.Array, Batch], TrainState], TrainState]:
  """Returns a function that draws the first state, and the state's shapes.

  Args:
    config: of the run.
    game: its game.

  Returns:
    A compiled `(rng, batch) -> TrainState`, and its shapes and dtypes.

  Raises:
    InputError: where networks and shapes do not go together.
  """
  example = {
    key: jax.ShapeDtypeStruct((1, *shape), "float32")
    for key, shape in data.example_shapes(config.data).items()
  }
  init = jax.jit(
    partial(create_train_state, game),
    # It runs once, and would gain less than compiling it well costs.
    compiler_options={"xla_backend_optimization_level": 0}
    if xla_cpu.on_cpu()
    else None,
  )
  return init, jax.eval_shape(init, jax.random.key(0), example)


def create_train_state(game: Game, rng: jax.Array, batch: Batch) -> TrainState:
  """Returns the state before the first step.

  Args:
    game: the game.
    rng: a key.
    batch: the first examples, `[B, ...]`.
  """
  params, model_state = game.init(rng, batch)
  for player in game.optimizers:
    if player not in params or player not in model_state:
      raise GameError(
        f"init has to return (params, model_state), both with {player!r}"
      )

  def copies(tree: dict[str, Any]) -> dict[str, Any]:
    # The step donates its state, and no buffer can be donated twice.
    return {p: jax.tree.map(jnp.copy, tree[p]) for p in game.averaged}

  return TrainState(
    step=jnp.int32(0),
    halted=jnp.bool_(False),
    rollbacks=jnp.int32(0),
    params=params,
    model_state=model_state,
    opt_state={
      player: optimizer.init(params[player])
      for player, optimizer in game.optimizers.items()
    },
    ema_params=copies(params),
    ema_model_state=copies(model_state),
  )


def with_pretrained(
  state: TrainState, weights: Mapping[str, tuple[Params, ModelState]]
) -> TrainState:
  """Returns the first state with weights of `Game.pretrained`, by player."""
  trees = {"params": state.params, "model_state": state.model_state}
  for player, pair in weights.items():
    for key, tree in zip(trees, pair, strict=True):
      trees[key] = {**trees[key], player: tree}
  return state.replace(**trees)


def begin(
  init: Callable[[jax.Array, Batch], TrainState],
  rng: jax.Array,
  examples: Batch,
  weights: Callable[[], Mapping[str, tuple[Params, ModelState]]],
) -> TrainState:
  """Returns the first state: drawn, with the pretrained weights."""
  return with_pretrained(init(rng, examples), weights())
