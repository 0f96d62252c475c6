"""Runs made of published weights, against the networks that they are of."""

import json
from functools import partial

import jax
import numpy as np
import pytest
from helpers.configs import load_config
from helpers.runs import command
from helpers.torch_networks import (
  SMALL,
  PatchGAN,
  ResNet,
  UNet,
  assert_same_images,
  images,
  randomised,
  saved,
  theirs,
)

from jaxgan import models
from jaxgan.config import differences
from jaxgan.errors import InputError
from jaxgan.evaluation import restored
from jaxgan.game import sampling_variables
from jaxgan.interop import imported_runs, pytorch_cyclegan

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle
nn = torch.nn
BATCH, INSTANCE = nn.BatchNorm2d, nn.InstanceNorm2d


def import_files(folder, networks, image_size=None):
  """Imports networks by flag; returns the run and its description."""
  files = {
    flag: str(saved(network, folder / f"{flag}.pth"))
    for flag, network in networks.items()
  }
  text = imported_runs.import_translation(files, folder / "run", image_size)
  return restored.load(folder / "run"), text


def check_run(found, folder, changed=()):
  """A run has the config of its algorithm, and averages what it holds."""
  config, algorithm, state = found
  preset = "pairs" if config.algorithm == "pix2pix" else "folders"
  for key in differences(load_config(config.algorithm, preset), config):
    assert key.startswith(("generator.", "critic.", "data.", *changed)), key
  assert json.loads((folder / "run/config.json").read_text()) == json.loads(
    config.to_json()
  )
  assert state.step == 0
  for averaged, raw in zip(
    sampling_variables(state),
    sampling_variables(state, averaged=False),
    strict=True,
  ):
    jax.tree.map(np.testing.assert_array_equal, averaged, raw)


def sample(found, batch):
  apply = jax.jit(found.game.sample)
  return apply(*sampling_variables(found.state), batch)


def judge(found, name, x):
  """The logits of a run's critic, where it has several that of `name`."""
  config, player = found.config, [found.state.params["critic"]]
  player.append(found.state.model_state["critic"])
  if name:
    player = [tree[name] for tree in player]
  critic = models.create("Critic", config, "critic")
  apply = jax.jit(
    lambda player: models.apply(critic, *player, x, train=False)[0]
  )
  return apply(player)[..., None]


def test_pix2pix(tmp_path):
  generator = randomised(UNet(BATCH, 8, downs=5, channels=(3, 1)))
  critic = randomised(PatchGAN(BATCH, 4, layers=2, channels=4))
  found, out = import_files(
    tmp_path, {"generator": generator, "critic": critic}, image_size=32
  )
  check_run(found, tmp_path)
  assert found.config.algorithm == "pix2pix"
  assert found.config.generator.dropout
  x = images(2, 32, 32, 3)
  (name,) = (way.output for way in found.game.directions)
  y = theirs(generator, x)
  assert_same_images("sampled", sample(found, {"source": x})[name], y)
  both = np.concatenate([x, y], axis=-1)
  assert_same_images("judged", judge(found, None, both), theirs(critic, both))
  # Samples are made from keys, and then noise is on.
  inputs = found.game.inputs(jax.random.split(jax.random.key(0)))
  noisy = sample(found, {"source": x, **inputs})[name]
  assert np.abs(noisy - y).max() > 0.1
  assert "U-Net, 5 downs, batch norm, width 8, 3 channels to 1, " in out
  assert "PatchGAN, 2 layers, batch norm, width 4, 4 channels to 1, " in out
  assert "note" not in out
  assert "python -m jaxgan.translate --workdir=" in out


@pytest.mark.parametrize(
  ("norm", "channels"), [(INSTANCE, (3, 3)), (BATCH, (1, 3))]
)
def test_cyclegan(norm, channels, tmp_path):
  networks = {
    "generator": randomised(ResNet(norm, 8, 2, channels=channels)),
    "generator_back": randomised(ResNet(norm, 8, 2, channels=channels[::-1])),
    "critic_back": randomised(PatchGAN(INSTANCE, 4, 2, channels[0])),
  }
  with torch.no_grad():  # of equal networks, one could take the other's place
    networks["generator_back"].model[1].weight *= -1
  found, out = import_files(tmp_path, networks, image_size=32)
  same = channels[0] == channels[1]
  check_run(found, tmp_path, () if same else ("weights.identity",))
  assert found.config.algorithm == "cyclegan"
  batch = {
    "source": images(2, 32, 32, channels[0]),
    "target": images(2, 32, 32, channels[1], seed=1),
  }
  samples = sample(found, batch)
  flags = {"forward": "generator", "backward": "generator_back"}
  for way in found.game.directions:
    expected = theirs(networks[flags[way.name]], batch[way.source])
    assert_same_images(way.name, samples[way.output], expected)
  assert_same_images(
    "judged",
    judge(found, "source", batch["source"]),
    theirs(networks["critic_back"], batch["source"]),
  )
  assert "note: the critic has fresh weights: no --critic was given" in out
  assert out.count("note:") == 1


