"""Optional packages that tests compare with."""

import importlib.util
import sys
from unittest import mock

import pytest


def import_torch_fidelity():
  """Returns the package torch_fidelity; without it, skips the test.

  At import it asks for torchvision, which what the tests use does without.
  """
  pytest.importorskip("torch")
  stand_ins = {}
  if importlib.util.find_spec("torchvision") is None:
    for name in ("", ".datasets", ".transforms", ".transforms.functional"):
      stand_ins["torchvision" + name] = mock.MagicMock()
  sys.modules.update(stand_ins)
  try:
    return pytest.importorskip("torch_fidelity")
  finally:
    for name in stand_ins:
      del sys.modules[name]
