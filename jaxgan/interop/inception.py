"""Inception with the published weights that FID is defined by."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import InputError
from jaxgan.interop import weights
from jaxgan.models.inception import SIDE, Inception


def inception_variables(entries: Mapping[str, np.ndarray]) -> dict:
  """Returns the variables of `Inception` for weights by published name.

  Args:
    entries: such as `Mixed_5b.branch1x1.conv.weight [64, 192, 1, 1]`, in the
      order of PyTorch.

  Raises:
    InputError: where an entry is missing, of another shape, or unexpected.
  """
  images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  shapes = jax.eval_shape(Inception().init, jax.random.key(0), images)
  entries = {name: x for name, x in entries.items() if name != "fc.bias"}
  try:
    return weights.named(shapes, entries)
  except InputError as e:
    raise InputError(
      f"{e}; the FID weights, pt_inception-2015-12-05, are needed"
    ) from e
