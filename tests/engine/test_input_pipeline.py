"""Minibatches: their order, their way to the devices, and augmentation."""

from types import SimpleNamespace

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import data_config
from helpers.files import write_images
from ml_collections import ConfigDict

from jaxgan import data
from jaxgan.data import images, presets
from jaxgan.data.arrays import ArraySource
from jaxgan.data.augment import make_augment
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import to_float, unaugmented
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine import devices as devices_lib
from jaxgan.engine import input_pipeline
from jaxgan.engine.processes import ALONE, Process
from jaxgan.errors import InputError
from jaxgan.game import AXIS


def numbers(length=50):
  return ArraySource({"image": np.arange(length, dtype=np.float32)})


def unpaired(first=50, second=30):
  return Unpaired(
    Domain(numbers(first), "source"), Domain(numbers(second), "target")
  )


def take(source, start, stop, name="image", process=ALONE, **how):
  """Returns a process's minibatches of the steps from `start` on."""
  config = ConfigDict({"seed": 3, "batch_size": 8, "steps": stop} | how)
  mapping = SimpleNamespace(process=process, shard_batch=lambda batch: batch)
  streamed = input_pipeline.Streamed(source, config, 2, mapping)
  return [batch[name] for batch in streamed.inputs(start)]


def test_every_epoch_is_a_permutation():
  indices = shuffled_indices(0, np.arange(150), 50)
  epochs = indices.reshape(3, 50)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
  assert (epochs[0] != epochs[1]).any()
  assert (shuffled_indices(1, np.arange(50), 50) != epochs[0]).any()


@pytest.mark.parametrize("length", [1, 2, 5, 50, 1797, 60_000])
def test_device_and_host_shuffle_alike(length):
  first = 2 * length - 1
  positions = np.arange(first, first + 2 * length + 3)
  on_device = jax.jit(lambda x: shuffled_indices(7, x, length, jnp))
  indices = shuffled_indices(7, positions, length)
  np.testing.assert_array_equal(indices, on_device(positions.astype(np.uint32)))
  np.testing.assert_array_equal(
    np.sort(indices[1 : length + 1]), np.arange(length)
  )


def test_shuffle_is_uniform():
  # Where example 0 goes in 4000 epochs of 20: counts of mean 200, sd 14.
  indices = shuffled_indices(0, np.arange(20 * 4000), 20).reshape(4000, 20)
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
@pytest.mark.parametrize(
  ("source", "names"),
  [(numbers(), ["image"]), (unpaired(), ["source", "target"])],
  ids=["single", "unpaired"],
)
def test_resident_data_feeds_the_same_minibatches(
  kind, source, names, monkeypatch
):
  settings = ConfigDict({"seed": 3, "batch_size": 8, "steps": 9})

  def step(state, batch):
    both = jnp.stack([batch[name] for name in names], axis=-1)
    seen = jax.lax.all_gather(both, AXIS, axis=1, tiled=True)
    return state.replace(step=state.step + 1), seen

  def seen(devices):
    mapping = devices_lib.create(kind, jax.devices()[:devices])
    pipeline = input_pipeline.create(source, settings, 2, mapping)
    mapped = pipeline.map_step(step)
    state = mapping.replicate(Counter(step=jnp.int32(4)))
    steps_seen = []
    for batch in pipeline.inputs(4):
      state, images = mapped(state, batch)
      images = np.asarray(images)
      steps_seen.append(images[0] if kind == "pmap" else images)
    return np.stack(steps_seen)

  resident = [seen(devices) for devices in (1, 4)]
  monkeypatch.setattr(input_pipeline, "RESIDENT_BYTES", 0)
  sent = [seen(devices) for devices in (1, 4)]
  for steps_seen in (*resident, *sent):
    np.testing.assert_array_equal(steps_seen, sent[0])
  for i, name in enumerate(names):
    np.testing.assert_array_equal(sent[0][..., i], take(source, 4, 9, name))


def test_batches_are_a_function_of_seed_and_step():
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
    parts = [
      take(numbers(), 0, 9, process=Process(i, count)) for i in range(count)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)


def test_streamed_batches_are_the_same(tmp_path, monkeypatch):
  write_images(tmp_path, 12, size=(8, 8))
  settings = data_config(path=str(tmp_path), image_size=8)
  held = take(data.create(settings), 2, 9)
  monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  streamed = take(data.create(settings), 2, 9)
  np.testing.assert_array_equal(held, streamed)


def test_unpaired_domains_have_epochs_of_their_own():
  # 30 steps of 2 * 8 are 9.6 epochs of 50 and 16 of 30.
  for name, length in (("source", 50), ("target", 30)):
    order = np.ravel(take(unpaired(), 0, 30, name)).astype(int)
    for epoch in np.split(order, range(length, 480, length)):
      assert len(np.unique(epoch)) == len(epoch)
  # The first is in the order of single images.
  np.testing.assert_array_equal(
    take(unpaired(), 0, 30, "source"), take(numbers(), 0, 30)
  )


def test_unpaired_orders_are_independent():
  # In 1000 epochs of 5, each of the 25 pairs is met 200 times, sd 12.
  source, target = (
    np.ravel(take(unpaired(5, 5), 0, 500, name, batch_size=5)).astype(int)
    for name in ("source", "target")
  )
  counts = np.bincount(5 * source + target, minlength=25)
  assert counts.sum() == 5000
  assert abs(counts - 200).max() < 50


