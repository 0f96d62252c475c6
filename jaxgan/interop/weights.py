"""Files of published weights. Reading one never runs code that it holds."""

import io
import os
import pathlib
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.errors import InputError, first_line
from jaxgan.models.inception import SIDE, Inception


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name, in the order and layout it has.

  Args:
    path: of a `.safetensors` file, or of a state dict by `torch.save`.

  Raises:
    InputError: where the file is missing, damaged or holds anything but named
      tensors, or the package that reads it is missing.
  """
  path = pathlib.Path(path)
  try:
    data = path.read_bytes()
  except OSError as e:
    raise InputError(
      f"{path} cannot be read: {e.strerror}; give a file of weights"
    ) from e
  try:
    of_pytorch = path.suffix != ".safetensors"
    return _read_pytorch(data) if of_pytorch else _read_safetensors(data)
  except InputError as e:
    raise InputError(f"{path}: {e}") from e
  except pickle.UnpicklingError as e:
    # PyTorch's own message is long, and suggests to run the file.
    raise InputError(
      f"{path} is no file of weights, or holds more than tensors, which would "
      "run code from it: give a state dict, or a .safetensors file"
    ) from e
  except Exception as e:  # the libraries raise many kinds
    raise InputError(
      f"{path} is damaged or no file of weights: fetch it again "
      f"({first_line(e)})"
    ) from e


class Tensor(NamedTuple):
  """An entry of a file, and the path of our variable, if we have one."""

  name: str
  shape: tuple[int, ...]
  path: tuple[str, ...] | None = None
  optional: bool = False


def convert(
  entries: Mapping[str, np.ndarray], tensors: Iterable[Tensor]
) -> dict[str, Any]:
  """Returns our variables of the entries of a file, as `read` returns them.

  Raises:
    InputError: where an entry is missing, of another shape, unexpected or not
      finite.
  """
  rest, variables = dict(entries), {}
  for name, shape, path, optional in tensors:
    if optional and name not in rest:
      continue
    if name not in rest:
      raise InputError(f"it has no {name} {list(shape)}")
    value = rest.pop(name)
    if value.shape != shape:
      raise InputError(f"its {name} is {list(value.shape)}, not {list(shape)}")
    if not np.isfinite(value).all():
      raise InputError(f"its {name} holds values that are not finite")
    if path:
      # Ours are HWIO and IO; those of PyTorch are OIHW and OI, or IOHW where
      # they are transposed, as ours are backwards.
      value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
      variables[path] = np.ascontiguousarray(value, np.float32)
  for name, value in rest.items():
    if not name.endswith(".num_batches_tracked"):
      raise InputError(
        f"its {name} {list(value.shape)} is unexpected: such a network has none"
      )
  return unflatten_dict(variables)


def convert_named(
  shapes: Any, entries: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """Converts the entries of a network whose modules bear published names.

  Args:
    shapes: of our variables: convolutions, dense layers and batch norms.
    entries: see `convert`, also for what it raises.
  """
  leaves = {"mean": "running_mean", "var": "running_var", "bias": "bias"}
  tensors = []
  for path, leaf in flatten_dict(shapes).items():
    name = ".".join([*path[1:-1], leaves.get(path[-1], "weight")])
    shape = (*leaf.shape[-2:][::-1], *leaf.shape[:-2])
    tensors.append(Tensor(name, shape, path))
  return convert(entries, tensors)


def inception_variables(entries: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns the variables of `Inception` for the weights that define FID.

  Args:
    entries: such as `Mixed_5b.branch1x1.conv.weight [64, 192, 1, 1]`.

  Raises:
    InputError: see `convert`.
  """
  images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  shapes = jax.eval_shape(Inception().init, jax.random.key(0), images)
  entries = {name: x for name, x in entries.items() if name != "fc.bias"}
  try:
    return convert_named(shapes, entries)
  except InputError as e:
    raise InputError(
      f"the file does not hold the weights of FID: {e}; fetch "
      "pt_inception-2015-12-05; FaceNet has to be imported first, by python -m "
      "jaxgan.import_torch --features=FILE --workdir=DIR"
    ) from e


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
  try:
    import safetensors.numpy
  except ImportError as e:
    raise InputError(
      "reading .safetensors needs safetensors: pip install "
      "'jaxgan[safetensors]'"
    ) from e
  return safetensors.numpy.load(data)


def _read_pytorch(data: bytes) -> dict[str, np.ndarray]:
  try:
    import torch
  except ImportError as e:
    raise InputError(
      "reading PyTorch weights needs PyTorch: pip install 'jaxgan[torch]'"
    ) from e
  weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
  if not isinstance(weights, dict):
    raise InputError(f"holds a {type(weights).__name__}: give a state dict")
  for name, value in weights.items():
    if not isinstance(name, str):
      raise InputError(f"names a tensor {name!r}: give a state dict")
    if not isinstance(value, torch.Tensor):
      raise InputError(
        f"{name} is a {type(value).__name__}, not a tensor: give the state "
        "dict alone"
      )
  return {name: value.detach().numpy() for name, value in weights.items()}
