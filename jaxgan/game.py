"""A GAN is a game: players take turns, each to lower a loss of its own.

A subclass of `Game` says what each player minimises, with which optimizer, and
in which order the players move; `train_step.py` plays it. Everything random is
a function of (seed, step), and everything that changes is in one `TrainState`.
The field's "discriminator" is called critic throughout.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jax import lax

AXIS = "batch"  # of the devices, over which a step is mapped
# Metrics of every update; where one is not finite, the update is not made.
FINITE_METRICS = ("loss", "grad_norm", "update_norm")

Params = Any
ModelState = Mapping[str, Any]
Batch = Mapping[str, Any]
Metrics = Mapping[str, jax.Array]


@flax.struct.dataclass
class TrainState:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: int32 scalar, steps taken.
    halted: bool scalar. True once a loss, gradient or update was not finite,
      unless such updates are skipped; from then on steps change nothing, so
      that the host may look late.
    rollbacks: int32 scalar, how often the run went back to a checkpoint to
      go on with other noise.
    params: by player; frozen networks, which no turn updates, are here too.
    model_state: by player: batch statistics, spectral norm vectors, image
      pools; `{}` where there are none.
    opt_state: by player.
    ema_params: exponential moving averages of the params of the players in
      `Game.averaged`.
    ema_model_state: the same averages of their model state, without which
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


# loss(params, state, batch, rng) -> (scalar, (model_state, metrics)): `params`
# is state.params with the acting player's entry replaced by the variable of
# differentiation; the model state returned is that of this player alone, equal
# on all devices. The loss is the mean of the scalars of all devices.
LossFn = Callable[
  [Mapping[str, Params], TrainState, Batch, jax.Array],
  tuple[jax.Array, tuple[ModelState, Metrics]],
]


class Turn(NamedTuple):
  """Updates of one player in a row.

  Attributes:
    player: whose params move: a key of `TrainState.params`.
    loss: what it minimises.
    updates: how many, each on its own minibatch.
    every: the turn is taken at the first step and every so many steps.
    name: of its metrics; by default the player's.
  """

  player: str
  loss: LossFn
  updates: int = 1
  every: int = 1
  name: str = ""


class Direction(NamedTuple):
  """A direction in which images are translated.

  Attributes:
    name: "forward", "backward" or "identity".
    source: the entry of the batch that is translated, and its domain.
    target: the domain of the translation.
    output: the entry of `Game.sample`'s result that holds it.
    cycle: the entry with the translation there and back; "" if there is none.
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


@dataclasses.dataclass(frozen=True, eq=False)  # compared, and hashed, by id
class Game:
  """A differentiable game; a subclass adds networks, losses and `schedule`.

  Attributes:
    config: of the run. A player's optimizer is `config.optimizers[player]`.
    optimizers: by player.
    directions: in which it translates images; none where it samples.
    pretrained: by player without turns, the weights that it starts from.
  """

  config: Any
  optimizers: Mapping[str, optax.GradientTransformation]

  directions = ()
  pretrained = {}
  # inputs(keys [B]) -> batch: what samples are made from, such as `latent`,
  # `[B, Z]`; None where samples are not drawn at random.
  inputs = None
  # embed(params, model_state, images [B, H, W, C]) -> features [B, D], which
  # a translation should keep of its source; None where undefined.
  embed = None

  @property
  def schedule(self) -> tuple[Turn, ...]:
    """The turns of a step, in their order."""
    raise NotImplementedError

  @property
  def averaged(self) -> tuple[str, ...]:
    """The players whose params are averaged, for sampling."""
    return ("generator",) if self.config.ema_decay else ()

  def init(self, rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    """Returns the first params and model state, both by player.

    Args:
      rng: a key.
      batch: examples, on which the values may depend.
    """
    raise NotImplementedError

  def prepare_step(
    self, state: TrainState, batches: Batch, rng: jax.Array
  ) -> Batch:
    """Returns minibatches `[n, B, ...]` with what the turns can share.

    Called once at the start of a step; entries that it adds, such as generated
    images, need the leading axis of the minibatches, too.
    """
    return batches

  def sample(
    self,
    params: Mapping[str, Params],
    model_state: Mapping[str, Any],
    batch: Batch,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    """Returns images `[B, H, W, C]` in [-1, 1] by name, one for each example.

    Args:
      params: by player.
      model_state: by player.
      batch: what `inputs` makes, or the images to translate.
      train: batch norm uses the batch's statistics, and needs the axis `AXIS`.
    """
    return {}


def minibatches(game: Game) -> int:
  """Returns the number of minibatches that a step takes."""
  return max(turn.updates for turn in game.schedule)


def sampling_variables(
  state: TrainState, averaged: bool = True
) -> tuple[dict[str, Params], dict[str, ModelState]]:
  """Returns the params and model state for `Game.sample`."""
  if not averaged:
    return state.params, state.model_state
  return (
    {**state.params, **state.ema_params},
    {**state.model_state, **state.ema_model_state},
  )


def example_keys(rng: jax.Array, count: int) -> jax.Array:
  """Returns random keys `[count]`, one for each example on this device.

  Within a mapped step. Example i of the global batch gets the same key
  however many devices share that batch, so that the number of devices does
  not change what is learned, and the cost does not grow with it.
  """
  first = lax.axis_index(AXIS) * count
  return jax.vmap(jax.random.fold_in, (None, 0))(rng, first + jnp.arange(count))


def pmean(tree: Any, axis: str = AXIS) -> Any:
  """Returns means over devices; one alone is spared the copies of XLA."""
  return lax.pmean(tree, axis) if lax.axis_size(axis) > 1 else tree
