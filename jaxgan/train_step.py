"""The core: a GAN is a game of players, a training step is one round of it.

An `Game` says what each player minimises, with which optimizer, and in
which order the players move. `make_train_step` turns it into a pure function
`(state, batches) -> (state, metrics)`. Everything random is a function of
(seed, step), and everything that changes is in one `TrainState`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.game import (
  FINITE_METRICS,
  Batch,
  Game,
  Metrics,
  ModelState,
  Params,
  TrainState,
  minibatches,
  pmean,
)


def make_train_step(
  algorithm: Game,
  rng: jax.Array,
  ema_decay: float,
  prepare: Callable[[Batch, jax.Array], Batch] = lambda batch, rng: batch,
  skip: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
  """Returns the function that plays one round, to be mapped over `AXIS`.

  Args:
    algorithm: the game.
    rng: the key of the run; round t draws from `fold_in(rng, t)`, into which
      rollbacks are folded, too, if there were any.
    ema_decay: decay of the averages in [0, 1); in early rounds it is limited
      to (1 + t) / (10 + t), so that the initial params are soon forgotten.
    prepare: `(batch, rng) -> batch`, on the device: conversion of stored
      images to floats and augmentation.
    skip: leave out an update that is not finite, and go on, where the run
      would halt.

  Returns:
    `train_step(state, batches)` with batches `[n, B, ...]`: update i of every
    turn sees minibatch i. The metrics of a player, `"player/name"`, are means
    over the updates of its turn and over all devices.
  """

  def update(
    state: TrainState, player: str, batch: Batch, rng: jax.Array
  ) -> tuple[TrainState, Metrics]:
    def loss_fn(own: Params) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
      params = {**state.params, player: own}
      return algorithm.losses[player](params, state, batch, rng)

    (loss, (model_state, metrics)), grads = jax.value_and_grad(
      loss_fn, has_aux=True
    )(state.params[player])
    grads, metrics = pmean((grads, {"loss": loss, **metrics}))
    metrics["grad_norm"] = optax.tree.norm(apart(grads))
    # Twice, so that XLA:CPU makes the new optimizer state where it is chosen,
    # and not also for the update. Large networks spend much of a round on such
    # passes over all weights. Elsewhere the compiler sees one computation.
    given = grads, state.opt_state[player], state.params[player]
    updates = apart(algorithm.optimizers[player].update(*apart(given))[0])
    _, opt_state = algorithm.optimizers[player].update(*given)
    metrics["update_norm"] = optax.tree.norm(updates)
    params = optax.apply_updates(state.params[player], updates)
    new = state.replace(
      params={**state.params, player: params},
      model_state={**state.model_state, player: model_state},
      opt_state={**state.opt_state, player: opt_state},
    )
    finite = jnp.isfinite(jnp.stack([metrics[name] for name in FINITE_METRICS]))
    if skip:
      return unless(~finite.all(), new, state), metrics
    halted = state.halted | ~finite.all()
    return unless(halted, new, state).replace(halted=halted), metrics

  def train_step(
    state: TrainState, batches: Batch
  ) -> tuple[TrainState, Metrics]:
    round_rng = jax.random.fold_in(rng, state.step)
    other_rng = jax.random.fold_in(round_rng, state.rollbacks)
    round_rng = jnp.where(state.rollbacks > 0, other_rng, round_rng)
    before_rng, prepare_rng, rng_of_turns = jax.random.split(round_rng, 3)
    prepare_rngs = jax.random.split(prepare_rng, minibatches(algorithm))
    batches = jax.vmap(prepare)(batches, prepare_rngs)
    batches = algorithm.before(state, batches, before_rng)
    metrics, played = {}, 0
    for player, updates in algorithm.schedule:
      rngs = jax.vmap(jax.random.fold_in, (None, 0))(
        rng_of_turns, played + jnp.arange(updates)
      )
      turn = jax.tree.map(lambda x, n=updates: x[:n], batches)

      def body(state, inputs, player=player):
        return update(state, player, *inputs)

      state, history = lax.scan(
        body,
        state,
        (turn, rngs),
        # XLA:CPU gives a kernel gradient its fast form only outside loops;
        # within, it takes up to 50 times as long.
        unroll=0 if jax.default_backend() == "cpu" else 1,
      )
      played += updates
      for name, values in history.items():
        metrics[f"{player}/{name}"] = values.mean(0)

    decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))

    def average(old: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
      return jax.tree.map(
        lambda old, new: new + decay * (old - new),
        old,
        {player: current[player] for player in old},
      )

    new = state.replace(
      step=state.step + 1,
      ema_params=average(state.ema_params, state.params),
      ema_model_state=average(state.ema_model_state, state.model_state),
    )
    return unless(state.halted, new, state), metrics

  def apart(tree: Any) -> Any:
    # What is computed from the result is not shared with other computations.
    on_cpu = jax.default_backend() == "cpu"
    return lax.optimization_barrier(tree) if on_cpu else tree

  def unless(kept: jax.Array, new: TrainState, old: TrainState) -> TrainState:
    def choose(old: jax.Array, new: jax.Array) -> jax.Array:
      # What is the same stays so for the compiler, too.
      return old if old is new else jnp.where(kept, old, new)

    return jax.tree.map(choose, old, new)

  return train_step
