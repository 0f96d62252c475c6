"""Normalisation of layers and of weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxgan.checks import one_of
from jaxgan.errors import InputError
from jaxgan.game import AXIS, pmean

EPSILON = 1e-5
MOMENTUM = 0.9  # of the running statistics of batch norm, as in DCGAN


def normalize(
  norm: str,
  x: jax.Array,
  train: bool,
  dtype: Any,
  axis: str | None = AXIS,
) -> jax.Array:
  """Applies a new normalisation layer, within a compact module.

  Args:
    norm: "batch" (with statistics over the examples of all devices, its
      scale from N(1, 0.02) as in DCGAN), "layer" (over all of an example, as
      in WGAN-GP), "instance" (over each channel of an example, without scale
      or bias, as in CycleGAN), or "none".
    x: `[B, H, W, C]` or `[B, D]`.
    train: whether "batch" uses the statistics of the batch, not running ones.
    dtype: of the result.
    axis: over which devices are mapped; None for statistics of one device.
  """
  one_of("norm", norm, ("batch", "layer", "instance", "none"))
  if norm == "instance" and x.ndim == 2:
    raise InputError("norm='instance': there is no image here; give another")
  if norm == "batch":
    return BatchNorm(train, axis, dtype)(x)
  if norm == "layer":
    return nn.LayerNorm(
      epsilon=EPSILON, dtype=dtype, reduction_axes=tuple(range(1, x.ndim))
    )(x)
  if norm == "instance":
    axes, others = tuple(range(1, x.ndim - 1)), (0, x.ndim - 1)
    # Less the first pixel, or the variance of a nearly flat map would be lost
    # in the rounding of its mean square.
    first = lax.stop_gradient(x[:, *(0,) * len(axes)])
    x = x - lax.broadcast_in_dim(first, x.shape, others)
    mean, variance = _moments(x, axes, None)
    scale = lax.rsqrt(variance + EPSILON)
    return _affine(x, mean, scale, 0.0, others).astype(dtype)
  return x


class BatchNorm(nn.Module):
  """Batch norm, with variables as those of Flax's; see `normalize`.

  Its statistics get their axes back only at the end. With those of Flax, whose
  sums keep them, XLA takes equal passes for different ones, and makes the fakes
  of a step twice.
  """

  train: bool
  axis: str | None
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = x.shape[-1:]
    scale = self.param("scale", _near_one, shape)
    bias = self.param("bias", nn.initializers.zeros, shape)
    mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    variance = self.variable("batch_stats", "var", jnp.ones, shape)
    statistics = mean.value, variance.value
    if self.train and not self.is_initializing():
      statistics = _moments(x, tuple(range(x.ndim - 1)), self.axis)
      for running, new in zip((mean, variance), statistics, strict=True):
        running.value = MOMENTUM * running.value + (1 - MOMENTUM) * new
    scale *= lax.rsqrt(statistics[1] + EPSILON)
    x = _affine(x, statistics[0], scale, bias, (x.ndim - 1,))
    return x.astype(self.dtype)


def _near_one(rng: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  return 1 + 0.02 * jax.random.normal(rng, shape)


def _moments(
  x: jax.Array, axes: tuple[int, ...], axis: str | None
) -> tuple[jax.Array, jax.Array]:
  """Returns means and variances over some axes, and the devices on `axis`."""
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  means = jnp.stack([x.mean(axes), jnp.square(x).mean(axes)])
  if axis:
    means = pmean(means, axis)
  mean, square = means
  return mean, jnp.maximum(0.0, square - jnp.square(mean))


def _affine(
  x: jax.Array, mean: jax.Array, scale: jax.Array, bias: Any, axes: Any
) -> jax.Array:
  """Returns `(x - mean) * scale + bias`, these on some axes of x."""
  expand = partial(
    lax.broadcast_in_dim, shape=x.shape, broadcast_dimensions=axes
  )
  bias = jnp.broadcast_to(bias, mean.shape)
  return (x - expand(mean)) * expand(scale) + expand(bias)


def spectral(
  use: bool, layer: nn.Module, train: bool
) -> Callable[[jax.Array], jax.Array]:
  """Returns a layer, with spectral norm 1 if it is used.

  Miyato et al. 2018 (arXiv:1802.05957): each call in training takes one power
  iteration towards the kernel's largest singular value, and divides by it.
  """
  if use:
    return partial(nn.SpectralNorm(layer), update_stats=train)
  return layer


def unit_length(x: jax.Array) -> jax.Array:
  """Divides vectors `[..., D]` by their length, or by 1e-6 if that is more."""
  x = x.astype(jnp.float32)
  square = jnp.square(x).sum(-1, keepdims=True)
  return x * lax.rsqrt(jnp.maximum(square, 1e-12))
