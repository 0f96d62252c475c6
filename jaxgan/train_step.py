"""One training step of a game: the turns of its players, one after another.

A pure function, written for one device and mapped over all on `AXIS`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan import contracts, xla_cpu
from jaxgan.game import (
  FINITE_METRICS,
  Batch,
  Game,
  Metrics,
  Params,
  TrainState,
  Turn,
  minibatches,
  pmean,
)

StepResult = tuple[TrainState, Metrics]


def make_train_step(
  game: Game,
  rng: jax.Array,
  ema_decay: float,
  augment: Callable[[Batch, jax.Array], Batch] = lambda batch, rng: batch,
  skip: bool = False,
  platform: str | None = None,
) -> Callable[[TrainState, Batch], StepResult]:
  """Returns the function that takes one step, to be mapped over `AXIS`.

  Args:
    game: the game.
    rng: the key of the run; step t draws from `fold_in(rng, t)`, into which
      rollbacks are folded, too.
    ema_decay: decay of the averages in [0, 1), at first limited to
      (1 + t) / (10 + t), so that the initial params are soon forgotten.
    augment: `(batch, rng) -> batch`: converts stored images and augments them.
    skip: leave out an update that is not finite, where the run would halt.
    platform: that the step is compiled for; None for the one that runs.

  Returns:
    `train_step(state, batches)` with batches `[n, B, ...]`: update i of every
    turn sees minibatch i. Metrics, named `"turn/metric"`, are means over the
    updates of a turn and all devices.
  """

  def train_step(state: TrainState, batches: Batch) -> StepResult:
    with xla_cpu.target(platform):
      step_rng = jax.random.fold_in(rng, state.step)
      other_rng = jax.random.fold_in(step_rng, state.rollbacks)
      step_rng = jnp.where(state.rollbacks > 0, other_rng, step_rng)
      prepare_rng, augment_rng, turns_rng = jax.random.split(step_rng, 3)
      augment_rngs = jax.random.split(augment_rng, minibatches(game))
      batches = jax.vmap(augment)(batches, augment_rngs)
      batches = game.prepare_step(state, batches, prepare_rng)
      contracts.check_prepared(game, batches)
      metrics, first = {}, 0
      for turn in game.schedule:
        numbers = first + jnp.arange(turn.updates)
        rngs = jax.vmap(jax.random.fold_in, (None, 0))(turns_rng, numbers)
        inputs = jax.tree.map(lambda x, n=turn.updates: x[:n], batches), rngs
        state, values = _take_turn(game, turn, skip, state, inputs)
        prefix = turn.name or turn.player
        metrics |= {f"{prefix}/{key}": x for key, x in values.items()}
        first += turn.updates
      decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
      new = state.replace(
        step=state.step + 1,
        ema_params=_average(decay, state, "params"),
        ema_model_state=_average(decay, state, "model_state"),
      )
      return xla_cpu.select(state.halted, state, new), metrics

  return train_step


def _take_turn(
  game: Game, turn: Turn, skip: bool, state: TrainState, inputs: Any
) -> StepResult:
  """Returns the state after a turn, and means of metrics over its updates.

  The inputs are minibatches and keys, one of each for every update.
  """

  def take(state: TrainState) -> StepResult:
    update = partial(_update, game, turn, skip)
    state, history = lax.scan(update, state, inputs, unroll=xla_cpu.unroll())
    return state, {key: x.mean(0) for key, x in history.items()}

  if turn.every == 1:
    return take(state)
  zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(take, state)[1])
  taken = state.step % turn.every == 0
  state, metrics = lax.cond(taken, take, lambda state: (state, zeros), state)
  return state, metrics | {"taken": taken}  # without it, not to be logged


def _update(
  game: Game, turn: Turn, skip: bool, state: TrainState, inputs: Any
) -> StepResult:
  """Returns the state after one update of a player, and its metrics."""
  player, (batch, rng) = turn.player, inputs

  def loss_fn(params: Params) -> tuple[jax.Array, Any]:
    result = turn.loss({**state.params, player: params}, state, batch, rng)
    return contracts.check_loss(turn, result, state)

  (loss, (model_state, metrics)), grads = jax.value_and_grad(
    loss_fn, has_aux=True
  )(state.params[player])
  grads, metrics = pmean((grads, {"loss": loss, **metrics}))
  metrics["grad_norm"] = optax.tree.norm(xla_cpu.barrier(grads))
  old = state.params[player]
  updates, opt_state = xla_cpu.optimizer_update(
    game.optimizers[player], grads, state.opt_state[player], old
  )
  metrics["update_norm"] = optax.tree.norm(updates)
  new = state.replace(
    params={**state.params, player: optax.apply_updates(old, updates)},
    model_state={**state.model_state, player: model_state},
    opt_state={**state.opt_state, player: opt_state},
  )
  finite = jnp.isfinite(jnp.stack([metrics[name] for name in FINITE_METRICS]))
  if skip:
    return xla_cpu.select(~finite.all(), state, new), metrics
  halted = state.halted | ~finite.all()
  new = xla_cpu.select(halted, state, new)
  return new.replace(halted=halted), metrics


def _average(decay: jax.Array, state: TrainState, part: str) -> dict[str, Any]:
  """Returns the averages of a part, moved towards the current values."""
  averages, values = getattr(state, f"ema_{part}"), getattr(state, part)
  values = {player: values[player] for player in averages}
  return jax.tree.map(
    lambda old, new: new + decay * (old - new), averages, values
  )
