"""Minibatch discrimination, a layer that sees a whole batch."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxgan.game import AXIS
from jaxgan.models.layers.conv import initializer


class MinibatchDiscrimination(nn.Module):
  """`x [B, D] -> [B, D + kernels]`: x, and how near the rest of its batch is.

  Salimans et al. 2016 (arXiv:1606.03498), section 3.2: a kernel maps examples
  to `dims` numbers, and its output for one of them is the mean of exp(-d) over
  all others, on all devices, where d is the L1 distance. The paper has the sum,
  which grows with the batch; `kernels` and `dims` are its B and C.
  """

  kernels: int = 100
  dims: int = 5
  kernel_init: str = "normal"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = x.shape[-1], self.dims * self.kernels
    kernel = self.param("kernel", initializer(self.kernel_init, *shape), shape)
    maps = x.astype(jnp.promote_types(x.dtype, jnp.float32)) @ kernel
    maps = maps.T.reshape(self.dims, self.kernels, -1)
    everyone = maps
    if not self.is_initializing():  # when there is no axis
      everyone = lax.all_gather(maps, AXIS, axis=2, tiled=True)
    # A sum of few terms, not a reduction: that takes XLA:CPU 4 times as long.
    distances = sum(
      jnp.abs(a[:, :, None] - b[:, None])
      for a, b in zip(maps, everyone, strict=True)
    )
    # Less 1, for the distance to itself.
    others = max(everyone.shape[2] - 1, 1)
    near = (jnp.exp(-distances).sum(2).T - 1) / others
    return jnp.concatenate([x, near.astype(x.dtype)], axis=1)
