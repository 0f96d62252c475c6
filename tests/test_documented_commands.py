"""The commands of README and docs run, at a tiny size, in the order of a page.

Words in capitals stand for the reader's files: here, images of noise. Sets that
would be downloaded, too, are replaced by those.
"""

import importlib
import re
import shutil

import pytest
from helpers import documents
from helpers.configs import feature_net, load_config, shrink
from helpers.environment import ROOT
from helpers.files import write_images
from helpers.oracles import import_facenet
from helpers.runs import command
from helpers.session import once

from jaxgan import config_files, train
from jaxgan.config import flatten
from jaxgan.data import SIDES, builtin

pytestmark = pytest.mark.processes

PAGES = [page for page in documents.PAGES if list(documents.commands(page))]
# Names of `config.data` that need no download.
AT_HAND = {*builtin.names(), "folder", "pairs", "unpaired", "outlines"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_of_a_page(page, tmp_path, trained):
  (tmp_path / "configs").symlink_to(ROOT / "configs")
  shutil.copytree(ROOT / "pretrained", tmp_path / "pretrained")
  write_images(tmp_path / "noise/a", 140, (64, 32))
  makes_runs = False
  for module, arguments in documents.commands(page):
    makes_runs |= module in ("main", "import_torch")
    flags = [x.removeprefix("--").partition("=")[::2] for x in arguments]
    values = dict(flags)
    for key, value in flags:
      if key in arguments:  # a run that `compare` is given
        provide_run(tmp_path / key, trained)
      elif key == "workdir" and not makes_runs:
        provide_run(tmp_path / value, trained)
      elif key not in ("output", "export"):
        provide_files(tmp_path, value)
    changes = CHANGES.get(module, lambda values: [])(values)
    changed = {flag.partition("=")[0] for flag in changes}
    kept = [x for x in arguments if x.partition("=")[0] not in changed]
    result = command(module, *kept, *changes, cwd=tmp_path)
    assert result.returncode == 0, (module, arguments, result.stderr)
    for key in {"output", "export"} & set(values):
      assert (tmp_path / values[key]).exists()


def provide_run(workdir, trained):
  """Makes a run that the commands of a page do not make."""
  if not workdir.exists():
    known = (ROOT / "configs" / f"{workdir.name}.py").exists()
    shutil.copytree(trained(workdir.name if known else "dcgan"), workdir)


def provide_files(folder, value):
  """Makes the reader's files, where a flag names some."""
  path = folder / value
  if path.exists():
    return
  if re.fullmatch(r"[A-Z]{4,}(/(train|test))?", value):
    names = ("train", "test") if path.name in ("train", "test") else ("",)
    for name in names:
      shutil.copytree(folder / "noise", folder / value.split("/")[0] / name)
  elif value.endswith((".pt", ".pth", ".safetensors")):
    weights(path)


def weights(path):
  """Writes weights of published networks, at random."""
  torch = pytest.importorskip("torch")
  if path.suffix == ".pth":
    networks = importlib.import_module("helpers.torch_networks")
    networks.saved(networks.ResNet(networks.INSTANCE), path)
    return
  state = import_facenet().create(classify=False).state_dict()
  if path.suffix == ".pt":
    torch.save(state, path)
  else:
    pytest.importorskip("safetensors.torch").save_file(state, path)


def tiny(values):
  """Returns the flags that make a training one of two steps of a tiny game."""
  config = config_files.load(values["config"])
  before = flatten(config)
  after = flatten(shrink(config)) | {"steps": 2}
  if "config.features.workdir" in values:
    after = {k: x for k, x in after.items() if not k.startswith("features.")}
  flags = [
    f"--config.{key}={value}"
    for key, value in after.items()
    if key in before and value != before[key]
  ]
  for prefix, data in [
    ("data", config.data),
    *((f"data.{side}", config.data.get(side, {})) for side in SIDES),
  ]:
    if data.get("name", "digits") not in AT_HAND:
      name = "stacked_digits" if "classifier" in config else "folder"
      flags.append(f"--config.{prefix}.name={name}")
      flags.append(
        f"--config.{prefix}.path=noise"
        if name == "folder"
        else "--config.classifier.classes=1000"
      )
  return flags


def tiny_features(values):
  """Returns the flag of a net that needs fewer images than FaceNet."""
  features = values.get("features", "")
  if features == "runs/facenet":
    return [f"--features={once('rgb_feature_net', train_on_colours)}"]
  return [] if features else [f"--features={feature_net()}"]


def train_on_colours(folder):
  config = shrink(load_config("classifier", "cifar10"))
  config.data.name = "stacked_digits"
  config.classifier.classes = 1000
  config.steps = 1
  train(config, folder)


CHANGES = {
  "main": tiny,
  "benchmark": tiny,
  "evaluate": tiny_features,
  # The page is served in the tests of the demo.
  "demo": lambda values: [] if "export" in values else ["--export=space_too"],
}
