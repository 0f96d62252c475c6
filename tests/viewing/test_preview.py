"""The picture of samples while a run trains."""

import jax
import numpy as np
import pytest
from helpers.configs import load_config, shrink

from jaxgan import algorithms
from jaxgan.data.arrays import ArraySource
from jaxgan.engine.logs import open_logs
from jaxgan.engine.processes import ALONE
from jaxgan.viewing import preview


def draw(name, count, preset=None, **arrays):
  config = shrink(load_config(name, preset))
  game = algorithms.create(config)
  init, _ = algorithms.initial_state(config, game)
  source = ArraySource({key: array(count) for key, array in arrays.items()})
  batch = preview.examples(source, config)
  state = init(jax.random.key(0), batch)
  picture = preview.create(config, game, batch, jax.random.key(1))
  return batch, picture((state.params, state.model_state))


def grey(count):
  return np.zeros((count, 16, 16, 1), np.uint8)


@pytest.mark.parametrize(("count", "drawn"), [(10, 10), (200, 64)])
def test_samples_stand_beside_as_many_examples(count, drawn):
  batch, picture = draw("gan", count, image=grey)
  assert batch["image"].shape == (drawn, 16, 16, 1)
  side = int(np.ceil(np.sqrt(drawn)))
  assert picture.size[0] == 2 * (side * 68 + 4) + 12


def test_points_are_many():
  points = lambda count: np.zeros((count, 2), np.float32)  # noqa: E731
  batch, picture = draw("mixture", 5000, "ring_gan", image=points)
  assert batch["image"].shape == (2048, 2)
  assert picture.size == (800, 400)


def test_a_classifier_has_no_picture():
  labels = lambda count: np.zeros(count, np.int32)  # noqa: E731
  _, picture = draw("classifier", 20, image=grey, label=labels)
  assert picture is None


def test_a_summary_has_at_most_fifty_frames(tmp_path):
  config = shrink(load_config("gan"))
  _, picture = draw("gan", 10, image=grey)
  with open_logs(tmp_path, config, ALONE, 0) as logs:
    for step in range(1, 104):
      logs.write(step, {"critic/loss": 1 / step})
      logs.write_picture(step, picture)
  preview.summarize(tmp_path)
  with preview.Image.open(tmp_path / "samples.gif") as image:
    assert getattr(image, "n_frames", 1) <= 50
  assert (tmp_path / "curves.png").exists()
