"""Networks: Flax modules named `Generator`, `Critic` or `Classifier`.

`config.<player>.name` is a module of this package, or `MODULE.CLASS` of the
user's (see `names.own`); all other keys of that entry are attributes of the
network, which checks them where it uses them. Attributes with one meaning in
all networks: `norm` and `axis`, see `norms.normalize`; `spectral_norm`, whether
each layer has spectral norm 1; `minibatch`, kernels and dims of a
`MinibatchDiscrimination`, or None; `kernel_init`, see
`layers.conv.initializer`; and `dtype`, of the arithmetic.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import names
from jaxgan.errors import InputError


def create(
  kind: str, config: ConfigDict, player: str, **arguments: Any
) -> nn.Module:
  """Returns the network that an entry of the config describes.

  Args:
    kind: "Generator", "Critic" or "Classifier".
    config: of the run, with the `dtype`.
    player: the entry's key, such as "critic" or "features.network".
    **arguments: attributes that are not in the config.

  Raises:
    InputError: where there is no such network, or the entry has other keys
      than its attributes.
  """
  arguments |= attrgetter(player)(config).to_dict()
  name = arguments.pop("name")
  path = f"jaxgan.models.{name}"
  network = names.own(f"{player}.name", name)
  fits = isinstance(network, type) and issubclass(network, nn.Module)
  if network and not fits:
    raise InputError(f"{player}.name={name!r} is no class of Flax modules")
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
  if missing := sorted(k for k in fields if fields[k] and k not in arguments):
    raise InputError(f"{player}.name={name!r} needs a value of {missing[0]!r}")
  # Messages of `init` name it so.
  return network(dtype=jnp.dtype(config.dtype), name=player, **arguments)


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
    raise InputError(f"{module.name}{link}{e}" if module.name else e) from e
  return variables.pop("params"), variables


def init_players(
  rng: jax.Array, players: Mapping[str, tuple[Any, ...]]
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the params and model state of networks, both by player.

  `players[player]` is `(module, *inputs)`, see `init`.
  """
  params, model_state = {}, {}
  rngs = jax.random.split(rng, len(players))
  for key, (player, network) in zip(rngs, players.items(), strict=True):
    module, *inputs = network
    params[player], model_state[player] = init(module, key, *inputs)
  return params, model_state


def apply(
  module: nn.Module, params: Any, model_state: Any, *inputs: Any, train: bool
) -> tuple[Any, Any]:
  """Returns a network's result, and its model state after it.

  The model state is its batch statistics and the like, the inputs are pytrees
  of arrays `[B, ...]`.
  """
  return module.apply(
    {"params": params, **model_state},
    *inputs,
    train=train,
    mutable=list(model_state) if train else [],
  )


def apply_each(
  module: nn.Module,
  params: Any,
  model_state: Any,
  batches: Sequence[Any],
  separately: bool,
) -> tuple[list[jax.Array], Any]:
  """Returns a network's results of several inputs of one shape, in training.

  If `separately`, they pass one after the other, so that batch statistics do
  not mix them; else all of them in one pass.
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