def test_unpaired_batches_are_a_function_of_seed_and_step():
  for name in ("source", "target"):
    whole = np.array(take(unpaired(), 0, 9, name))
    np.testing.assert_array_equal(take(unpaired(), 4, 9, name), whole[4:])
    assert (np.array(take(unpaired(), 0, 9, name, seed=4)) != whole).any()
    parts = [take(unpaired(), 0, 9, name, process=(i, 2)) for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)


def test_a_streamed_domain_beside_one_in_memory(tmp_path, monkeypatch):
  write_images(tmp_path, 12, size=(8, 8))
  config = presets.translation("digits")
  config.update(image_size=8, target={"name": "folder", "channels": 3})
  config.target.path = str(tmp_path)
  held = data.create(config)
  monkeypatch.setattr(images, "MEMORY_LIMIT", 100)
  streamed = data.create(config)
  assert (held.in_memory, streamed.in_memory) == (True, False)
  assert [part.in_memory for part in streamed.parts] == [True, False]
  for name in ("source", "source_label", "target"):
    np.testing.assert_array_equal(
      take(held, 2, 9, name), take(streamed, 2, 9, name)
    )


@pytest.mark.parametrize(
  ("source", "message"),
  [
    (numbers(5), "the data has 5 .* batch_size to 5"),
    (unpaired(5, 50), "the source domain has 5 .* batch_size to 5"),
    (unpaired(50, 7), "the target domain has 7 .* batch_size to 7"),
  ],
  ids=["single", "source", "target"],
)
def test_too_few_images(source, message):
  with pytest.raises(InputError, match=message):
    input_pipeline.create(
      source, ConfigDict({"batch_size": 8, "steps": 1}), 1, None
    )


def prepare_all(settings, batch, seed=0):
  fn = jax.vmap(
    lambda x: make_augment(settings)(x, jax.random.key(seed)), axis_name=AXIS
  )
  out = fn({name: array[None] for name, array in batch.items()})
  return {name: np.array(array[0]) for name, array in out.items()}


def prepare(settings, image, seed=0):
  return prepare_all(settings, {"image": image}, seed)["image"]


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


def choices(out, images):
  """Of all windows, plain and flipped: which one each prepared image is."""
  floats, (height, width) = to_float(images), out.shape[1:3]
  same = np.stack(
    [
      np.isclose(out, view[:, y : y + height, x : x + width], atol=1e-6).all(
        (1, 2, 3)
      )
      for view in (floats, floats[:, :, ::-1])
      for y in range(images.shape[1] - height + 1)
      for x in range(images.shape[2] - width + 1)
    ]
  )
  np.testing.assert_array_equal(same.sum(0), 1)
  return same.argmax(0)


def pairs(name):
  """A config with flips and a margin of 2, and 64 images of 8x8."""
  config = presets.translation("digits")
  config.update(name=name, image_size=6, flip=True, margin=2)
  labels = np.arange(64, dtype=np.int32)
  batch = {"source": IMAGES, "target": 255 - np.tile(IMAGES, 3)}
  return config, {**batch, "target_label": labels}


@pytest.mark.parametrize("name", ["pairs", "outlines"])
def test_pairs_are_augmented_alike(name):
  config, batch = pairs(name)
  out = prepare_all(config, batch)
  assert out["source"].shape == (64, 6, 6, 1)
  assert out["target"].shape == (64, 6, 6, 3)
  np.testing.assert_allclose(
    out["target"], np.tile(-out["source"], 3), atol=1e-6
  )
  counts = np.bincount(choices(out["source"], IMAGES), minlength=18)
  assert counts.max() < 12 and (counts > 0).sum() > 12
  np.testing.assert_array_equal(out["target_label"], batch["target_label"])


def test_unpaired_images_are_augmented_independently():
  config, batch = pairs("unpaired")
  out = prepare_all(config, batch)
  first, second = (
    choices(out[name], batch[name]) for name in ("source", "target")
  )
  assert (first == second).sum() < 12  # 64 / 18 are expected
  for chosen in (first, second):
    assert (np.bincount(chosen, minlength=18) > 0).sum() > 12


def test_margins_of_rectangles():
  config, _ = pairs("pairs")
  wide = IMAGES.reshape(32, 8, 16, 1)
  out = prepare_all(config, {"source": wide, "target": wide})
  assert out["source"].shape == (32, 6, 14, 1)
  np.testing.assert_array_equal(out["source"], out["target"])
  choices(out["source"], wide)


def test_images_without_augmentation():
  config, batch = pairs("pairs")
  out = unaugmented(batch, config)
  np.testing.assert_array_equal(out["source"], to_float(IMAGES)[:, 1:7, 1:7])
  assert out["target"].shape == (64, 6, 6, 3)
  np.testing.assert_array_equal(out["target_label"], batch["target_label"])
  config.margin = 3
  assert unaugmented(batch, config)["source"].shape == (64, 5, 5, 1)
  single = unaugmented({"image": IMAGES}, data_config("digits"))
  np.testing.assert_array_equal(single["image"], to_float(IMAGES))
  points = np.ones((4, 2), np.float32)
  kept = unaugmented({"image": points}, data_config("ring"))["image"]
  np.testing.assert_array_equal(kept, points)
