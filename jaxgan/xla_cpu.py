"""Forms that make XLA:CPU fast; on other platforms, the plain ones.

Which platform a program is for is asked while it is traced: by default the one
that runs it, within `target(platform)` that one, since a program for a TPU may
be compiled on a CPU.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

_TARGET = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def target(platform: str | None) -> Iterator[None]:
  """Has all that is traced within be for a platform, such as "tpu".

  Args:
    platform: as in `jax.Device.platform`; None for the one that runs.
  """
  token = _TARGET.set(platform or _TARGET.get())
  try:
    yield
  finally:
    _TARGET.reset(token)


def on_cpu() -> bool:
  """Returns whether the program that is traced now is for a CPU."""
  return (_TARGET.get() or jax.default_backend()) == "cpu"


def unroll() -> int:
  """Returns the `unroll` of `lax.scan` for a body with convolutions.

  XLA:CPU gives a kernel gradient its fast form only outside loops; within, it
  takes up to 50 times as long. All is unrolled by 0, but not by True, which
  leaves a loop of one iteration where there is one.
  """
  return 0 if on_cpu() else 1


def barrier(tree: Any) -> Any:
  """Returns the tree, on CPU computed apart from whatever uses it."""
  return lax.optimization_barrier(tree) if on_cpu() else tree


def select(condition: jax.Array, on_true: Any, on_false: Any) -> Any:
  """Returns one of two pytrees; leaves that are the same object stay so."""
  return jax.tree.map(
    lambda a, b: a if a is b else jnp.where(condition, a, b), on_true, on_false
  )


def optimizer_update(
  optimizer: optax.GradientTransformation,
  grads: optax.Updates,
  state: optax.OptState,
  params: optax.Params,
) -> tuple[optax.Updates, optax.OptState]:
  """Returns `optimizer.update(grads, state, params)`.

  Computed twice, so that XLA:CPU makes the new state where it is chosen, and
  not also for the update: large networks spend much of a step on such passes
  over all weights. Elsewhere the compiler sees one computation.
  """
  updates, _ = optimizer.update(*barrier((grads, state, params)))
  _, state = optimizer.update(grads, state, params)
  return barrier(updates), state
