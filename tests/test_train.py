"""Whole runs, of every config, on small built-in data."""

import json
import os
import pathlib
import re
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from filelock import FileLock
from helpers.configs import load_config, shrink, small
from helpers.environment import CONFIGS, ROOT
from helpers.games import with_methods
from helpers.runs import command, rows

from jaxgan import algorithms, train
from jaxgan.algorithms import create_train_state, ot_gan
from jaxgan.config import has_schedule
from jaxgan.engine import checkpoint, scores
from jaxgan.engine import devices as devices_lib
from jaxgan.engine.preemption import Stop
from jaxgan.errors import InputError, NonFiniteError, Preempted
from jaxgan.objectives import losses
from jaxgan.train import train as train_with

pytestmark = pytest.mark.slow

NAMES = [path.stem for path in CONFIGS]


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((a, b)))


def test_the_same_run_twice_is_the_same(tmp_path):
  states = [train(small("gan"), tmp_path / name).state for name in "ab"]
  one, other = (checkpoint.digest(jax.device_get(s)) for s in states)
  assert one == other
  other_seed = train(small("gan", seed=1), tmp_path / "c").state
  assert checkpoint.digest(jax.device_get(other_seed)) != one


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_every_config(name, trained, tmp_path, capsys):
  config = small(name)
  run = trained(name)
  workdir = shutil.copytree(run, tmp_path / "run")
  state = train(config, workdir, jax.devices()[:4]).state
  out = capsys.readouterr().out
  assert "complete at step 2" in out
  # With a schedule, more steps would be refused.
  remedy = "another workdir" if has_schedule(config) else "above 2"
  assert remedy in out
  digest = checkpoint.digest(jax.device_get(state))
  assert digest == run.with_name(f"{name}.digest").read_text()
  assert state.step == 2
  assert not state.halted
  if bound := config.optimizers.get("critic", {}).get("clip_weights"):
    weights = jax.tree.leaves(state.params["critic"])
    assert max(np.abs(w).max() for w in weights) <= bound + 1e-8
  written = {path.name for path in workdir.iterdir()}
  assert written > {
    "config.json", "metrics.jsonl", "samples", "curves.png", "checkpoints",
  }  # fmt: skip
  if "generator" in config.optimizers:
    assert (workdir / "samples.gif").exists()
    assert (workdir / "samples" / "00000002.png").exists()
  assert [row["step"] for row in rows(workdir)] == [1, 2]
  for row in rows(workdir):
    assert {f"{player}/loss" for player in config.optimizers} < set(row)
    assert np.isfinite(list(row.values())).all()
  stored = json.loads((workdir / "config.json").read_text())
  assert stored == json.loads(config.to_json())


def test_ot_gan_of_points(tmp_path):
  assert train(small("mixture", "grid_ot_gan"), tmp_path).state.step == 2


@pytest.mark.parametrize(
  ("dtype", "parallel"),
  [("bfloat16", "shard_map"), ("float32", "shard_map"), ("bfloat16", "pmap")],
)
def test_bfloat16_and_shard_map(tmp_path, monkeypatch, dtype, parallel):
  create, programs, shapes = devices_lib.create, [], []

  def record(kind, used):
    mapping = create(kind, used)

    def map_step(step, shared=False):
      mapped = mapping.map_step(step, shared)

      def run(state, batch):
        if not programs:
          programs.append(mapped.lower(state, batch).as_text())
        state, metrics = mapped(state, batch)
        shapes.append(metrics["critic/penalty"].shape)
        return state, metrics

      return run

    return mapping._replace(map_step=map_step)

  monkeypatch.setattr(devices_lib, "create", record)
  config = small("wgan_gp", dtype=dtype, parallel=parallel)
  state = train(config, tmp_path).state
  products = re.findall(r"stablehlo.dot_general.*", programs[0])
  assert products
  # Noise and the optimizer stay in float32.
  low = sum("bf16" in line for line in products) / len(products)
  assert low > 0.5 if dtype == "bfloat16" else low == 0
  # Of shard_map each device has all of the metrics, of pmap a row.
  assert set(shapes) == {() if parallel == "shard_map" else (8,)}
  dtypes = {leaf.dtype for leaf in jax.tree.leaves(state.params)}
  assert dtypes == {np.dtype("float32")}
  assert all(np.isfinite(row["critic/penalty"]) for row in rows(tmp_path))


def code_of(page, word, module):
  """Executes a page's snippet with a word as if it stood in a module."""
  text = (ROOT / page).read_text()
  snippets = [x.split("```")[0] for x in text.split("```python")[1:]]
  (code,) = (x for x in snippets if word in x)
  namespace = dict(vars(module))
  exec(code, namespace)
  return namespace[word]


@pytest.mark.parametrize("page", ["README.md", "docs/concepts/game.md"])
def test_the_game_that_a_page_shows(page, tmp_path, monkeypatch):
  config = small("nsgan")
  gan = algorithms.create(config)
  critic = gan.objective.critic
  game = code_of(page, "LSGAN", ot_gan)(
    config, gan.optimizers, gan.generator, critic
  )
  monkeypatch.setattr(algorithms, "create", lambda config: game)
  assert train(config, tmp_path).state.step == 2
  assert {"critic/real", "generator/loss"} < set(rows(tmp_path)[-1])


