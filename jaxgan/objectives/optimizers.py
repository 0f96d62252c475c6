"""Optimizers from the config, and weight clipping as an optax transform."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxgan.errors import InputError


def clip_weights(bound: float) -> optax.GradientTransformation:
  """Keeps every parameter in [-bound, bound]; last in an optimizer's chain.

  Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1, line 7: the clipping
  follows the update.
  """

  def clip(updates: optax.Updates, params: optax.Params) -> optax.Updates:
    return jax.tree.map(
      lambda u, p: jnp.clip(p + u, -bound, bound) - p, updates, params
    )

  return optax.stateless(clip)


def of_players(
  config: ConfigDict, schedule: tuple[tuple[str, int], ...]
) -> dict[str, optax.GradientTransformation]:
  """Returns the optimizer of each player of `Algorithm.schedule`.

  Raises:
    InputError: see `create`.
  """
  return {
    player: create(config.optimizers[player], config.steps * updates)
    for player, updates in schedule
  }


def create(config: ConfigDict, updates: int) -> optax.GradientTransformation:
  """Returns the optimizer that an entry of `config.optimizers` describes.

  Args:
    config: `name` is a function of optax. `schedule` is "constant",
      "linear" for a learning rate that falls to 0 over the run, or
      "half_linear" for one that does so over its second half;
      `clip_weights`, if not 0, bounds the weights. All other keys are
      arguments of the function.
    updates: how many updates the run will make with it.

  Raises:
    InputError: where optax has no such optimizer, or it no such argument.
  """
  arguments = config.to_dict()
  name = arguments.pop("name")
  schedule = arguments.pop("schedule", "constant")
  bound = arguments.pop("clip_weights", 0.0)
  if not 0 < arguments["learning_rate"] < float("inf"):
    raise InputError(
      f"learning_rate={arguments['learning_rate']}: give more than 0"
    )
  if not 0 <= bound < float("inf"):
    raise InputError(f"clip_weights={bound}: give 0 (off) or more")
  if schedule == "linear":
    arguments["learning_rate"] = optax.linear_schedule(
      arguments["learning_rate"], 0.0, updates
    )
  elif schedule == "half_linear":
    half = updates // 2
    arguments["learning_rate"] = optax.linear_schedule(
      arguments["learning_rate"], 0.0, updates - half, half
    )
  elif schedule != "constant":
    raise InputError(
      f"schedule={schedule!r}: choose 'constant', 'linear' or 'half_linear'"
    )
  try:
    optimizer = getattr(optax, name)(**arguments)
  except (AttributeError, TypeError) as e:
    raise InputError(
      f"optimizer {name!r} with {', '.join(arguments)}: {e}"
    ) from e
  return optax.chain(optimizer, clip_weights(bound)) if bound else optimizer
