"""Optional packages that tests compare with."""

import importlib.util
import sys
from unittest import mock

import pytest
from helpers.environment import ROOT


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


def import_facenet():
  """Returns `benchmarks/peer_facenet.py`; skips without its package."""
  pytest.importorskip("torch")
  if importlib.util.find_spec("facenet_pytorch") is None:
    pytest.skip("needs facenet-pytorch")
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("peer_facenet")
