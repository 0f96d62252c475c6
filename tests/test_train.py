"""Whole runs, of every config, on small built-in data."""

import json
import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from filelock import FileLock
from helpers.configs import load_config, shrink, small
from helpers.environment import CONFIGS, ROOT
from helpers.runs import command, rows

from jaxgan import algorithms
from jaxgan.engine import checkpoint
from jaxgan.errors import InputError, NonFiniteError
from jaxgan.game import create_train_state
from jaxgan.objectives import losses
from jaxgan.train import train

pytestmark = pytest.mark.slow

NAMES = [path.stem for path in CONFIGS]


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((a, b)))


def test_the_same_run_twice_is_the_same(tmp_path):
  states = [train(small("gan"), tmp_path / name) for name in "ab"]
  one, other = (checkpoint.digest(jax.device_get(s)) for s in states)
  assert one == other
  other_seed = train(small("gan", seed=1), tmp_path / "c")
  assert checkpoint.digest(jax.device_get(other_seed)) != one


@pytest.mark.parametrize("name", NAMES)
def test_two_rounds_of_every_config(name, tmp_path, capsys):
  config = small(name)
  # As in test_processes, whose compilations then serve here, too.
  devices = jax.devices()[:4]
  state = train(config, tmp_path, devices)
  assert state.step == 2
  assert not state.halted
  if bound := config.optimizers.get("critic", {}).get("clip_weights"):
    weights = jax.tree.leaves(state.params["critic"])
    assert max(np.abs(w).max() for w in weights) <= bound + 1e-8
  written = {path.name for path in tmp_path.iterdir()}
  assert written > {
    "config.json", "metrics.jsonl", "samples", "curves.png", "checkpoints",
  }  # fmt: skip
  if "generator" in config.optimizers:
    assert (tmp_path / "samples.gif").exists()
    assert (tmp_path / "samples" / "00000002.png").exists()
  assert [row["step"] for row in rows(tmp_path)] == [1, 2]
  for row in rows(tmp_path):
    assert {f"{player}/loss" for player in config.optimizers} < set(row)
    assert np.isfinite(list(row.values())).all()
  stored = json.loads((tmp_path / "config.json").read_text())
  assert stored == json.loads(config.to_json())

  again = train(config, tmp_path, devices)
  assert "complete at round 2" in capsys.readouterr().out
  assert_equal(state, again)


def test_ot_gan_of_points(tmp_path):
  assert train(small("mixture", "grid_ot_gan"), tmp_path).step == 2


def test_bfloat16_and_shard_map(tmp_path):
  config = small("wgan_gp", dtype="bfloat16", parallel="shard_map")
  state = train(config, tmp_path)
  dtypes = {leaf.dtype for leaf in jax.tree.leaves(state.params)}
  assert dtypes == {np.dtype("float32")}
  assert all(np.isfinite(row["critic/penalty"]) for row in rows(tmp_path))


def test_the_objective_that_the_readme_adds(tmp_path, monkeypatch):
  readme = (ROOT / "README.md").read_text()
  (code,) = (
    block for block in readme.split("```python")[1:] if "smoothed" in block
  )
  namespace = dict(vars(losses))
  exec(code.split("```")[0], namespace)
  smoothed = namespace["smoothed"]
  # At a real logit r: -0.9 log D - 0.1 log(1 - D).
  r, far = np.float32(1.3), np.float32(-100)
  d = 1 / (1 + np.exp(-r))
  np.testing.assert_allclose(
    smoothed.critic(r, far), -0.9 * np.log(d) - 0.1 * np.log(1 - d), rtol=1e-5
  )
  monkeypatch.setattr(losses, "smoothed", smoothed, raising=False)
  assert train(small("nsgan", loss="smoothed"), tmp_path).step == 2


