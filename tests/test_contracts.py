"""Mistakes of a game are told in one line, with the player and the contract."""

import jax.numpy as jnp
import optax
import pytest
from helpers.games import play

from jaxgan.contracts import check_game
from jaxgan.errors import GameError
from jaxgan.game import Game, Turn


class Guess(Game):
  """One player, `guesser`, who moves a number."""

  averaged = ()
  schedule = ()

  def __init__(self, *turns, players=("guesser",), averaged=()):
    super().__init__(None, {player: optax.sgd(0.1) for player in players})
    object.__setattr__(self, "schedule", turns)
    object.__setattr__(self, "averaged", averaged)

  def init(self, rng, batch):
    return {"guesser": jnp.zeros(())}, {"guesser": {"seen": jnp.zeros(())}}


def good(params, state, batch, rng):
  model_state = state.model_state["guesser"]
  return jnp.square(params["guesser"] - 1), (model_state, {})


def batches(t):
  return {"image": jnp.zeros((1, 8))}


def test_a_game_that_keeps_its_contract():
  game = check_game(Guess(Turn("guesser", good)))
  state, metrics = play(game, batches, rounds=2)
  assert metrics["guesser/loss"] == pytest.approx(0.8**2)
  assert state.params["guesser"] == pytest.approx(1 - 0.8**2)


@pytest.mark.parametrize(
  ("game", "message"),
  [
    (Guess(Turn("gueser", good)), "'gueser' .* a turn and an optimizer"),
    (Guess(Turn("guesser", good), players=("guesser", "x")), "'x' has only"),
    (Guess(Turn("guesser", good), averaged=("y",)), "'y' .*an average"),
    (Guess(*[Turn("guesser", good)] * 2), "share the name 'guesser'"),
    (Guess(Turn("guesser", good, updates=0)), "'guesser': updates and every"),
    (Guess(Turn("guesser", good, every=0)), "'guesser': updates and every"),
  ],
)
def test_players_and_turns_that_do_not_fit(game, message):
  with pytest.raises(GameError, match=message) as e:
    check_game(game)
  assert "\n" not in str(e.value)


STATE = {"seen": jnp.zeros(())}
CONTRACT = r"loss of 'guesser' has to return \(scalar, \(model_state, "


@pytest.mark.parametrize(
  ("result", "message"),
  [
    (jnp.zeros(()), CONTRACT),
    ((jnp.zeros(()), STATE), CONTRACT),  # no metrics
    ((jnp.zeros(()), (STATE, jnp.zeros(()))), CONTRACT),
    ((jnp.zeros(3), (STATE, {})), CONTRACT),
    ((jnp.zeros(()), ({"guesser": STATE}, {})), "of this player alone"),
    ((jnp.zeros(()), ({}, {})), "of this player alone"),
    (None, CONTRACT),
  ],
)
def test_what_a_loss_returns(result, message):
  game = Guess(Turn("guesser", lambda *_: result))
  with pytest.raises(GameError, match=message):
    play(check_game(game), batches)


def test_what_a_step_prepares_has_the_axis_of_minibatches():
  class Prepared(Guess):
    def prepare_step(self, state, batches, rng):
      return {**batches, "fake": batches["image"][0, :0]}

  with pytest.raises(GameError, match=r"\['fake'\] has shape \(0,\).*1 mini"):
    play(Prepared(Turn("guesser", good)), batches)


def test_init_names_every_player():
  game = Guess(Turn("guesser", good))
  object.__setattr__(game, "init", lambda rng, batch: ({}, {}))
  with pytest.raises(GameError, match="init has to return .* 'guesser'"):
    play(game, batches)


def test_losses_are_traced_once():
  traced = []

  def counted(*args):
    traced.append(1)
    return good(*args)

  play(check_game(Guess(Turn("guesser", counted))), batches, rounds=3)
  assert len(traced) == 1
