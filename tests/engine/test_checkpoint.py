import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.checkpoints import data_file, flip, make_state
from helpers.configs import load_config

from jaxgan.engine import checkpoint, scores
from jaxgan.engine.checkpoint import open_checkpoints
from jaxgan.engine.processes import ALONE, Process
from jaxgan.errors import InputError

CONFIG = load_config("dcgan")


@pytest.fixture
def workdir(tmp_path):
  with checkpoint.open_manager(tmp_path) as manager:
    for step in (1, 2, 3):
      checkpoint.save(manager, make_state(step, scale=step), CONFIG)
  return tmp_path


def restore(workdir, template=None):
  with checkpoint.open_manager(workdir) as manager:
    return checkpoint.restore(manager, template or make_state(0))


def test_nothing_to_restore(tmp_path):
  assert restore(tmp_path) is None


def test_round_trip(workdir):
  state, expected = restore(workdir), make_state(3, scale=3)
  assert jax.tree.structure(state) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(state), jax.tree.leaves(expected), strict=True
  ):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)


def truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
  path.write_bytes(b"")


def remove(path):
  path.unlink()


def test_damage_falls_back_to_the_newest_whole_step(workdir):
  flip(data_file(workdir, 3))
  with pytest.warns(UserWarning, match="checkpoint 3 is damaged"):
    state = restore(workdir)
  assert state.step == 2
  assert state.params["critic"]["w"][1] == 2
  assert (workdir / "damaged" / "3").is_dir()
  # Training goes on from there, past the step that was set aside.
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, make_state(3, scale=5), CONFIG)
  assert restore(workdir).params["critic"]["w"][1] == 5


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove])
@pytest.mark.filterwarnings("ignore:checkpoint 3 is damaged")
def test_damage_to_any_file(workdir, damage):
  """What is restored is what was saved, whichever file is damaged."""
  folder, copy, fell_back = workdir / "checkpoints", workdir / "copy", 0
  files = [p for p in (folder / "3").rglob("*") if p.is_file()]
  for file in files:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy / "checkpoints")
    damage(copy / "checkpoints" / file.relative_to(folder))
    state = restore(copy)
    assert state.step in (2, 3)  # there are files that nobody reads
    expected = make_state(state.step, scale=float(state.step))
    assert checkpoint.digest(state) == checkpoint.digest(expected)
    assert (copy / "damaged" / "3").exists() == (state.step == 2)
    fell_back += state.step == 2
  print(f"{len(files)} files, of which {fell_back} matter")  # pytest -rP
  assert fell_back >= 4


def without_digest(path):
  path.write_text(json.dumps({"config": json.loads(CONFIG.to_json())}))


def of_no_config(path):
  path.write_text(json.dumps({"config": 3, "digest": ""}))


@pytest.mark.parametrize("damage", [without_digest, of_no_config])
def test_damage_to_the_description(workdir, damage):
  damage(workdir / "checkpoints" / "3" / "meta" / "metadata")
  with pytest.warns(UserWarning, match="checkpoint 3 is damaged"):
    assert restore(workdir).step == 2


def test_what_is_no_checkpoint_is_set_aside(workdir):
  (workdir / "checkpoints" / "9").mkdir()
  (workdir / "checkpoints" / "8").write_text("not a folder")
  (workdir / "checkpoints" / "notes.txt").write_text("of mine")
  with pytest.warns(UserWarning, match="checkpoint 9 is damaged"):
    assert restore(workdir).step == 3
  assert (workdir / "damaged" / "9").is_dir()
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, make_state(4), CONFIG)
  assert restore(workdir).step == 4


OTHERS = {
  "dtype": lambda w: {"w": w.astype(jnp.bfloat16)},
  "shape": lambda w: {"w": w[:5]},
  "rank": lambda w: {"w": w.reshape(2, 3000)},
  "name": lambda w: {"v": w},
  "more": lambda w: {"w": w, "v": w},
  "fewer": lambda w: {},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_state_of_another_form_is_set_aside(workdir, change):
  other = make_state(4)
  other = other.replace(params={"critic": change(other.params["critic"]["w"])})
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, other, CONFIG)
  with pytest.warns(UserWarning, match="checkpoint 4 is damaged"):
    assert restore(workdir).step == 3
  assert (workdir / "damaged" / "4").is_dir()


def test_a_checkpoint_of_another_version_is_named_as_such(workdir):
  other = make_state(4).replace(params={"another": 1.0})
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, other, CONFIG)
  with pytest.warns(UserWarning, match="of another version of jaxgan$"):
    assert restore(workdir).step == 3


def test_a_renamed_checkpoint_is_set_aside(workdir):
  (workdir / "checkpoints" / "3").rename(workdir / "checkpoints" / "9")
  with pytest.warns(UserWarning, match="9 is damaged .*: it is of step"):
    assert restore(workdir).step == 2
  assert (workdir / "damaged" / "9").is_dir()


def test_a_checkpoint_of_another_config_is_set_aside(workdir):
  other = load_config("dcgan")
  other.batch_size *= 2
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, make_state(4), other)
    manager.wait_until_finished()
    with pytest.warns(UserWarning, match="another config; .*batch_size"):
      state = checkpoint.restore(manager, make_state(0), CONFIG)
    assert state.step == 3
    with pytest.raises(checkpoint.OtherConfigError, match="another workdir"):
      other.batch_size *= 2
      checkpoint.restore(manager, make_state(0), other)
    assert sorted(manager.all_steps()) == [2, 3]  # the latest three, less 4
  assert (workdir / "damaged" / "4").is_dir()