def test_resume_in_a_new_process_is_exact(tmp_path):
  # Batch norm, spectral norm's vectors, Adam's moments, the average, the
  # order of the data and all noise have to go on where they stopped.
  def run(workdir, steps):
    result = command(
      "main",
      f"--config={ROOT}/configs/sngan.py", f"--workdir={tmp_path / workdir}",
      f"--config.steps={steps}", "--config.generator.width=4",
      "--config.critic.width=4", "--config.batch_size=16",
      "--config.data.flip=true", "--config.log_every=5", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout

  run("straight", 20)
  run("broken", 10)
  assert "resuming" in run("broken", 20)

  config = shrink(load_config("sngan"))
  config.latent_size = 128
  template = jax.eval_shape(
    lambda: create_train_state(
      algorithms.create(config), jax.random.key(0), {"image": 1}
    )
  )
  states = []
  for workdir in ("straight", "broken"):
    with checkpoint.open_manager(tmp_path / workdir) as manager:
      assert manager.latest_step() == 20
      states.append(checkpoint.restore(manager, template))
  assert_equal(*states)
  straight, broken = (rows(tmp_path / w) for w in ("straight", "broken"))
  for a, b in zip(straight, broken, strict=True):
    del a["rounds_per_second"], b["rounds_per_second"]
    assert a == b
  pictures = [
    (tmp_path / w / "samples" / "00000020.png").read_bytes()
    for w in ("straight", "broken")
  ]
  assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
  ("name", "values"),
  [
    # Two rounds of 16 images fill the pool, later ones swap.
    ("cyclegan", {"pool_size": 20, "weights.identity": 0.0}),
    ("pix2pix", {"data.flip": True, "data.margin": 2}),
    ("dtn", {}),
  ],
)
def test_resume_of_translators_is_exact(name, values, tmp_path, capsys):
  # With a learning rate that falls in the second half.
  config = small(name, steps=4, checkpoint_every=2, **values)
  straight = train(config, tmp_path)
  found = rows(tmp_path)
  picture = tmp_path / "samples" / "00000004.png"
  pixels = picture.read_bytes()
  shutil.rmtree(tmp_path / "checkpoints" / "4")
  picture.unlink()
  resumed = train(config, tmp_path)
  assert "at round 2" in capsys.readouterr().out
  assert_equal(straight, resumed)
  assert picture.read_bytes() == pixels
  for a, b in zip(found, rows(tmp_path), strict=True):
    del a["rounds_per_second"], b["rounds_per_second"]
    assert a == b
  assert np.abs(found[-1]["generator/loss"] - found[-3]["generator/loss"]) > 0
  for pool in straight.model_state["critic"].get("pool", {}).values():
    assert pool.count == 20


def test_a_workdir_in_use_is_refused(tmp_path):
  config = small("gan")
  train(config, tmp_path)
  used = FileLock(tmp_path / ".lock")
  with used, pytest.raises(InputError, match="another run writes to it"):
    train(config, tmp_path)
  (tmp_path / "config.json").unlink()  # the checkpoints say that it is a run
  assert train(config, tmp_path).step == 2


def test_another_config_is_refused(tmp_path):
  train(small("nsgan"), tmp_path)
  with pytest.raises(InputError, match=r"loss \(non_saturating -> minimax\)"):
    train(small("gan"), tmp_path)
  # Checkpoints describe themselves; the file is for people.
  (tmp_path / "config.json").write_text("")
  with pytest.raises(InputError, match=r"critic.hidden \(\[16, 16\] -> \[8\]"):
    train(small("nsgan", **{"critic.hidden": (8,)}), tmp_path)
  # Run-time keys may change.
  state = train(small("nsgan", steps=3, parallel="shard_map"), tmp_path)
  assert state.step == 3
  assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_non_finite_training_stops(tmp_path, player):
  # The last generator update of a round is followed by no loss that would
  # show what it did to the weights.
  config = small("nsgan", steps=3, checkpoint_every=1, ema_decay=0.0)
  create = optax.sgd

  def explode_in_round_3(learning_rate):
    def rate(count):
      return jnp.where(count == 2, jnp.inf, learning_rate)

    return create(rate)

  with config.unlocked():
    config.optimizers[player] = {"name": "sgd", "learning_rate": 1e-3}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(optax, "sgd", explode_in_round_3)
    with pytest.raises(NonFiniteError, match=f"round 3: .* of the {player}"):
      train(config, tmp_path)
    template = jax.eval_shape(
      lambda: create_train_state(
        algorithms.create(config), jax.random.key(0), {"image": 1}
      )
    )
  with checkpoint.open_manager(tmp_path) as manager:
    state = checkpoint.restore(manager, template)
  assert state.step == 2
  leaves = jax.tree.leaves((state.params, state.opt_state))
  assert all(np.isfinite(leaf).all() for leaf in leaves)


@pytest.fixture
def explosion(monkeypatch):
  """Has the third update of SGD be infinite."""
  create = optax.sgd

  def explode(learning_rate):
    def rate(count):
      return jnp.where(count == 2, jnp.inf, learning_rate)

    return create(rate)

  monkeypatch.setattr(optax, "sgd", explode)
  return {"optimizers.critic": {"name": "sgd", "learning_rate": 1e-3}}


def exploding(explosion, **values):
  config = small("nsgan", **values)
  with config.unlocked():
    config.optimizers.critic = explosion["optimizers.critic"]
  return config


