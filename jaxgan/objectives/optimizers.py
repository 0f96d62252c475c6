"""Optimizers from the config, and weight clipping as an optax transform."""

import inspect
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxgan.checks import one_of
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
  config: ConfigDict, updates: Mapping[str, float]
) -> dict[str, optax.GradientTransformation]:
  """Returns the optimizer of each player, given its updates in a step.

  Raises:
    InputError: see `create`.
  """
  if others := sorted(config.optimizers.keys() - updates.keys()):
    raise InputError(
      f"optimizers.{others[0]}: no such player makes updates, but "
      f"{', '.join(updates)}"
    )
  optimizers = {}
  for player, count in updates.items():
    if player not in config.optimizers:
      raise InputError(f"optimizers has no entry {player!r}: add it")
    entry, total = config.optimizers[player], round(config.steps * count)
    optimizers[player] = create(entry, total, f"optimizers.{player}")
  return optimizers


def create(
  config: ConfigDict, updates: int, key: str = "optimizer"
) -> optax.GradientTransformation:
  """Returns the optimizer that an entry of `config.optimizers` describes.

  Args:
    config: `name` is a function of optax. `schedule` is "constant",
      "linear" for a learning rate that falls to 0 over the run, or
      "half_linear" for one that does so over its second half;
      `clip_weights`, if not 0, bounds the weights. All other keys are
      arguments of the function.
    updates: the number of updates in the run.
    key: of the entry, for messages.

  Raises:
    InputError: where optax has no such optimizer, or it no such argument.
  """
  arguments = config.to_dict()
  name = arguments.pop("name")
  schedule = arguments.pop("schedule", "constant")
  bound = arguments.pop("clip_weights", 0.0)
  rate = arguments.get("learning_rate", 0)
  if not 0 < rate < math.inf:
    raise InputError(f"{key}.learning_rate={rate}: give more than 0")
  if not 0 <= bound < math.inf:
    raise InputError(f"{key}.clip_weights={bound}: give 0 (off) or more")
  one_of(f"{key}.schedule", schedule, ("constant", "linear", "half_linear"))
  if schedule != "constant":
    start = updates // 2 if schedule == "half_linear" else 0
    falling = optax.linear_schedule(rate, 0.0, updates - start, start)
    arguments["learning_rate"] = falling
  factory = getattr(optax, name, None)
  known = inspect.signature(factory).parameters if callable(factory) else {}
  if "learning_rate" not in known:
    raise InputError(f"{key}.name={name!r}: optax has no such optimizer")
  if unknown := sorted(arguments.keys() - known):
    choices = f"optax.{name} has no such argument, but {', '.join(known)}"
    raise InputError(f"{key}.{unknown[0]}: {choices}")
  optimizer = factory(**arguments)
  return optax.chain(optimizer, clip_weights(bound)) if bound else optimizer
