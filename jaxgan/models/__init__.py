"""Networks: Flax modules named `Generator`, `Critic` or `Classifier`.

`config.<player>.name` is a module of this package; all other keys of that entry
are attributes of the network, which checks them where it uses them.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan.errors import InputError


def create(
  kind: str, config: ConfigDict, dtype: str, player: str, **arguments: Any
) -> nn.Module:
  """Returns the network that an entry of the config describes.

  Args:
    kind: "Generator", "Critic" or "Classifier".
    config: the entry.
    dtype: of the arithmetic.
    player: the entry's key in the config, for messages.
    **arguments: other attributes of the network.

  Raises:
    InputError: where there is no such network, or the entry has other keys
      than its attributes.
  """
  arguments |= config.to_dict()
  name = arguments.pop("name")
  path = f"jaxgan.models.{name}"
  network = None
  if name.isidentifier() and find_spec(path):
    network = getattr(import_module(path), kind, None)
  if network is None:
    raise InputError(
      f"{player}.name={name!r}: no {kind} in jaxgan/models/{name}.py"
    )
  fields = {
    field.name: field.default is dataclasses.MISSING
    for field in dataclasses.fields(network)
    if field.name not in ("parent", "name")
  }
  if unknown := sorted(arguments.keys() - fields):
    raise InputError(
      f"{player}.name={name!r} has no {unknown[0]!r}, but {', '.join(fields)}"
    )
  required = {key for key, is_required in fields.items() if is_required}
  if missing := sorted(required - arguments.keys()):
    raise InputError(f"{player}.name={name!r} needs a value of {missing[0]!r}")
  # Messages of `init` name it so.
  return network(dtype=jnp.dtype(dtype), name=player, **arguments)


def init(
  module: nn.Module, rng: jax.Array, *inputs: Any
) -> tuple[Any, dict[str, Any]]:
  """Returns a network's params and model state, drawn for such inputs.

  Raises:
    InputError: where its attributes or the inputs cannot work.
  """
  try:
    variables = dict(module.init(rng, *inputs, train=True))
  except InputError as e:
    link = "." if re.match(r"\w+=", str(e)) else ": "
    raise InputError(
      f"{module.name}{link}{e}" if module.name else str(e)
    ) from e
  return variables.pop("params"), variables


def init_players(
  rng: jax.Array, players: Mapping[str, tuple[Any, ...]]
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the params and model state of networks, both by player.

  Args:
    rng: a key.
    players: by name, `(module, *inputs)`, see `init`.
  """
  params, model_state = {}, {}
  rngs = jax.random.split(rng, len(players))
  for (player, (module, *inputs)), key in zip(
    players.items(), rngs, strict=True
  ):
    params[player], model_state[player] = init(module, key, *inputs)
  return params, model_state


def apply(
  module: nn.Module,
  params: Any,
  model_state: Any,
  *inputs: Any,
  train: bool,
  rngs: Mapping[str, jax.Array] | None = None,
  method: str | Callable[..., Any] | None = None,
) -> tuple[Any, Any]:
  """Returns a network's result, and its model state after it.

  Args:
    module: the network.
    params: its parameters.
    model_state: its batch statistics and the like.
    *inputs: pytrees of arrays `[B, ...]`.
    train: whether it is trained.
    rngs: keys by name, such as "dropout".
    method: of the module; by default `__call__`.
  """
  return module.apply(
    {"params": params, **model_state},
    *inputs,
    train=train,
    mutable=list(model_state) if train else [],
    rngs=rngs,
    method=method,
  )


def apply_each(
  module: nn.Module,
  params: Any,
  model_state: Any,
  batches: Sequence[Any],
  separately: bool,
) -> tuple[list[jax.Array], Any]:
  """Returns a network's results of several batches in training.

  Args:
    module: the network.
    params: its parameters.
    model_state: its batch statistics and the like.
    batches: its input, a pytree, in each of them; all of one shape.
    separately: pass one batch after the other, so that batch statistics do not
      mix them; else all of them in one pass.
  """
  if not separately:
    joined = jax.tree.map(lambda *x: jnp.concatenate(x), *batches)
    y, model_state = apply(module, params, model_state, joined, train=True)
    return jnp.split(y, len(batches)), model_state
  results = []
  for batch in batches:
    y, model_state = apply(module, params, model_state, batch, train=True)
    results.append(y)
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
  """Returns the names of the layers that `features` returns for `x`."""
  variables = jax.eval_shape(
    lambda x: module.init(jax.random.key(0), x, train=True, mutable=True), x
  )
  return list(variables.get("intermediates", ()))
