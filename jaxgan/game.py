"""."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jax import lax

# Metrics of every update; where one is not finite, it is not made.
FINITE_METRICS = ("loss", "grad_norm", "update_norm")


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
      `Game.ema`.
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


class Direction(NamedTuple):
  """A direction in which a game translates images.

  Attributes:
    name: "forward", "backward" or "identity".
    source: entry of the batch that is translated, and name of its domain.
    target: domain of the translations.
    output: entry of the result of `Game.sample` that holds them.
    cycle: entry that holds them translated back; "" where there is none.
  """

  name: str
  source: str
  target: str
  output: str
  cycle: str = ""


class Pretrained(NamedTuple):
  """Which classifier's weights a frozen network has.

  Attributes:
    network: its entry of the config.
    shape: of the images that it sees, `(H, W, C)`.
    workdir: of its run; "" to train one, once.
    data: config of the images that it is trained on in that case.
  """

  network: Any
  shape: tuple[int, ...]
  workdir: str
  data: Any


class Game(NamedTuple):
  """A differentiable game.

  Attributes:
    init: `(rng, batch) -> (params, model_state)`, both by player; the batch
      is one that initialisation may depend on.
    losses: by player, what it minimises.
    optimizers: by player.
    schedule: the turns of a round, `((player, updates), ...)`.
    sample: `(params, model_state, batch, train) -> {name: images}`, images
      `[B, H, W, C]` in [-1, 1], one for each example of the batch, which
      holds the entries of `inputs`, if any; with `train`, batch norm uses
      the batch's own statistics, and needs the axis `AXIS`. `{}` where there
      is nothing to see.
    ema: the players whose parameters are averaged.
    before: what the updates of a round can share, such as generated images.
    inputs: `keys [B] -> {"latent": [B, Z]}`, one row for each key: what
      `sample` makes samples from. None where they are not drawn from noise.
    directions: in which the game translates images; () where it does not.
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
  inputs: Callable[[jax.Array], Batch] | None = None
  directions: tuple[Direction, ...] = ()
  pretrained: Callable[[], Mapping[str, tuple[Params, ModelState]]] = dict
  embed: Callable[[Any, Any, jax.Array], jax.Array] | None = None


def minibatches(algorithm: Game) -> int:
  """The number of minibatches that one round takes."""
  return max(updates for _, updates in algorithm.schedule)


def create_train_state(
  algorithm: Game, rng: jax.Array, batch: Batch
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
  """The params and model state for `Game.sample`, averaged or raw."""
  if not ema:
    return state.params, state.model_state
  return (
    {**state.params, **state.ema_params},
    {**state.model_state, **state.ema_model_state},
  )


AXIS = "batch"


def example_keys(rng: jax.Array, count: int) -> jax.Array:
  """Random keys `[count]`, one for each example on this device.

  Within a mapped step. Example i of the global batch gets the same key
  however many devices share that batch, so that the number of devices does
  not change what is learned, and the cost does not grow with it.
  """
  first = lax.axis_index(AXIS) * count
  return jax.vmap(jax.random.fold_in, (None, 0))(rng, first + jnp.arange(count))


def pmean(tree: Any, axis: str = AXIS) -> Any:
  """Means over the devices; one alone is spared the copies XLA would make."""
  return lax.pmean(tree, axis) if lax.axis_size(axis) > 1 else tree


def with_pretrained(state: TrainState, found: Mapping[str, Any]) -> TrainState:
  """The first state, with what `Algorithm.pretrained` found."""
  trees = {"params": state.params, "model_state": state.model_state}
  for name, own in found.items():
    for key, tree in zip(trees, own, strict=True):
      trees[key] = {**trees[key], name: tree}
  return state.replace(**trees)
