"""The adversarial part of a game: a loss, a penalty, and a critic's passes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.errors import InputError
from jaxgan.game import Metrics
from jaxgan.objectives import losses, penalties


class Objective(NamedTuple):
  """What a critic and its opponent minimise; see `create`.

  Attributes:
    critic: `(params, model_state, real, fake, rng) -> loss, (model_state,
      metrics)`, of the critic's own params and model state.
    generator: `(params, model_state, real, fake, unrolled=False) -> loss`, of
      those too; `unrolled` says that they depend on the generator.
  """

  critic: Callable[..., tuple[jax.Array, tuple[Any, Metrics]]]
  generator: Callable[..., jax.Array]


def create(
  config: ConfigDict,
  critic: nn.Module,
  of_batch: bool = False,
  activation: Callable[[jax.Array], jax.Array] = lambda logits: logits,
) -> Objective:
  """Returns the objective that `loss` and `penalty` of a config describe.

  Args:
    config: of the run.
    critic: the network.
    of_batch: whether its layers see a batch as a whole, other than by batch
      norm: real and generated examples are then not mixed.
    activation: of its logits.
  """
  loss = getattr(losses, config.loss)
  name = config.penalty.name
  penalty = getattr(penalties, name) if name else None

  def criticize(
    params: Any, model_state: Any, x: jax.Array
  ) -> tuple[jax.Array, Any]:
    logits, model_state = models.apply(critic, params, model_state, x, True)
    return activation(logits), model_state

  def of_critic(
    params: Any, model_state: Any, real: jax.Array, fake: jax.Array, rng
  ) -> tuple[jax.Array, tuple[Any, Metrics]]:
    apart = config.critic.norm == "batch" or of_batch
    logits, model_state = models.apply_each(
      critic, params, model_state, (real, fake), apart
    )
    real_logits, fake_logits = map(activation, logits)
    total = loss.critic(real_logits, fake_logits)
    metrics = {"real": real_logits.mean(), "fake": fake_logits.mean()}
    if penalty:
      metrics["penalty"] = penalty(
        lambda x: criticize(params, model_state, x)[0], real, fake, rng
      )
      total += config.penalty.weight * metrics["penalty"]
    return total, (model_state, metrics)

  def of_generator(
    params: Any,
    model_state: Any,
    real: jax.Array,
    fake: jax.Array,
    unrolled: bool = False,
  ) -> jax.Array:
    # Where neither unrolled nor relativistic losses look at the real logits,
    # the compiler drops this pass.
    real_logits, _ = criticize(params, model_state, real)
    fake_logits, _ = criticize(params, model_state, fake)
    if unrolled and loss.zero_sum:
      return -loss.critic(real_logits, fake_logits)
    return loss.generator(real_logits, fake_logits)

  return Objective(of_critic, of_generator)


def check(config: ConfigDict, bounded: bool = True) -> None:
  """Refuses objectives that cannot work, or are known to do harm.

  Args:
    config: of the run.
    bounded: whether spectral norm bounds the slope of all of its critic.

  Raises:
    InputError: with a remedy.
  """
  clipping = config.optimizers.critic.get("clip_weights", 0.0)
  for key, value, allowed in (
    (
      "loss",
      config.loss,
      [
        name
        for name, value in vars(losses).items()
        if isinstance(value, losses.AdversarialLoss)
      ],
    ),
    (
      "penalty.name",
      config.penalty.name,
      ["", "wgan_gp", "dragan", "r1", "r2", "r1_r2"],
    ),
  ):
    if value not in allowed:
      raise InputError(f"{key}={value!r}: choose one of {allowed}")
  if (config.penalty.weight > 0) != bool(config.penalty.name):
    raise InputError(
      f"penalty.weight={config.penalty.weight} with penalty.name="
      f"{config.penalty.name!r}: give a name and a weight above 0, or neither"
    )
  if config.penalty.name and config.critic.norm == "batch":
    raise InputError(
      "critic.norm='batch' with a gradient penalty: the penalty is on the "
      "gradient of each example, which batch norm ties to the others; set "
      "critic.norm to 'layer' or 'none', or for translation to 'instance' or "
      "'none'"
    )
  if config.penalty.name and clipping:
    raise InputError(
      "weight clipping with a gradient penalty: both bound the critic's "
      "slope; set optimizers.critic.clip_weights=0.0 or penalty.name=''"
    )
  if config.loss == "wasserstein" and not (
    clipping
    or config.penalty.name
    or (config.critic.norm == "spectral" and bounded)
  ):
    raise InputError(
      "loss='wasserstein' needs a critic of bounded slope: set "
      + (
        "penalty.name='wgan_gp' with penalty.weight=10, "
        "optimizers.critic.clip_weights=0.01 or critic.norm='spectral'"
        if bounded
        else "optimizers.critic.clip_weights=0.01; spectral norm does not "
        "bound minibatch discrimination"
      )
    )
