"""The adversarial part of a game: a critic, its loss and its penalty."""

import dataclasses
import functools
from collections.abc import Callable

import jax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.checks import one_of
from jaxgan.errors import InputError
from jaxgan.game import Metrics, ModelState, Params
from jaxgan.names import named
from jaxgan.objectives import losses, penalties
from jaxgan.objectives.combinations import check

ACTIVATIONS = {"linear": lambda logits: logits, "sigmoid": jax.nn.sigmoid}


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
  """The losses of a critic and of its opponent."""

  critic: nn.Module
  loss: losses.AdversarialLoss
  penalty: Callable[..., Array] | None
  penalty_weight: float
  activation: Callable[[Array], Array]  # of the logits
  # Real and generated examples are passed separately, where the critic ties
  # the examples of a batch to each other.
  separate_batches: bool

  def critic_logits(self, params: Params, state: ModelState, x: Array) -> Array:
    """Returns the critic's outputs for examples `[B, ...]`, in training."""
    logits, _ = models.apply(self.critic, params, state, x, train=True)
    return self.activation(logits)

  def critic_loss(
    self,
    params: Params,
    state: ModelState,
    real: Array,
    fake: Array,
    rng: Array,
  ) -> tuple[Array, tuple[ModelState, Metrics]]:
    """Returns a critic's loss, its new model state and metrics."""
    logits, new_state = models.apply_each(
      self.critic, params, state, (real, fake), self.separate_batches
    )
    real_logits, fake_logits = map(self.activation, logits)
    total = self.loss.critic(real_logits, fake_logits)
    metrics = {"real": real_logits.mean(), "fake": fake_logits.mean()}
    if self.penalty:
      critic = functools.partial(self.critic_logits, params, state)
      metrics["penalty"] = self.penalty(critic, real, fake, rng)
      total += self.penalty_weight * metrics["penalty"]
    return total, (new_state, metrics)

  def generator_loss(
    self,
    params: Params,
    state: ModelState,
    real: Array,
    fake: Array,
    unrolled: bool = False,
  ) -> Array:
    """Returns the opponent's loss; an unrolled critic depends on it, too."""
    # Where neither unrolled nor relativistic losses look at the real logits,
    # the compiler drops this pass.
    real_logits = self.critic_logits(params, state, real)
    fake_logits = self.critic_logits(params, state, fake)
    if unrolled and self.loss.zero_sum:
      return -self.loss.critic(real_logits, fake_logits)
    return self.loss.generator(real_logits, fake_logits)


def create(
  config: ConfigDict,
  critic: nn.Module,
  couples_examples: bool = False,
  activation: str = "linear",
) -> Objective:
  """Returns the objective that `loss` and `penalty` of a config describe.

  Args:
    config: of the run; refused if its names or combinations cannot work.
    critic: the network of `config.critic`.
    couples_examples: whether a layer other than batch norm ties the examples of
      a batch to each other.
    activation: of the logits, "linear" or "sigmoid".
  """
  loss = named(losses, "loss", config.loss)
  loss = loss() if callable(loss) else loss  # one with constants
  if not isinstance(loss, losses.AdversarialLoss):
    raise InputError(f"loss.name={config.loss.name!r} is no AdversarialLoss")
  penalty = config.penalty.to_dict()
  weight = penalty.pop("weight")
  penalty = penalty["name"] and named(penalties, "penalty", penalty)
  check(config, critic, couples_examples)
  one_of("critic_output", activation, ACTIVATIONS)
  batch_norm = getattr(critic, "norm", "none") == "batch"
  return Objective(
    critic,
    loss,
    penalty or None,
    weight,
    ACTIVATIONS[activation],
    batch_norm or couples_examples,
  )
