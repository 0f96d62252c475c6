"""Weights alone: what they make, how small they are, and what is refused."""

import re

import jax
import numpy as np
import pytest
from helpers.configs import feature_net
from helpers.environment import ROOT
from helpers.runs import command

from jaxgan.errors import InputError
from jaxgan.evaluation import restored, sampling, weights_only
from jaxgan.game import sampling_variables


def samples(run):
  sample = sampling.sampler(run.game, seed=0)
  (images,) = sample(sampling_variables(run.state), 20)
  return np.asarray(images).astype(int)


def size(folder):
  return sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())


@pytest.fixture
def written(trained, tmp_path):
  """A run, and the folder of its weights."""
  run = restored.load(trained("dcgan"))
  weights_only.write(run.config, run.state, tmp_path / "weights")
  return run, tmp_path / "weights"


def test_they_sample_as_the_run_does(trained, written):
  run, folder = written
  found = restored.load(folder)
  # Averages of 16 bits, and the statistics of batch norm as they were.
  assert abs(samples(found) - samples(run)).max() <= 1
  assert int(found.state.step) == int(run.state.step)
  params, model_state = sampling_variables(run.state)
  jax.tree.map(
    np.testing.assert_array_equal,
    found.state.model_state["generator"],
    model_state["generator"],
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(a, b.astype("f2").astype("f4")),
    found.state.params["generator"],
    params["generator"],
  )
  assert size(folder) < size(trained("dcgan") / "checkpoints") / 5
  assert restored.load(folder, "best").state.step == run.state.step
  with pytest.raises(InputError, match="has but step 2"):
    restored.load(folder, 7)


def test_weights_beyond_16_bits_keep_32(written, tmp_path):
  run, _ = written
  params = jax.tree.map(lambda x: x + 1e5, run.state.ema_params)
  state = run.state.replace(ema_params=params)
  weights_only.write(run.config, state, tmp_path / "large")
  found = restored.load(tmp_path / "large").state.params["generator"]
  jax.tree.map(np.testing.assert_array_equal, found, params["generator"])


def test_frozen_players_come_along_or_are_looked_for(trained, tmp_path):
  run = restored.load(trained("dtn"))
  weights_only.write(run.config, run.state, tmp_path / "whole")
  assert not restored.load(tmp_path / "whole").config.features.workdir
  folder = tmp_path / "without"
  weights_only.write(run.config, run.state, folder, leave_out=["features"])
  assert size(folder) < size(tmp_path / "whole")
  with pytest.raises(InputError, match=rf"--workdir={folder}/features"):
    restored.load(folder)
  (folder / "features").symlink_to(feature_net())
  for name, tolerance in (("whole", 1e-3), ("without", 0)):
    found = restored.load(tmp_path / name).state.params["features"]
    jax.tree.map(
      lambda a, b, t=tolerance: np.testing.assert_allclose(a, b, t, t),
      found,
      run.state.params["features"],
    )
  with pytest.raises(InputError, match="leave_out='critic': that is no frozen"):
    weights_only.write(run.config, run.state, folder, leave_out=["critic"])


def test_damage_is_noticed(written):
  run, folder = written
  text = (folder / "run.json").read_text()
  (folder / "run.json").write_text(text.replace('"width": 4', '"width": 8'))
  with pytest.raises(InputError, match="the params of its generator are not"):
    restored.load(folder)
  (folder / "run.json").write_text(
    re.sub(r'"format": \d+', '"format": 1', text)
  )
  with pytest.raises(InputError, match="an older version"):
    restored.load(folder)
  for contents, message in (
    (text[:-40], "cannot be read"),
    ("[]", "is not of jaxgan.export"),
    ('{"format": "x"}', "is not of jaxgan.export"),
    ('{"format": 3, "config": []}', "is not of jaxgan.export"),
  ):
    (folder / "run.json").write_text(contents)
    with pytest.raises(InputError, match=f"run.json {message}"):
      restored.load(folder)
  (folder / "run.json").write_text(text)
  weights = folder / "weights.npz"
  contents = bytearray(weights.read_bytes())
  contents[len(contents) // 2] ^= 1
  weights.write_bytes(contents)
  with pytest.raises(InputError, match="weights.npz cannot be read"):
    restored.load(folder)
  weights.unlink()
  with pytest.raises(InputError, match="weights.npz cannot be read"):
    restored.load(folder)


def test_runs_without_a_generator_are_refused(tmp_path):
  run = restored.load(feature_net())
  with pytest.raises(InputError, match="'classifier' has no generator"):
    weights_only.write(run.config, run.state, tmp_path / "weights")


def test_another_feature_net_is_refused(trained, tmp_path):
  run = restored.load(trained("dtn"))
  other = jax.tree.map(lambda x: x * 1.5, run.state.params)
  state = run.state.replace(params=other)
  weights_only.write(run.config, state, tmp_path / "a", leave_out=["features"])
  (tmp_path / "a/features").symlink_to(feature_net())
  with pytest.raises(InputError, match="is not the network that"):
    restored.load(tmp_path / "a")
  (tmp_path / "a/features").unlink()
  (tmp_path / "a/features").symlink_to(trained("dcgan"))
  with pytest.raises(InputError, match="is a run of 'gan'"):
    restored.load(tmp_path / "a")


@pytest.mark.slow
def test_the_command(trained, tmp_path):
  arguments = f"--workdir={trained('dcgan')}", "--output=weights"
  result = command("export", *arguments, cwd=tmp_path)
  assert result.returncode == 0, result.stderr
  assert re.search(r"wrote weights, 0\.\d MB", result.stdout)
  result = command(
    "sample", "--workdir=weights", "--output=x.png", cwd=tmp_path
  )
  assert result.returncode == 0, result.stderr
  assert (tmp_path / "x.png").exists()
  # Training does not go on from them.
  config = f"--config={ROOT}/configs/dcgan.py"
  result = command("main", config, "--workdir=weights", cwd=tmp_path)
  assert "weights holds files, but no run" in result.stderr
  result = command("export", *arguments, cwd=tmp_path)
  assert "weights holds something: give another --output" in result.stderr
  result = command("export", f"--workdir={trained('dcgan')}", cwd=tmp_path)
  assert "give --output" in result.stderr
