"""FaceNet as the package facenet-pytorch publishes it, for comparisons."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def create(**options: Any) -> Any:
  """Returns the package's network, a module of PyTorch, with random weights.

  What the package imports beside that module needs torchvision, which the
  network does without.

  Raises:
    ModuleNotFoundError: where the package is not installed.
  """
  spec = importlib.util.find_spec("facenet_pytorch")
  if spec is None:
    raise ModuleNotFoundError(
      "needs facenet-pytorch: pip install --no-deps facenet-pytorch"
    )
  (root,) = spec.submodule_search_locations
  parts = ["facenet_pytorch", "models", "utils"]
  for i in range(1, 4):
    module = ModuleType(".".join(parts[:i]))
    module.__path__ = ["/".join([root, *parts[1:i]])]
    module.__spec__ = spec  # or `find_spec` would fail the next time
    sys.modules[module.__name__] = module
  module = importlib.import_module("facenet_pytorch.models.inception_resnet_v1")
  return module.InceptionResnetV1(**options)