def test_nothing_whole_is_an_error(workdir):
  for step in (1, 2, 3):
    flip(data_file(workdir, step))
  with pytest.raises(InputError, match="none of the checkpoints"):
    restore(workdir)
  assert not (workdir / "damaged").exists()


def test_other_shapes_are_an_error(workdir):
  template = make_state(0)
  template.params["critic"]["w"] = jnp.zeros(5)
  with pytest.raises(InputError, match=r"\['w'\] is float32\[6000\], not"):
    restore(workdir, template)


def test_saving_an_old_step_is_an_error(workdir):
  with (
    checkpoint.open_manager(workdir) as manager,
    pytest.raises(RuntimeError, match="not written"),
  ):
    checkpoint.save(manager, make_state(2), CONFIG)


def test_only_the_latest_are_kept(workdir):
  with checkpoint.open_manager(workdir) as manager:
    checkpoint.save(manager, make_state(4), CONFIG)
  steps = {p.name for p in (workdir / "checkpoints").iterdir()}
  assert steps == {"2", "3", "4"}


def test_the_best_is_kept_and_never_one_that_is_not_finite(tmp_path):
  values = [None, 5.0, float("nan"), 6.0, None, float("-inf"), 7.0, None]
  for chunk in (range(3), range(3, 8)):  # as if by two processes
    with open_checkpoints(tmp_path, CONFIG, ALONE) as checkpoints:
      for step in chunk:
        checkpoints.save(make_state(step + 1))
        checkpoints.score(step + 1, values[step])
  assert scores.read(tmp_path) == {2: 5.0, 4: 6.0, 7: 7.0}
  with checkpoint.open_manager(tmp_path, read_only=True) as manager:
    assert sorted(manager.all_steps()) == [2, 6, 7, 8]
    assert scores.best_step(tmp_path, manager.all_steps()) == 2
    state = checkpoint.restore(manager, make_state(0), step=2)
    assert state.step == 2
    assert checkpoint.stored_config(manager, 2) is not None


def test_a_better_checkpoint_replaces_the_best(tmp_path):
  with open_checkpoints(tmp_path, CONFIG, ALONE) as checkpoints:
    for step, score in enumerate([5.0, 9.0, 4.0, 9.0, 9.0, 9.0, 9.0], 1):
      checkpoints.save(make_state(step))
      checkpoints.score(step, score)
  assert checkpoint.saved_steps(tmp_path) == [3, 5, 6, 7]


def test_scores_of_steps_that_are_made_again_are_dropped(tmp_path):
  with open_checkpoints(tmp_path, CONFIG, ALONE) as checkpoints:
    for step in (1, 2):
      checkpoints.save(make_state(step))
      checkpoints.score(step, 1.0 / step)
  flip(data_file(tmp_path, 2))
  with open_checkpoints(tmp_path, CONFIG, ALONE) as checkpoints:
    with pytest.warns(UserWarning, match="checkpoint 2 is damaged"):
      assert checkpoints.restore(make_state(0)).step == 1
    assert scores.read(tmp_path) == {1: 1.0}
    checkpoints.save(make_state(2))
    assert scores.best_step(tmp_path, [1, 2]) == 1


@pytest.mark.parametrize(
  "text", ["", "[1]", '{"a": 1, "2": "x", "3": NaN, "4": null}', "3"]
)
def test_damaged_scores_are_none(tmp_path, text):
  (tmp_path / "scores.json").write_text(text)
  assert scores.best_step(tmp_path, [1, 2, 3, 4]) is None
  scores.write(tmp_path, 5, 1)
  assert scores.best_step(tmp_path, range(9)) == 5


def test_other_processes_write_nothing(tmp_path):
  with open_checkpoints(tmp_path, CONFIG, Process(1, 2)) as checkpoints:
    checkpoints.save(make_state(1))
    checkpoints.score(1, 1.0)
    checkpoints.check()
    checkpoints.wait()
  assert not list(tmp_path.iterdir())


def test_reading_changes_nothing(workdir):
  flip(data_file(workdir, 3))
  with checkpoint.open_manager(workdir, read_only=True) as manager:
    with pytest.warns(UserWarning, match="checkpoint 3 is damaged: "):
      state = checkpoint.restore(manager, make_state(0), set_aside=False)
    assert state.step == 2
    with pytest.raises(InputError, match="3: "):
      checkpoint.restore(manager, make_state(0), step=3)
  assert (workdir / "checkpoints" / "3").is_dir()
  assert not (workdir / "damaged").exists()


def test_digest_sees_every_kind_of_change():
  state = make_state(1)
  seen = {checkpoint.digest(state)}
  w = state.params["critic"]["w"]
  for params in (
    {"critic": {"w": w.at[7].add(1)}},
    {"critic": {"w": w.astype(jnp.bfloat16)}},
    {"critic": {"w": w.reshape(2, 3000)}},
    {"critic": {"v": w}},
  ):
    seen.add(checkpoint.digest(state.replace(params=params)))
  assert len(seen) == 5
