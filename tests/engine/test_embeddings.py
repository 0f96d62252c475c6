"""Embeddings of training images: computed once, kept, and the same."""

import errno
import sys
from functools import partial

import jax
import numpy as np
import pytest
from helpers.configs import load_config, shrink

from jaxgan import algorithms, data, train
from jaxgan.data.pixels import to_float
from jaxgan.engine import checkpoint, embeddings
from jaxgan.evaluation import restored
from jaxgan.game import AXIS

pytestmark = pytest.mark.slow


def flipped_digits(**values):
  """A DTN whose images are mirrored at random, as faces are."""
  config = shrink(load_config("dtn"))
  config.update(steps=3, log_every=1)
  config.data.flip = True
  config.update_from_flattened_dict(values)
  return config


@pytest.fixture
def run(tmp_path, monkeypatch):
  """The config, game, source and state of a run, and an empty cache folder."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  config = flipped_digits()
  train(config, tmp_path / "run")
  for path in cached(tmp_path):
    path.unlink()
  game = algorithms.create(config)
  state = restored.load(tmp_path / "run").state
  return config, game, data.create(config.data), state


def cached(folder):
  return sorted((folder / "cache/jaxgan/embeddings").glob("*.npz"))


def test_they_are_those_of_the_images_and_mirror_images(run, tmp_path):
  config, game, source, state = run
  once = embeddings.embed_once(config, game, source, state)
  assert len(cached(tmp_path)) == 4  # of two domains, as they are and mirrored
  for part in once.parts:
    batch = part[np.arange(5, 45)]
    images = batch[part.side]
    found = batch[f"{part.side}_embedding"]
    embed = jax.jit(game.embed)
    for i, variant in enumerate([images, images[:, :, ::-1]]):
      expected = embed(state.params, state.model_state, to_float(variant))
      np.testing.assert_allclose(found[:, i], expected, rtol=1e-5, atol=1e-6)
    assert (found[:, 0] != found[:, 1]).any()


@pytest.mark.parametrize("centred", [False, True])
def test_the_run_is_the_same_as_if_computed_anew(
  centred, tmp_path, monkeypatch
):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  config, digests = flipped_digits(**{"features.centred": centred}), []
  for name in ("once", "from the cache", "anew"):
    if name == "anew":
      monkeypatch.setattr(
        sys.modules["jaxgan.train"], "embed_once", lambda _, game, x, state: x
      )
    state = train(config, tmp_path / name, jax.devices()[:1]).state
    digests.append(checkpoint.digest(jax.device_get(state)))
  assert len(set(digests)) == 1


def test_they_are_kept_and_computed_again_where_damaged(
  run, tmp_path, monkeypatch, capsys
):
  computed = []
  compute = embeddings._compute
  monkeypatch.setattr(
    embeddings, "_compute", lambda *x: computed.append(x) or compute(*x)
  )

  def arrays():
    source = embeddings.embed_once(*run)
    indices = np.arange(len(source))
    return {k: x for k, x in source[indices].items() if "embedding" in k}

  first = arrays()
  assert len(computed) == 4
  path = cached(tmp_path)[0]
  contents = bytearray(path.read_bytes())
  contents[len(contents) // 2] ^= 1
  path.write_bytes(contents)
  np.savez(cached(tmp_path)[1], embeddings=np.zeros((3, 8), "f4"))
  second = arrays()
  assert len(computed) == 6
  assert f"again: {path} cannot be read" in capsys.readouterr().out
  jax.tree.map(np.testing.assert_array_equal, first, second)
  # Other weights have other ones.
  config, game, source, state = run
  changed = jax.tree.map(lambda x: x + 1, state.params["features"])
  state = state.replace(params=state.params | {"features": changed})
  embeddings.embed_once(config, game, source, state)
  assert len(computed) == 10


def test_images_without_end_stay_without(run):
  config, game, source, state = run
  config.data.margin = 2
  assert embeddings.embed_once(config, game, source, state) is source
  other = algorithms.create(shrink(load_config("nsgan")))
  config.data.margin = 0
  assert embeddings.embed_once(config, other, source, state) is source


def test_a_folder_that_cannot_be_written_costs_the_time_alone(
  run, tmp_path, monkeypatch, capsys
):
  (tmp_path / "file").touch()
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
  once = embeddings.embed_once(*run)
  assert "target_embedding" in once[np.arange(2)]
  assert "embeddings are not kept" in capsys.readouterr().out

  def fill(path, **arrays):
    path.write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "small"))
  monkeypatch.setattr(np, "savez", fill)
  embeddings.embed_once(*run)
  assert "not kept" in (output := capsys.readouterr().out)
  assert "No space left" in output
  assert not [x for x in (tmp_path / "small").rglob("*") if x.is_file()]


def test_a_step_takes_what_the_batch_holds(run):
  config, game, _, state = run
  rng = np.random.default_rng(0)
  batch = {
    key: rng.normal(size=(4, 16, 16, 1)).astype("f4")
    for key in ("source", "target")
  }

  def fakes(batch):
    generate = partial(game.generate, state.params, state)
    mapped = jax.vmap(generate, axis_name=AXIS)
    return mapped(jax.tree.map(lambda x: x[None], batch))[0]["fake_source"]

  embed = partial(game.embed, state.params, state.model_state)
  known = {f"{key}_embedding": embed(x) for key, x in batch.items()}
  np.testing.assert_allclose(fakes(batch), fakes(batch | known), atol=1e-5)
  other = jax.tree.map(lambda x: x + 1, known)
  assert abs(fakes(batch | other) - fakes(batch)).max() > 1e-3