def test_single_resnet(tmp_path):
  generator = randomised(ResNet(INSTANCE, 8, 2, dropout=True))
  found, out = import_files(tmp_path, {"generator": generator}, image_size=64)
  check_run(found, tmp_path, ["batch_size"])
  assert found.config.algorithm == "l1_translation"
  x = images(2, 64, 64, 3)
  (name,) = (way.output for way in found.game.directions)
  assert_same_images(
    "sampled", sample(found, {"source": x})[name], theirs(generator, x)
  )
  assert "ResNet, 2 blocks, instance norm, width 8, 3 channels to 3, " in out
  assert "; its dropout is left out" in out
  assert "note: the critic has fresh weights" in out


def test_two_unets_are_of_cyclegan(tmp_path):
  file = saved(UNet(INSTANCE, 4, downs=5), tmp_path / "net.pth")
  network = pytorch_cyclegan.read(file, "generator")
  networks = {"generator": network, "generator_back": network}
  config = imported_runs.create_config(networks)
  assert config.algorithm == "cyclegan"
  assert config.generator.name == "unet" and not config.generator.dropout
  assert config.data.image_size == 32


@pytest.mark.parametrize(
  ("create", "size"),
  [(UNet, 256), (partial(UNet, downs=7), 128), (ResNet, 256)],
)
def test_default_image_size(create, size, tmp_path):
  file = saved(create(BATCH, 4), tmp_path / "net.pth")
  networks = {"generator": pytorch_cyclegan.read(file, "generator")}
  config = imported_runs.create_config(networks)
  assert config.data.image_size == size
  assert config.critic.width == 64 and config.critic.norm == "batch"


def test_command(tmp_path):
  numpy = pytest.importorskip("safetensors.numpy")
  state = ResNet(INSTANCE, 4, 1).state_dict()
  numpy.save_file(
    {name: x.numpy() for name, x in state.items()},
    tmp_path / "net.safetensors",
  )
  arguments = "--generator=net.safetensors", "--workdir=made/run"
  done = command("import_torch", *arguments, "--image_size=64", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == (
    "python -m jaxgan.translate --workdir=made/run --input=PATH --output=PATH"
  )
  again = command("import_torch", *arguments, cwd=tmp_path)
  assert again.returncode == 1
  assert again.stderr == (
    "error: made/run holds something: give another --workdir\n"
  )


@pytest.mark.parametrize(
  ("networks", "message"),
  [
    (
      {"generator": "unet", "critic": "patchgan"},
      "critic.pth takes 3 channels and makes 1: as --critic of .*, it has to "
      "take 6 and make 1",
    ),
    ({"generator": "resnet", "critic": "of six"}, "has to take 3 and make 1"),
    (
      {"generator": "resnet", "critic_back": "patchgan"},
      "--critic_back is CycleGAN's: give --generator_back, too",
    ),
    (
      {"generator": "resnet", "generator_back": "to grey"},
      "has to take 3 and make 3",
    ),
    (
      {"generator": "resnet", "generator_back": "unet"},
      "generator_back.pth is of another form than .*generator.pth: U-Net, 5 "
      "downs, batch norm, width 4, not ResNet, 2 blocks, batch norm, width 4",
    ),
    (
      {
        "generator": "resnet",
        "generator_back": "dropout",
        "critic": "patchgan",
        "critic_back": "wide",
      },
      "critic_back.pth is of another form than .*: PatchGAN, 3 layers, batch "
      "norm, width 8, not ",
    ),
    (
      {"generator": "to grey"},
      "translates 3 channels to 1: a run of one ResNet",
    ),
    ({"generator": "of six channels"}, "only 1 and 3 are supported"),
  ],
)
def test_networks_that_do_not_fit_are_refused(networks, message, tmp_path):
  create = SMALL | {
    "of six": partial(PatchGAN, width=4, channels=6),
    "wide": PatchGAN,
    "to grey": partial(SMALL["resnet"], channels=(3, 1)),
    "of six channels": partial(SMALL["unet"], channels=(6, 3)),
  }
  with pytest.raises(InputError, match=message):
    import_files(tmp_path, {k: create[x](BATCH) for k, x in networks.items()})
  assert not (tmp_path / "run").exists()


def test_impossible_flags_are_refused(tmp_path):
  network = SMALL["resnet"](BATCH)
  for size, message in ((2, "image_size=2: give 4"), (16, "are too small")):
    with pytest.raises(InputError, match=message):
      import_files(tmp_path, {"generator": network}, image_size=size)
  assert not (tmp_path / "run").exists()
  for arguments, message in (
    ([], "give --generator=FILE"),
    (["--critic=net.pth", "--workdir=run"], "give --generator=FILE"),
    (["--generator=net.pth"], "give --workdir=DIR"),
    (["--generator=net.pth", "--features=net.pt"], "give --generator=FILE"),
    (
      ["--features=net.pt", "--critic=net.pth", "--workdir=run"],
      "give no other file",
    ),
    (
      ["--generator=net.pth", f"--workdir={tmp_path}"],
      "holds something: give another --workdir",
    ),
  ):
    result = command("import_torch", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
  assert not (tmp_path / "run").exists()
