"""Checks that a game keeps its contract, at no cost once it is compiled."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.errors import GameError
from jaxgan.game import Batch, Game, TrainState, Turn, minibatches


def check_game(game: Game) -> Game:
  """Returns the game; refuses a schedule that does not fit the players.

  Raises:
    GameError: naming the player and the contract.
  """
  if not isinstance(game, Game):
    raise GameError(f"{game!r} is no Game")
  players = {turn.player for turn in game.schedule}
  names = [turn.name or turn.player for turn in game.schedule]
  if twice := {name for name in names if names.count(name) > 1}:
    raise GameError(f"turns share the name {min(twice)!r}: give each a `name`")
  for turn in game.schedule:
    if turn.updates < 1 or turn.every < 1:
      raise GameError(
        f"the turn of {turn.player!r}: updates and every are >= 1"
      )
  for kind, others in (
    ("an optimizer", set(game.optimizers) ^ players),
    ("an average", set(game.averaged) - players),
  ):
    if others:
      raise GameError(
        f"{min(others)!r} has only one of a turn and {kind}: the turns are of "
        f"{sorted(players)}, the optimizers of {sorted(game.optimizers)}, and "
        f"the averages of {sorted(game.averaged)}"
      )
  return game


def check_loss(turn: Turn, result: Any, state: TrainState) -> Any:
  """Returns what a loss returned; raises a `GameError` where it is amiss."""
  match result:
    case (loss, (model_state, Mapping())) if jnp.shape(loss) == ():
      pass
    case _:
      raise GameError(
        f"the loss of {turn.player!r} has to return (scalar, (model_state, "
        "{name: metric}))"
      )
  same = jax.tree.structure(state.model_state[turn.player])
  if jax.tree.structure(model_state) != same:
    raise GameError(
      f"the loss of {turn.player!r} has to return the model state of this "
      f"player alone, {same}, and not {jax.tree.structure(model_state)}"
    )
  return result


def check_prepared(game: Game, batches: Batch) -> Batch:
  """Returns minibatches; raises a `GameError` where the first axis is amiss."""
  count = minibatches(game)
  for path, x in jax.tree_util.tree_leaves_with_path(batches):
    if jnp.shape(x)[:1] != (count,):
      raise GameError(
        f"prepare_step: {jax.tree_util.keystr(path)} has shape {jnp.shape(x)}; "
        f"its first axis is that of the {count} minibatches of a step"
      )
  return batches