def test_the_objective_that_a_page_adds(tmp_path, monkeypatch):
  smoothed = code_of("docs/concepts/game.md", "smoothed", losses)
  # At a real logit r: -0.9 log D - 0.1 log(1 - D).
  r, far = np.float32(1.3), np.float32(-100)
  d = 1 / (1 + np.exp(-r))
  np.testing.assert_allclose(
    smoothed.critic(r, far), -0.9 * np.log(d) - 0.1 * np.log(1 - d), rtol=1e-5
  )
  monkeypatch.setattr(losses, "smoothed", smoothed, raising=False)
  config = small("nsgan", **{"loss.name": "smoothed"})
  assert train(config, tmp_path).state.step == 2


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
    del a["steps_per_second"], b["steps_per_second"]
    assert a == b
  pictures = [
    (tmp_path / w / "samples" / "00000020.png").read_bytes()
    for w in ("straight", "broken")
  ]
  assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
  ("name", "values"),
  [
    # Two steps of 16 images fill the pool, later ones swap.
    ("cyclegan", {"pool_size": 20, "weights.identity": 0.0}),
    ("pix2pix", {"data.flip": True, "data.margin": 2}),
    ("dtn", {}),
  ],
)
def test_resume_of_translators_is_exact(name, values, tmp_path, capsys):
  # With a learning rate that falls in the second half.
  config = small(name, steps=4, checkpoint_every=2, **values)
  straight = train(config, tmp_path).state
  found = rows(tmp_path)
  picture = tmp_path / "samples" / "00000004.png"
  pixels = picture.read_bytes()
  shutil.rmtree(tmp_path / "checkpoints" / "4")
  picture.unlink()
  resumed = train(config, tmp_path, verbose=True).state
  assert "at step 2" in capsys.readouterr().out
  assert_equal(straight, resumed)
  assert picture.read_bytes() == pixels
  for a, b in zip(found, rows(tmp_path), strict=True):
    del a["steps_per_second"], b["steps_per_second"]
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
  assert train(config, tmp_path).state.step == 2


def test_another_config_is_refused(tmp_path):
  train(small("nsgan"), tmp_path)
  with pytest.raises(InputError, match=r"loss.name \(non_saturating -> mini"):
    train(small("gan"), tmp_path)
  # Checkpoints describe themselves; the file is for people.
  (tmp_path / "config.json").write_text("")
  with pytest.raises(InputError, match=r"critic.hidden \(\[16, 16\] -> \[8\]"):
    train(small("nsgan", **{"critic.hidden": (8,)}), tmp_path)
  # Run-time keys may change.
  state = train(small("nsgan", steps=3, parallel="shard_map"), tmp_path).state
  assert state.step == 3
  assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_non_finite_training_stops(tmp_path, player):
  # The last generator update of a step is followed by no loss that would
  # show what it did to the weights.
  config = small("nsgan", steps=3, checkpoint_every=1, ema_decay=0.0)
  create = optax.sgd

  def explode_in_step_3(learning_rate):
    def rate(count):
      return jnp.where(count == 2, jnp.inf, learning_rate)

    return create(rate)

  with config.unlocked():
    config.optimizers[player] = {"name": "sgd", "learning_rate": 1e-3}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(optax, "sgd", explode_in_step_3)
    with pytest.raises(NonFiniteError, match=f"step 3: .* of the {player}"):
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
  with pytest.raises(NonFiniteError, match="step 7: .* 4 steps before it"):
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
  assert "rollback 2 to step 2, with other noise" in out
  assert [row["step"] for row in rows(tmp_path)] == [1, 2]


def test_a_rollback_plays_on_with_other_noise(tmp_path, monkeypatch):
  # In step 3, with the noise that the seed says, and only with that.
  game = algorithms.create(small("nsgan"))
  loss = game.critic_loss

  def bad(params, state, batch, rng):
    value, rest = loss(params, state, batch, rng)
    poisoned = (state.step == 2) & (state.rollbacks == 0)
    return jnp.where(poisoned, jnp.nan, value), rest

  game = with_methods(game, critic_loss=bad)
  monkeypatch.setattr(algorithms, "create", lambda config: game)
  config = small("nsgan", steps=4, checkpoint_every=2, nonfinite="rollback")
  state = train(config, tmp_path).state
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
  ("values", "message"),
  [
    ({"generator.hidden": (0,)}, "generator.hidden=.*give 1 or more"),
    ({"generator.hidden": (-3,)}, "generator.hidden=.*give 1 or more"),
    ({"seed": -1}, "seed=-1: give a value from 0"),
    ({"data.crop": -1}, "data.crop=-1: give 0 or more"),
    ({"data.image_size": -16}, "data.image_size=-16: give 4 or more"),
    ({"generator.kernel_init": "foo"}, "kernel_init='foo': choose one of"),
    ({"algorithm": "../gan"}, "algorithm='../gan': choose one of"),
    ({"algorithm": "ot_gan"}, "'ot_gan' needs .*choose a config of that"),
    ({"batch_size": 1440}, "set batch_size to 1437 or less"),
  ],
  ids=str,
)
def test_refused_before_anything_is_claimed(tmp_path, values, message):
  values = {"generator.hidden": (8,)} | values
  with pytest.raises(InputError, match=message):
    train(small("nsgan", **values), tmp_path / "run")
  if "batch_size" not in values:  # or the data had to be read
    assert not (tmp_path / "run").exists()
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
  config = load_config("ot_gan")
  config.algorithm = "gan"
  with pytest.raises(InputError, match="'gan' needs the key"):
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


