"""Minibatches: their order, their way to the devices, and augmentation."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import data_config, write_images
from ml_collections import ConfigDict

from jaxgan import data, parallel
from jaxgan.config import InputError
from jaxgan.data import batches as batches_lib
from jaxgan.data import images
from jaxgan.data.arrays import ArraySource
from jaxgan.data.batches import (
  batches,
  feed,
  make_prepare,
  shuffled,
  to_float,
)
from jaxgan.parallel import AXIS


def numbers(length=50):
  return ArraySource({"image": np.arange(length, dtype=np.float32)})


def take(source, start, stop, **how):
  how = {"seed": 3, "batch_size": 8, "updates": 2} | how
  return [b["image"] for b in batches(source, start=start, stop=stop, **how)]


def test_every_epoch_is_a_permutation():
  indices = shuffled(0, np.arange(150), 50)
  epochs = indices.reshape(3, 50)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
  assert (epochs[0] != epochs[1]).any()
  assert (shuffled(1, np.arange(50), 50) != epochs[0]).any()


@pytest.mark.parametrize("length", [1, 2, 5, 50, 1797, 60_000])
def test_device_and_host_shuffle_alike(length):
  first = 2 * length - 1
  positions = np.arange(first, first + 2 * length + 3)
  on_device = jax.jit(lambda x: shuffled(7, x, length, jnp))
  indices = shuffled(7, positions, length)
  np.testing.assert_array_equal(indices, on_device(positions.astype(np.uint32)))
  np.testing.assert_array_equal(
    np.sort(indices[1 : length + 1]), np.arange(length)
  )


def test_shuffle_is_uniform():
  # Where example 0 goes in 4000 epochs of 20: counts of mean 200, sd 14.
  indices = shuffled(0, np.arange(20 * 4000), 20).reshape(4000, 20)
  counts = np.bincount(np.argmin(indices, axis=1), minlength=20)
  assert abs(counts - 200).max() < 60
  # Neighbours are not kept together: 4000 * 19 / 20 / 20 = 190 times for each
  # of the 20 distances.
  steps = np.bincount((indices[:, 1] - indices[:, 0]) % 20, minlength=20)
  assert steps[0] == 0 and abs(steps[1:] - 4000 / 19).max() < 60


@flax.struct.dataclass
class Counter:
  step: jax.Array


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_resident_data_feeds_the_same_minibatches(kind, monkeypatch):
  settings = ConfigDict({"seed": 3, "batch_size": 8, "steps": 9})
  source = ArraySource({"image": np.arange(50, dtype=np.float32)})

  def step(state, batch):
    seen = jax.lax.all_gather(batch["image"], AXIS, axis=1, tiled=True)
    return state.replace(step=state.step + 1), seen

  def seen(devices):
    mapping = parallel.create(kind, jax.devices()[:devices])
    mapped, inputs = feed(source, settings, 2, 4, step, mapping)
    state = mapping.replicate(Counter(step=jnp.int32(4)))
    rounds = []
    for batch in inputs:
      state, images = mapped(state, batch)
      images = np.asarray(images)
      rounds.append(images[0] if kind == "pmap" else images)
    return np.stack(rounds)

  resident = [seen(devices) for devices in (1, 4)]
  monkeypatch.setattr(batches_lib, "RESIDENT_BYTES", 0)
  sent = [seen(devices) for devices in (1, 4)]
  for rounds in (*resident, *sent):
    np.testing.assert_array_equal(rounds, sent[0])
  np.testing.assert_array_equal(sent[0], take(source, 4, 9))


def test_batches_are_a_function_of_seed_and_round():
  first, again, other = (
    take(numbers(), 0, 20, seed=seed) for seed in (3, 3, 4)
  )
  np.testing.assert_array_equal(first, again)
  assert np.shape(first) == (20, 2, 8)
  assert (np.array(first) != np.array(other)).any()
  np.testing.assert_array_equal(take(numbers(), 10, 20), first[10:])


def test_processes_share_every_minibatch():
  whole = np.array(take(numbers(), 0, 9))
  for count in (2, 4):
    parts = [take(numbers(), 0, 9, process=(i, count)) for i in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)


def test_streamed_batches_are_the_same(tmp_path, monkeypatch):
  write_images(tmp_path, 12, size=(8, 8))
  settings = data_config(path=str(tmp_path), image_size=8)
  held = take(data.create(settings), 2, 9)
  monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  streamed = take(data.create(settings), 2, 9)
  np.testing.assert_array_equal(held, streamed)


def test_too_few_images():
  with pytest.raises(InputError, match="batch_size to 5"):
    feed(
      numbers(5), ConfigDict({"batch_size": 8, "steps": 1}), 1, 0, None, None
    )


def prepare(settings, image, seed=0):
  fn = jax.vmap(
    lambda x: make_prepare(settings)({"image": x}, jax.random.key(seed)),
    axis_name=AXIS,
  )
  return np.array(fn(image[None])["image"][0])


IMAGES = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8)


def test_plain_conversion():
  out = prepare(data_config("digits"), IMAGES)
  np.testing.assert_allclose(out, IMAGES / 127.5 - 1, atol=1e-6)
  np.testing.assert_allclose(to_float(IMAGES), out, atol=1e-6)
  points = np.ones((4, 2), np.float32)
  np.testing.assert_array_equal(prepare(data_config("ring"), points), points)


def test_flip():
  out = prepare(data_config("digits", flip=True), IMAGES)
  plain = to_float(IMAGES)
  same = np.isclose(out, plain, atol=1e-6).all((1, 2, 3))
  flipped = np.isclose(out, plain[:, :, ::-1], atol=1e-6).all((1, 2, 3))
  assert (same ^ flipped).all()
  assert 16 < flipped.sum() < 48


def test_crop():
  out = prepare(data_config("digits", crop=2), IMAGES)
  pad = ((0, 0), (2, 2), (2, 2), (0, 0))
  padded = np.pad(to_float(IMAGES), pad, mode="reflect")
  offsets = set()
  for image, source in zip(out, padded, strict=True):
    found = [
      (y, x)
      for y in range(5)
      for x in range(5)
      if np.allclose(image, source[y : y + 8, x : x + 8], atol=1e-6)
    ]
    assert found
    offsets.update(found)
  assert len(offsets) > 15


def test_dequantize():
  out = prepare(data_config("digits", dequantize=True), IMAGES)
  levels = (out + 1) * 128
  np.testing.assert_array_equal(np.floor(levels + 1e-4), IMAGES)
  assert (levels - IMAGES).std() > 0.2
  assert (
    out != prepare(data_config("digits", dequantize=True), IMAGES, 1)
  ).any()
