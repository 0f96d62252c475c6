"""A GAN is a game: players take turns, each to lower a loss of its own.

A subclass of `Game` says what each player minimises, and in which order they
move; `train_step.py` plays it. Everything random is a function of (seed, step),
everything that changes is in one `TrainState`, and the discriminator is called
critic.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jax import lax

AXIS = "batch"  # of the devices, over which a step is mapped
# Metrics of every update; where one is not finite, the update is not made.
FINITE_METRICS = ("loss", "grad_norm", "update_norm")

Params = Mapping[str, Any]  # of one network, or by player
ModelState = Mapping[str, Any]  # likewise
Batch = Mapping[str, Any]
Metrics = Mapping[str, jax.Array]


@flax.struct.dataclass
class TrainState:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: int32, steps taken.
    halted: bool, whether a loss, gradient or update was not finite, unless such
      updates are skipped; steps then change nothing, so the host may look late.
    rollbacks: int32, how often the run went back to a checkpoint to go on with
      other noise.
    params: by player; frozen networks, which no turn updates, are here too.
    model_state: by player: batch statistics, spectral norm vectors, image
      pools; `{}` where there are none.
    opt_state: by player.
    ema_params: moving averages of the params of the players in
      `Game.averaged`.
    ema_model_state: those of their model state, for sampling with them.
  """

  step: jax.Array
  halted: jax.Array
  rollbacks: jax.Array
  params: dict[str, Params]
  model_state: dict[str, ModelState]
  opt_state: dict[str, optax.OptState]
  ema_params: dict[str, Params]
  ema_model_state: dict[str, ModelState]


# loss(params, state, batch, rng) -> scalar, (model_state, metrics): `params`
# is state.params with the acting player's entry replaced by the variable of
# differentiation; the model state returned is that of this player alone, equal
# on all devices. The loss is the mean of the scalars of all devices.
LossFn = Callable[..., tuple[jax.Array, tuple[ModelState, Metrics]]]


class Turn(NamedTuple):
  """Updates of one player in a row."""

  player: str  # whose params move: a key of `TrainState.params`
  loss: LossFn  # what it minimises
  updates: int = 1  # each on its own minibatch
  every: int = 1  # taken at the first step, and every so many steps
  name: str = ""  # of its metrics; by default the player's


class Direction(NamedTuple):
  """A direction in which images are translated."""

  name: str  # "forward", "backward" or "identity"
  source: str  # the entry of the batch that is translated, and its domain
  target: str  # the domain of the translation
  output: str  # the entry of `Game.sample`'s result that holds it
  cycle: str = ""  # the entry with the translation there and back, if any


class Pretrained(NamedTuple):
  """The classifier whose weights a frozen network has."""

  network: Any  # its entry of the config
  shape: tuple[int, ...]  # `(H, W, C)` of the images that it sees
  workdir: str  # of its run; "" to train one, once
  data: Any  # config of the images that it is trained on in that case


@dataclasses.dataclass(frozen=True, eq=False)  # compared, and hashed, by id
class Game:
  """A differentiable game; a subclass adds networks, losses and `schedule`.

  By convention, player p has the network `config.p` and the optimizer
  `config.optimizers.p`; networks that move together are one player.
  """

  config: Any  # of the run
  optimizers: Mapping[str, optax.GradientTransformation]  # by player

  # In which it translates images; none where it samples.
  directions: ClassVar[tuple[Direction, ...]] = ()
  # By player without turns, the weights that it starts from.
  pretrained: ClassVar[Mapping[str, Pretrained]] = {}
  # inputs(keys [B]) -> batch: what samples are made from, such as `latent`,
  # `[B, Z]`; None where samples are not drawn at random.
  inputs: ClassVar[Callable[..., Batch] | None] = None
  # embed(params, model_state, images [B, H, W, C]) -> features [B, D], which
  # a translation should keep of its source; None where undefined.
  embed: ClassVar[Callable[..., jax.Array] | None] = None
  embedded: ClassVar[tuple[str, ...]] = ()  # entries that are embedded once

  @property
  def schedule(self) -> tuple[Turn, ...]:
    """The turns of a step, in their order."""
    raise NotImplementedError

  @property
  def averaged(self) -> tuple[str, ...]:
    """The players whose params are averaged, for sampling."""
    return ("generator",) if self.config.ema_decay else ()

  def init(self, rng: jax.Array, batch: Batch) -> tuple[Params, ModelState]:
    """Returns the first params and model state; they may depend on examples."""
    raise NotImplementedError

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Returns minibatches `[n, B, ...]` with what the turns of a step share.

    Entries that it adds, such as generated images, have that first axis, too.
    """
    return batches

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns images `[B, H, W, C]` in [-1, 1] by name, one for each example.

    The batch is that of `inputs`, or holds the images to translate. With
    `train`, batch norm has the batch's statistics, and needs the axis `AXIS`.
    """
    return {}


def minibatches(game: Game) -> int:
  """Returns the number of minibatches that a step takes."""
  return max(turn.updates for turn in game.schedule)


def sampling_variables(
  state: TrainState, averaged: bool = True
) -> tuple[Params, ModelState]:
  """Returns the params and model state for `Game.sample`."""
  if not averaged:
    return state.params, state.model_state
  params = {**state.params, **state.ema_params}
  return params, {**state.model_state, **state.ema_model_state}


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
