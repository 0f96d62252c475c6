"""Networks: Flax modules named `Generator`, `Critic` or `Classifier`."""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan.errors import InputError


def create(
  kind: str, config: ConfigDict, dtype: str, **arguments: Any
) -> nn.Module:
  """Returns the network that an entry of the config describes.

  Args:
    kind: "Generator", "Critic" or "Classifier".
    config: `name` is a module of this package; all else are arguments.
    dtype: of the arithmetic.
    **arguments: others that the network takes.

  Raises:
    InputError: where there is no such network, or it no such argument, or a
      size is not positive.
  """
  arguments |= config.to_dict()
  for key, value in arguments.items():
    sizes = value if isinstance(value, tuple) else (value,)
    if any(type(x) in (int, float) and not 0 < x < math.inf for x in sizes):
      raise InputError(f"{kind.lower()}.{key}={value}: give more than 0")
  name = arguments.pop("name")
  try:
    module = import_module(f"jaxgan.models.{name}")
    return getattr(module, kind)(dtype=jnp.dtype(dtype), **arguments)
  except (ImportError, AttributeError, TypeError) as e:
    raise InputError(f"{kind.lower()} {name!r}: {e}") from e


def sampler(generator: nn.Module) -> Callable[..., dict[str, jax.Array]]:
  """Returns the `Algorithm.sample` of a generator of images from latents."""

  def sample(
    params: Mapping[str, Any],
    model_state: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    train: bool = False,
  ) -> dict[str, jax.Array]:
    player = params["generator"], model_state["generator"]
    return {"generated": apply(generator, *player, batch["latent"], train)[0]}

  return sample


def init(
  module: nn.Module, rng: jax.Array, x: jax.Array
) -> tuple[Any, dict[str, Any]]:
  """Returns a network's params and model state, drawn for inputs like `x`."""
  variables = dict(module.init(rng, x, train=True))
  return variables.pop("params"), variables


def apply(
  module: nn.Module,
  params: Any,
  model_state: Any,
  x: jax.Array,
  train: bool,
  **others: Any,
) -> tuple[jax.Array, Any]:
  """Returns a network's result, and its model state after it.

  Args:
    module: the network.
    params: its parameters.
    model_state: its batch statistics and the like.
    x: its input, `[B, ...]`.
    train: whether it is trained.
    **others: further inputs that it takes.
  """
  return module.apply(
    {"params": params, **model_state},
    x,
    train=train,
    mutable=list(model_state) if train else [],
    **others,
  )


def apply_each(
  module: nn.Module,
  params: Any,
  model_state: Any,
  batches: Sequence[jax.Array],
  apart: bool,
) -> tuple[list[jax.Array], Any]:
  """Returns a network's results of several batches in training.

  Args:
    module: the network.
    params: its parameters.
    model_state: its batch statistics and the like.
    batches: of its inputs, all of one shape.
    apart: whether it sees one batch after the other, so that what is of a batch
      does not mix them, and not all in one pass.
  """
  if not apart:
    x, model_state = apply(
      module, params, model_state, jnp.concatenate(batches), True
    )
    return jnp.split(x, len(batches)), model_state
  results = []
  for batch in batches:
    x, model_state = apply(module, params, model_state, batch, True)
    results.append(x)
  return results, model_state


def features(
  module: nn.Module, params: Any, model_state: Any, x: jax.Array
) -> dict[str, jax.Array]:
  """Returns a critic's hidden layers in training, by name, in float32."""
  _, state = module.apply(
    {"params": params, **model_state},
    x,
    train=True,
    mutable=[*model_state, "intermediates"],
  )
  return {
    name: value.astype(jnp.promote_types(value.dtype, jnp.float32))
    for name, (value,) in state["intermediates"].items()
  }


def layer_names(module: nn.Module, x: jax.Array) -> list[str]:
  """Returns the names that `features` will have."""
  variables = jax.eval_shape(
    lambda x: module.init(jax.random.key(0), x, train=True, mutable=True), x
  )
  return list(variables.get("intermediates", ()))
