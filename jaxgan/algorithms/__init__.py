"""Algorithms: `create(config)` in each module returns a `Game`."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import jax
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.errors import InputError, first_line
from jaxgan.game import Batch, Game, TrainState, create_train_state


def create(config: ConfigDict) -> Game:
  """Returns what `jaxgan.algorithms.<config.algorithm>.create` makes.

  Raises:
    InputError: where there is no such algorithm.
  """
  name = f"jaxgan.algorithms.{config.algorithm}"
  if not config.algorithm.isidentifier() or not find_spec(name):
    known = ", ".join(m.name for m in iter_modules(__path__))
    raise InputError(f"algorithm={config.algorithm!r}: choose one of {known}")
  module = import_module(name)
  return module.create(config)


def initial_state(
  config: ConfigDict, algorithm: Game
) -> tuple[Callable[[jax.Array, Batch], TrainState], TrainState]:
  """Returns what draws the first state from a key and a batch, and its shapes.

  Raises:
    InputError: where networks and shapes do not go together.
  """
  example = {
    key: jax.ShapeDtypeStruct((1, *shape), "float32")
    for key, shape in data.example_shapes(config.data).items()
  }
  create = jax.jit(
    partial(create_train_state, algorithm),
    # It runs once, and would gain less than compiling it well costs.
    compiler_options={"xla_backend_optimization_level": 0}
    if jax.default_backend() == "cpu"
    else None,
  )
  try:
    template = jax.eval_shape(create, jax.random.key(0), example)
  except InputError:
    raise
  except (TypeError, ValueError, ZeroDivisionError) as e:
    raise InputError(f"the networks cannot be built: {first_line(e)}") from e
  if any(0 in leaf.shape for leaf in jax.tree.leaves(template.params)):
    raise InputError("a network has a layer without units: give it some")
  return create, template
