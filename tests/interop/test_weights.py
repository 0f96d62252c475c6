"""Files of weights: what is read, and what is refused without running it."""

import os
import pickle
import sys

import numpy as np
import pytest

from jaxgan.errors import InputError
from jaxgan.interop import weights


class Payload:
  """Makes a folder when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def refusal(path):
  with pytest.raises(InputError) as caught:
    weights.read(path)
  message = str(caught.value)
  assert str(path) in message and "\n" not in message
  return message


@pytest.mark.oracle
def test_no_file_runs_code(tmp_path):
  torch = pytest.importorskip("torch")
  made, path = tmp_path / "made", tmp_path / "weights.pth"
  path.write_bytes(pickle.dumps(Payload(made), protocol=2))
  assert "more than tensors" in refusal(path)
  assert not made.exists()
  pickle.loads(path.read_bytes())
  made.rmdir()  # so the file does run code, where it is let
  torch.save({"fc.weight": Payload(made)}, path)
  assert "more than tensors" in refusal(path)
  assert not made.exists()


@pytest.mark.oracle
def test_other_pytorch_files_are_refused(tmp_path):
  torch = pytest.importorskip("torch")
  path = tmp_path / "weights.pt"
  for content, message in (
    ({"state_dict": {"fc.weight": torch.zeros(2)}}, "state_dict is a dict"),
    ([torch.zeros(2)], "holds a list"),
    ({"fc.weight": torch.zeros(2, dtype=torch.bfloat16)}, "BFloat16"),
  ):
    torch.save(content, path)
    assert message in refusal(path)


@pytest.mark.oracle
@pytest.mark.parametrize("kept", [0, 50, 900])
def test_damaged_pytorch_file_is_refused(kept, tmp_path):
  torch = pytest.importorskip("torch")
  path = tmp_path / "weights.pth"
  torch.save({"fc.weight": torch.zeros(1000)}, path)
  path.write_bytes(path.read_bytes()[:kept])
  assert "damaged" in refusal(path)


@pytest.mark.oracle
@pytest.mark.parametrize("kept", [0, 50, 900])
def test_damaged_safetensors_file_is_refused(kept, tmp_path):
  numpy = pytest.importorskip("safetensors.numpy")
  path = tmp_path / "weights.safetensors"
  numpy.save_file({"fc.weight": np.zeros(1000)}, path)
  path.write_bytes(path.read_bytes()[:kept])
  assert "damaged" in refusal(path)


def test_missing_file_is_refused(tmp_path):
  assert "No such file" in refusal(tmp_path / "none.pth")
  assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize(
  ("suffix", "module", "extra"),
  [
    (".pth", "torch", r"PyTorch: pip install 'jaxgan\[torch\]'"),
    (
      ".safetensors",
      "safetensors.numpy",
      r"safetensors: pip install 'jaxgan\[safetensors\]'",
    ),
  ],
)
def test_missing_package_is_named(suffix, module, extra, tmp_path, monkeypatch):
  path = tmp_path / f"weights{suffix}"
  path.touch()
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(InputError, match=f"needs {extra}$"):
    weights.read(path)