def test_skipped_updates_are_bounded(tmp_path, explosion):
  # The optimizer's count stays at the update that is left out.
  config = exploding(explosion, steps=9, nonfinite="skip", nonfinite_limit=4)
  with pytest.raises(NonFiniteError, match="round 7: .* 4 rounds before it"):
    train(config, tmp_path)
  found = rows(tmp_path)
  assert [row.get("skipped", 0) for row in found] == [0, 0, 1, 1, 1, 1]
  assert all(np.isfinite(list(row.values())).all() for row in found)


def test_rollbacks_are_bounded(tmp_path, explosion, capsys):
  config = exploding(
    explosion, steps=5, checkpoint_every=1,
    nonfinite="rollback", nonfinite_limit=2,
  )  # fmt: skip
  with pytest.raises(NonFiniteError, match="2 rollbacks did not help"):
    train(config, tmp_path)
  out = capsys.readouterr().out
  assert "rollback 2 to round 2, with other noise" in out
  assert [row["step"] for row in rows(tmp_path)] == [1, 2]


def test_a_rollback_plays_on_with_other_noise(tmp_path, monkeypatch):
  # In round 3, with the noise that the seed says, and only with that.
  algorithm = algorithms.create(small("nsgan"))
  loss = algorithm.losses["critic"]

  def bad(params, state, batch, rng):
    value, rest = loss(params, state, batch, rng)
    poisoned = (state.step == 2) & (state.rollbacks == 0)
    return jnp.where(poisoned, jnp.nan, value), rest

  monkeypatch.setattr(
    algorithms, "create",
    lambda config: algorithm._replace(
      losses={**algorithm.losses, "critic": bad}
    ),
  )  # fmt: skip
  config = small("nsgan", steps=4, checkpoint_every=2, nonfinite="rollback")
  state = train(config, tmp_path)
  assert state.step == 4
  assert state.rollbacks == 1
  found = rows(tmp_path)
  assert [row["step"] for row in found] == [1, 2, 3, 4]
  assert [row.get("rollbacks", 0) for row in found] == [0, 0, 1, 1]


def test_files_of_others_are_not_touched(tmp_path):
  (tmp_path / "samples").mkdir()
  (tmp_path / "samples" / "2021.png").write_text("mine")
  with pytest.raises(InputError, match="another --workdir"):
    train(small("nsgan"), tmp_path)
  assert (tmp_path / "samples" / "2021.png").read_text() == "mine"


@pytest.mark.parametrize(
  "values",
  [
    {"generator.hidden": (0,)},
    {"generator.hidden": (-3,)},
    {"seed": -1},
    {"data.crop": -1},
    {"data.image_size": -16},
    {"generator.kernel_init": "foo"},
    {"algorithm": "../gan"},
    {"algorithm": "ot_gan"},
    {"batch_size": 1440},
  ],
  ids=str,
)
def test_refused_before_anything_is_claimed(tmp_path, values):
  values = {"generator.hidden": (8,)} | values
  with pytest.raises(InputError):
    train(small("nsgan", **values), tmp_path / "run")
  train(small("nsgan"), tmp_path / "run")


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_unusable_workdir(tmp_path, kind):
  path = tmp_path / "file"
  path.write_text("")
  if kind == "below a file":
    path = path / "run"
  with pytest.raises(InputError, match="cannot be used"):
    train(small("gan"), path)


def test_unknown_algorithm():
  config = load_config("gan")
  config.algorithm = "gann"
  with pytest.raises(InputError, match="'gann'"):
    algorithms.create(config)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ([], "--config=configs/wgan_gp.py"),
    (["--config=configs/none.py"], "configs/none.py"),
    (["--config=configs/dcgan.py:minst"], "preset='minst': choose one of"),
    (
      ["--config=configs/dcgan.py", "--config.batchsize=3"],
      "no key 'batchsize'; did you mean 'batch_size'?",
    ),
    (
      ["--config=configs/dcgan.py", "--config.critic.widht=3"],
      "no key 'widht'; did you mean 'width'?",
    ),
    (
      ["--config=configs/ot_gan.py", "--config.penalty.weight=1"],
      "no key 'penalty'",
    ),
    (["--config=configs/dcgan.py", "--config.steps=many"], "'many'"),
    (["--config=configs/dcgan.py", "--confg.steps=2"], "confg.steps"),
    (["--config=configs/dcgan.py", "runs/x"], "'runs/x'"),
    (["--config=configs/dcgan.py:folder"], "data.path=''"),
    (["--config=configs/dcgan.py", "--config.data.image_size=28"], "side 16"),
  ],
  ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_commands_get_one_line(arguments, message, tmp_path):
  os.symlink(ROOT / "configs", tmp_path / "configs")
  result = command("main", *arguments, cwd=tmp_path)
  assert result.returncode == 1
  (line,) = result.stderr.strip().splitlines()
  assert line.startswith("error: ")
  assert message in line
  assert not pathlib.Path(tmp_path, "runs").exists()
