"""The core: a GAN is a game of players, a training step is one round of it.

An `Algorithm` says what each player minimises, with which optimizer, and in
which order the players move. `make_train_step` turns it into a pure function
`(state, batches) -> (state, metrics)`. Everything random is a function of
(seed, step), and everything that changes is in one `TrainState`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.engine.devices import pmean

# Metrics of every update; where one is not finite, it is not made.
GUARDED = ("loss", "grad_norm", "update_norm")

Params = Any
ModelState = Mapping[str, Any]
Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]


@flax.struct.dataclass
class TrainState:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: int32 scalar, rounds played.
    halted: bool scalar. True once a loss, gradient or update was not finite,
      unless such updates are skipped; from then on rounds change nothing, so
      that the host may look late.
    rollbacks: int32 scalar, how often the run went back to a checkpoint to
      play on with other noise.
    params: by player; frozen networks, which no turn updates, are here too.
    model_state: by player: batch statistics, spectral norm vectors, image
      pools; `{}` where there are none.
    opt_state: by player.
    ema_params: exponential moving averages of the params of the players in
      `Algorithm.ema`.
    ema_model_state: the same average of their model state, without which
      averaged params could not be sampled from.
  """

  step: jax.Array
  halted: jax.Array
  rollbacks: jax.Array
  params: dict[str, Params]
  model_state: dict[str, ModelState]
  opt_state: dict[str, optax.OptState]
  ema_params: dict[str, Params]
  ema_model_state: dict[str, ModelState]


# loss(params, state, batch, rng) -> (scalar, (new model_state, metrics)):
# `params` is state.params with the acting player's entry replaced by the
# variable of differentiation; the model_state returned is that player's own,
# equal on all devices. The loss is the mean of the scalars of all devices: for
# most games, each is the mean over its device's examples.
LossFn = Callable[
  [Mapping[str, Params], TrainState, Batch, jax.Array],
  tuple[jax.Array, tuple[ModelState, Metrics]],
]

# before(state, batches, rng) -> batches: called once at the start of a round,
# with all its minibatches `[n, B, ...]`; entries that it adds are passed on to
# the losses.
RoundFn = Callable[[TrainState, Batch, jax.Array], Batch]


class Algorithm(NamedTuple):
  """A differentiable game.

  Attributes:
    init: `(rng, batch) -> (params, model_state)`, both by player; the batch
      is one that initialisation may depend on.
    losses: by player, what it minimises.
    optimizers: by player.
    schedule: the turns of a round, `((player, updates), ...)`.
    sample: `(params, model_state, batch, train) -> {name: images}`, images
      `[B, H, W, C]` in [-1, 1], one for each example of the batch, which
      holds `latent` where there are latents; with `train`, batch norm uses
      the batch's own statistics, and needs the axis `AXIS`. `{}` where there
      is nothing to see.
    ema: the players whose parameters are averaged.
    before: what the updates of a round can share, such as generated images.
    latents: `keys [B] -> latents [B, Z]`, one for each key; None where
      samples are not drawn from noise.
    directions: in which images can be translated, if they are what samples
      are made from: by name, the entry of the batch, and that of the result,
      whose last word is the domain that it is of.
    pretrained: `() -> {name: (params, model_state)}`, what replaces fresh
      values of `init` before the first round.
    embed: `(params, model_state, images [B, H, W, C]) -> features [B, D]`,
      what a translation is to keep of its source; None where nothing says so.
  """

  init: Callable[[jax.Array, Batch], tuple[dict[str, Params], dict[str, Any]]]
  losses: Mapping[str, LossFn]
  optimizers: Mapping[str, optax.GradientTransformation]
  schedule: tuple[tuple[str, int], ...]
  sample: Callable[..., dict[str, jax.Array]]
  ema: tuple[str, ...] = ("generator",)
  before: RoundFn = lambda state, batches, rng: batches
  latents: Callable[[jax.Array], jax.Array] | None = None
  directions: Mapping[str, tuple[str, str]] = MappingProxyType({})
  pretrained: Callable[[], Mapping[str, tuple[Params, ModelState]]] = dict
  embed: Callable[[Any, Any, jax.Array], jax.Array] | None = None


def minibatches(algorithm: Algorithm) -> int:
  """The number of minibatches that one round takes."""
  return max(updates for _, updates in algorithm.schedule)


def create_train_state(
  algorithm: Algorithm, rng: jax.Array, batch: Batch
) -> TrainState:
  """Returns the state before the first round.

  Args:
    algorithm: the game.
    rng: a key.
    batch: the first examples, `[B, ...]`.
  """
  params, model_state = algorithm.init(rng, batch)

  def copies(tree: dict[str, Any]) -> dict[str, Any]:
    # The step donates its state, and no buffer can be donated twice.
    return {p: jax.tree.map(jnp.copy, tree[p]) for p in algorithm.ema}

  return TrainState(
    step=jnp.int32(0),
    halted=jnp.bool_(False),
    rollbacks=jnp.int32(0),
    params=params,
    model_state=model_state,
    opt_state={
      player: optimizer.init(params[player])
      for player, optimizer in algorithm.optimizers.items()
    },
    ema_params=copies(params),
    ema_model_state=copies(model_state),
  )


def sampling_variables(
  state: TrainState, ema: bool = True
) -> tuple[dict[str, Params], dict[str, ModelState]]:
  """The params and model state for `Algorithm.sample`, averaged or raw."""
  if not ema:
    return state.params, state.model_state
  return (
    {**state.params, **state.ema_params},
    {**state.model_state, **state.ema_model_state},
  )


def make_train_step(
  algorithm: Algorithm,
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
    finite = jnp.isfinite(jnp.stack([metrics[name] for name in GUARDED]))
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
