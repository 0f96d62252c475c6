"""Files of published weights. Reading one never runs code that it holds."""

import hashlib
import io
import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.errors import InputError, first_line


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name, in the order and layout it has.

  Args:
    path: of a `.safetensors` file, or of a state dict by `torch.save`.

  Raises:
    InputError: where the file is missing, damaged or holds anything but named
      tensors, or the package that reads it is missing.
  """
  path = pathlib.Path(path)
  data = _contents(path)
  try:
    if path.suffix == ".safetensors":
      return _read_safetensors(data)
    return _read_pytorch(data)
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


def named(shapes: Any, entries: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns the variables of a network whose modules bear published names.

  Args:
    shapes: of the variables: convolutions, dense layers and batch norms.
    entries: of a state dict, as `read` returns.

  Raises:
    InputError: where an entry is missing, of another shape, unexpected or not
      finite.
  """
  leaves = {"mean": "running_mean", "var": "running_var", "bias": "bias"}
  variables, left = {}, dict(entries)
  for path, leaf in flatten_dict(shapes).items():
    _, *modules, last = path
    name = ".".join([*modules, leaves.get(last, "weight")])
    # Ours are HWIO and IO; those of PyTorch are OIHW and OI.
    to_ours, to_theirs = {
      4: ((2, 3, 1, 0), (3, 2, 0, 1)),
      2: ((1, 0), (1, 0)),
      1: ((0,), (0,)),
    }[leaf.ndim]
    expected = [leaf.shape[axis] for axis in to_theirs]
    if name not in left:
      raise InputError(f"no {name} {expected} among the weights")
    value = left.pop(name)
    if list(value.shape) != expected:
      raise InputError(f"{name} is {list(value.shape)}, not {expected}")
    if not np.isfinite(value).all():
      raise InputError(f"{name} holds values that are not finite")
    variables[path] = value.transpose(to_ours).astype(np.float32)
  for name, value in left.items():
    if not name.endswith(".num_batches_tracked"):
      raise InputError(f"{name} {list(value.shape)} is unexpected")
  return unflatten_dict(variables)


def sha256(path: str | os.PathLike) -> str:
  """Returns the digest of a file, in hexadecimal.

  Raises:
    InputError: where it cannot be read.
  """
  return hashlib.sha256(_contents(pathlib.Path(path))).hexdigest()


def _contents(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise InputError(
      f"{path} cannot be read: {e.strerror}; give a file of weights"
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