class Evaluator:
  """Evaluates to scores of a list; a signal comes while it does so."""

  def __init__(self, scores, number=None, at=None):
    self.scores, self.number, self.at = iter(scores), number, at
    self.finished = []

  def check(self, config):
    if config.eval_samples == 77:
      raise InputError("77 cannot be evaluated")

  def in_training(self, config, game):
    return self.evaluate

  def evaluate(self, variables):
    assert set(variables[0]) == {"generator", "critic"}
    score = next(self.scores)
    if self.number and len(self.finished) + 1 == self.at:
      signal.raise_signal(self.number)
    self.finished.append(score)
    return {"eval/distance": score}, None if score == 0 else score


def test_the_best_checkpoint_and_the_latest_are_kept(tmp_path):
  evaluator = Evaluator([3.0, np.nan, 2.0, 4.0, 0, -np.inf, 5.0, 4.0])
  config = small("nsgan", steps=8, eval_every=1, checkpoint_every=0)
  train_with(config, tmp_path, evaluator=evaluator)
  assert checkpoint.saved_steps(tmp_path) == [3, 6, 7, 8]
  expected = {1: 3.0, 3: 2.0, 4: 4.0, 7: 5.0, 8: 4.0}
  assert scores.read(tmp_path) == expected
  found = [r["eval/distance"] for r in rows(tmp_path) if "eval/distance" in r]
  assert len(found) == 8


def test_without_an_evaluator_nothing_is_evaluated(tmp_path):
  train_with(small("nsgan", eval_every=1), tmp_path)
  assert not (tmp_path / "scores.json").exists()


def test_an_evaluator_refuses_before_anything_is_written(tmp_path):
  config = small("nsgan", eval_every=1, eval_samples=77)
  with pytest.raises(InputError, match="77"):
    train_with(config, tmp_path / "run", evaluator=Evaluator([]))
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
  ("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("at", [1, 2])
def test_a_signal_while_evaluating(tmp_path, number, status, at):
  """It ends at once, and loses the evaluation alone."""
  config = small("nsgan", steps=4, eval_every=2, checkpoint_every=0)
  evaluator = Evaluator([3.0, 2.0], number, at)
  message = f"saved at step {2 * at} of 4.*evaluation of step {2 * at} was cut"
  with pytest.raises(Preempted, match=message) as caught:
    train_with(config, tmp_path, evaluator=evaluator)
  assert caught.value.status == status
  assert evaluator.finished == [3.0][: at - 1]
  assert checkpoint.saved_steps(tmp_path)[-1] == 2 * at
  assert scores.read(tmp_path) == ({2: 3.0} if at == 2 else {})
  # The same command goes on, and does not come back to that evaluation.
  straight = train(config, tmp_path / "straight").state
  resumed = train_with(config, tmp_path, evaluator=Evaluator([1.0, 1.0]))
  assert_equal(straight, resumed)
  assert scores.read(tmp_path) == ({2: 3.0} if at == 2 else {4: 1.0})


def test_a_signal_between_evaluations_saves(tmp_path, monkeypatch):
  requested, asked = Stop.requested, []

  def signalled(self):
    answer = requested(self)
    asked.append(answer)
    if len(asked) == 2:
      signal.raise_signal(signal.SIGTERM)
    return answer

  monkeypatch.setattr(Stop, "requested", signalled)
  config = small("nsgan", steps=9, eval_every=3, checkpoint_every=0)
  evaluator = Evaluator([1.0, 1.0, 1.0])
  with pytest.raises(Preempted, match="saved at step 3 of 9; .*on from there$"):
    train_with(config, tmp_path, evaluator=evaluator)
  assert not evaluator.finished  # it was due
  assert checkpoint.saved_steps(tmp_path) == [3]


@pytest.mark.slow
def test_killed_while_it_first_saves_it_begins_with_trained_weights(tmp_path):
  config = small("dtn")
  whole = train(config, tmp_path / "whole").state
  folder = tmp_path / "run" / "checkpoints"
  (folder / "2.orbax-checkpoint-tmp-1").mkdir(parents=True)
  (folder / "002").mkdir()  # no step for the storage library
  assert_equal(train(config, tmp_path / "run").state, whole)
