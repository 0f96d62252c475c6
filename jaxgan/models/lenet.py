"""A small convolutional classifier, whose features serve as a metric.

Of the size of LeNet-5 (LeCun et al. 1998), with strides in place of pooling.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxgan.checks import positive
from jaxgan.game import AXIS
from jaxgan.models.layers.conv import Conv, dense


class Classifier(nn.Module):
  """`images [B, H, W, C] -> features [B, D], logits [B, K]`.

  Attributes:
    classes: K.
    widths: channels of the convolutions, each of which halves the image.
    features: D, the width of the last hidden layer before its ReLU, normalised
      over the training images (batch norm without scale or bias), so that
      distances of them have a scale.
    per_channel: whether the one network looks at each of the C channels by
      itself. A label is then a number whose C digits are the channels'
      classes, the first channel's first: K is that of one channel to the power
      of C, and D is C times that of one channel.
  """

  classes: int
  widths: tuple[int, ...] = (32, 64)
  features: int = 64
  per_channel: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    positive(classes=self.classes, widths=self.widths, features=self.features)
    batch, *sides, channels = images.shape
    parts = channels if self.per_channel else 1
    x = images
    if self.per_channel:
      x = jnp.moveaxis(x, -1, 1).reshape(-1, *sides, 1)
    # A side that is not a multiple of the strides gets a margin.
    multiple = 2 ** len(self.widths)
    margins = [(0, -side % multiple) for side in sides]
    x = jnp.pad(x, ((0, 0), *margins, (0, 0)), constant_values=-1)
    common = {"kernel_init": "uniform", "dtype": self.dtype}
    for width in self.widths:
      x = nn.relu(Conv(width, 5, stride=2, **common)(x))
    x = dense(self.features, False, **common)(x.reshape(x.shape[0], -1))
    x = nn.BatchNorm(
      not train, momentum=0.9, use_scale=False, use_bias=False,
      dtype=self.dtype, axis_name=AXIS,
    )(x)  # fmt: skip
    features = x.reshape(batch, -1).astype(jnp.float32)
    classes = round(self.classes ** (1 / parts))
    logits = dense(classes, **common)(nn.relu(x))
    logits = logits.reshape(batch, parts, classes).astype(jnp.float32)
    joint = logits[:, 0]
    for part in range(1, parts):
      joint = joint[..., None] + logits[:, None, part]
      joint = joint.reshape(batch, -1)
    return features, joint
