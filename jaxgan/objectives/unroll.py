"""Unrolled GAN: Metz et al. 2017 (arXiv:1611.02163)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgan.game import pmean


def unroll(
  loss: Callable[[Any, Any], tuple[jax.Array, Any]],
  optimizer: optax.GradientTransformation,
  params: Any,
  model_state: Any,
  opt_state: optax.OptState,
  steps: int,
) -> tuple[Any, Any]:
  """Returns a player's params and model state after `steps` further updates.

  The paper's section 2.2 with the player's optimizer: gradients flow through
  its updates and their moments, to whatever `loss` closes over. Each step is
  computed again for the gradient, so that memory grows little with `steps`.

  Within a mapped step: each update follows the mean gradient of all devices.

  Args:
    loss: `(params, model_state) -> (scalar, new model_state)`, on the same
      examples in every step; the scalar is a mean over this device's.
    optimizer: of the player.
    params: of the player, before the updates.
    model_state: likewise.
    opt_state: likewise.
    steps: the number of updates; may be 0.
  """

  @jax.checkpoint
  def step(params: Any, model_state: Any, opt_state: Any) -> tuple:
    grads, model_state = jax.grad(loss, has_aux=True)(params, model_state)
    grads = jax.tree.map(_differentiable, pmean(grads))
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), model_state, opt_state

  # Few, and not a loop of the compiled program, which would be slow: see
  # train_step.py.
  for _ in range(steps):
    params, model_state, opt_state = step(params, model_state, opt_state)
  return params, model_state


@jax.custom_vjp
def _differentiable(grads: jax.Array) -> jax.Array:
  """Returns `grads`; backwards, replaces the NaNs of an optimizer's root by 0.

  The gradient of a dead unit, or of the last bias of a Wasserstein critic, is
  always 0, and so is its second moment, where the root of Adam and RMSprop has
  an infinite derivative: times 0, not a number. The same holds where the square
  underflows.
  """
  return grads


def _differentiable_bwd(grads: jax.Array, ct: jax.Array) -> tuple[jax.Array]:
  lost = ~jnp.isfinite(ct) & (jnp.abs(grads) < 1e-15)
  return (jnp.where(lost, 0, ct),)


_differentiable.defvjp(lambda grads: (grads, grads), _differentiable_bwd)
