"""Fully connected networks, for small images and for points in the plane."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import one_of, positive
from jaxgan.models.layers.conv import dense
from jaxgan.models.layers.minibatch_discrimination import (
  MinibatchDiscrimination,
)
from jaxgan.models.layers.norms import normalize, spectral

ACTIVATIONS = {
  "elu": nn.elu,
  "gelu": nn.gelu,
  "leaky_relu": partial(nn.leaky_relu, negative_slope=0.2),
  "relu": nn.relu,
  "silu": nn.silu,
  "softplus": nn.softplus,
  "tanh": nn.tanh,
}


class Generator(nn.Module):
  """`z [B, Z] -> [B, *shape]`: in [-1, 1] for images, free for points.

  Attributes:
    shape: of one example: `(H, W, C)` or `(D,)`.
    hidden: width of each hidden layer.
    activation: see `ACTIVATIONS`.
    scale: the unit of points.
  """

  shape: tuple[int, ...]
  hidden: tuple[int, ...] = (256, 512)
  activation: str = "relu"
  norm: str = "none"
  scale: float = 1.0
  kernel_init: str = "uniform"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: jax.Array, train: bool) -> jax.Array:
    one_of("activation", self.activation, ACTIVATIONS)
    activate = ACTIVATIONS[self.activation]
    positive(hidden=self.hidden)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    x = z
    for features in self.hidden:
      x = dense(features, self.norm != "batch", **common)(x)
      x = activate(normalize(self.norm, x, train, self.dtype))
    x = dense(math.prod(self.shape), **common)(x).reshape(-1, *self.shape)
    x = x.astype(jnp.promote_types(self.dtype, jnp.float32))
    return jnp.tanh(x) if len(self.shape) == 3 else self.scale * x


class Critic(nn.Module):
  """`x [B, ...] -> logits [B]`, or features `[B, outputs]`.

  Attributes: as of `Generator`; `outputs` is None for logits.
  """

  hidden: tuple[int, ...] = (512, 256)
  activation: str = "leaky_relu"
  norm: str = "none"
  spectral_norm: bool = False
  scale: float = 1.0
  outputs: int | None = None
  minibatch: tuple[int, int] | None = None
  kernel_init: str = "uniform"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    one_of("activation", self.activation, ACTIVATIONS)
    activate = ACTIVATIONS[self.activation]
    positive(hidden=self.hidden)
    common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
    x = x.reshape(x.shape[0], -1) / self.scale
    for i, features in enumerate(self.hidden):
      layer = dense(features, self.norm != "batch", **common)
      x = spectral(self.spectral_norm, layer, train)(x)
      x = activate(normalize(self.norm, x, train, self.dtype))
      self.sow("intermediates", f"hidden_{i}", x)
    if self.minibatch:
      x = MinibatchDiscrimination(*self.minibatch, self.kernel_init)(x)
    layer = dense(self.outputs or 1, **common)
    x = spectral(self.spectral_norm, layer, train)(x)
    x = x.astype(jnp.promote_types(self.dtype, jnp.float32))
    return x if self.outputs else x[:, 0]
