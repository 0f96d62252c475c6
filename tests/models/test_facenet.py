"""FaceNet against the published PyTorch network, and as the net of a DTN."""

import re

import jax
import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.games import first_of, loss_of, start, weights
from helpers.oracles import import_facenet
from helpers.torch_networks import randomised, saved

from jaxgan import algorithms
from jaxgan.algorithms import with_pretrained
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, restored, sampling
from jaxgan.game import sampling_variables
from jaxgan.interop import imported_runs
from jaxgan.models import facenet

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle
PEOPLE = 11


@pytest.fixture(scope="module")
def published():
  """The network of the package facenet-pytorch, with random weights."""
  peer = import_facenet()
  return randomised(peer.create(classify=True, num_classes=PEOPLE)).eval()


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, published):
  folder = tmp_path_factory.mktemp("facenet")
  file = saved(published, folder / "vggface2.pt")
  imported_runs.import_facenet(file, folder / "run")
  return folder / "run"


def test_features_are_those_of_pytorch(workdir, published):
  found = restored.load(workdir)
  params, model_state = sampling_variables(found.state)
  network = facenet.Classifier()
  variables = {"params": params["classifier"], **model_state["classifier"]}
  for size in ((160, 160), (96, 112)):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, *size, 3)).astype("f4")
    ours, logits = jax.jit(lambda x: network.apply(variables, x, train=False))(
      pixels / 127.5 - 1
    )
    assert logits.shape == (2, 0)
    # What the package calls fixed image standardization.
    x = torch.tensor((pixels.transpose(0, 3, 1, 2) - 127.5) / 128)
    published.classify = False
    with torch.no_grad():
      theirs = published(x).numpy()
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"features at {size[0]}x{size[1]}: {error:.1e}")
    assert error < 5e-6
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-5)


def test_the_run_is_a_feature_net(workdir, capsys):
  found = restored.load(workdir)
  assert found.config.algorithm == "classifier"
  assert found.config.data.image_size == facenet.SIDE
  assert dict(found.config.classifier) == {"name": "facenet", "classes": 0}
  leaves = [x.size for x in jax.tree.leaves(found.state.params)]
  kept = sum(x.nbytes for x in jax.tree.leaves(found.state))
  assert kept < 4.01 * sum(leaves) + 4 * 40_000  # once, and the statistics


@pytest.mark.parametrize("people", [8631, 0])
def test_files_of_any_kind(tmp_path, published, people):
  """Of 16 bits, and with or without logits and counts of batches."""
  numpy = pytest.importorskip("safetensors.numpy")
  entries = {
    key: x.numpy().astype(np.float16)
    for key, x in published.state_dict().items()
    if not key.startswith("logits.")
    and (people or not key.endswith("num_batches_tracked"))
  }
  if people:
    entries["logits.weight"] = np.zeros((people, 512), np.float16)
    entries["logits.bias"] = np.zeros(people, np.float16)
  numpy.save_file(entries, tmp_path / "half.safetensors")
  text = imported_runs.import_facenet(
    tmp_path / "half.safetensors", tmp_path / "run"
  )
  note = "note: logits.weight and logits.bias are left out"
  assert (note in text) == bool(people)
  run = restored.load(tmp_path / "run")
  params = run.state.params["classifier"]
  kernel = params["conv2d_1a"]["conv"]["kernel"]
  assert kernel.dtype == np.float32
  np.testing.assert_array_equal(
    kernel,
    entries["conv2d_1a.conv.weight"].transpose(2, 3, 1, 0).astype("f4"),
  )


def test_the_net_of_metrics(workdir, monkeypatch):
  monkeypatch.setattr(sampling, "BATCH_SIZE", 8)
  config = load_config("dcgan", "folder").data
  net = feature_nets.create(config, str(workdir))
  assert (net.prefix, net.classes, net.size) == ("FaceNet-", 0, 512)
  assert net.resizer == "linear to 160x160"
  images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
  features, logits = net.apply(net.variables, images)
  assert (features.shape, logits.shape) == ((3, 512), (3, 0))
  resized = jax.image.resize(
    images / np.float32(127.5) - 1, (3, 160, 160, 3), "linear"
  )
  expected, _ = facenet.Classifier().apply(net.variables, resized, train=False)
  np.testing.assert_allclose(features, expected, atol=1e-5)
  assert not feature_nets.has_labels(str(workdir))


def test_a_dtn_of_faces(workdir, published, tmp_path, monkeypatch):
  # At half the size and with a fifth of the blocks, to compile faster.
  monkeypatch.setattr(facenet, "SIDE", 80)
  monkeypatch.setattr(facenet, "REPEATS", (1, 1, 1))
  state = published.state_dict()
  entries = {k: x for k, x in state.items() if not re.match(r".*_\d\.[1-9]", k)}
  torch.save(entries, tmp_path / "small.pt")
  imported_runs.import_facenet(tmp_path / "small.pt", tmp_path / "net")
  config = shrink(load_config("dtn", "faces"))
  config.features = load_config("dtn", "faces").features
  config.features.update(workdir=str(tmp_path / "net"), image_size=80)
  config.data.image_size = 16
  algorithm, state, batches = start(config)
  state = with_pretrained(state, weights(algorithm))
  # The constancy is felt through the net.
  (loss, (_, metrics)), gradient = loss_of(
    algorithm, "generator", state, first_of(batches)
  )
  assert 0 < metrics["constancy"] < 2
  w = config.weights
  assert (w.constancy, w.identity, w.total_variation) == (3, 50, 10)
  np.testing.assert_allclose(
    loss, sum(w[key] * metrics[key] for key in w), rtol=1e-5
  )
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  # Another network names the key.
  config.features.network.classes = 8631
  with pytest.raises(InputError, match="set features.network to the former"):
    weights(algorithms.create(config))


def test_other_files_are_refused(tmp_path):
  network = torch.nn.Linear(512, 3)
  for change, message in (
    ({}, "it has no .*"),
    ({"logits.weight": torch.zeros(7, 512)}, "it has no .*"),
  ):
    file = tmp_path / "weights.pt"
    torch.save({**network.state_dict(), **change}, file)
    with pytest.raises(InputError, match=f"is no InceptionResnetV1: {message}"):
      imported_runs.import_facenet(file, tmp_path / "run")
  assert not (tmp_path / "run").exists()
  (tmp_path / "full").mkdir()
  (tmp_path / "full" / "file").touch()
  with pytest.raises(InputError, match="give another --workdir"):
    imported_runs.import_facenet(file, tmp_path / "full")
