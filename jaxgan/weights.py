"""Files of published weights. Reading one never runs code that it holds."""

import hashlib
import io
import os
import pathlib
import pickle

import numpy as np

from jaxgan.config import InputError, first_line


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
