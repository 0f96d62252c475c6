import json

import numpy as np
from PIL import Image

from jaxgan.algorithms.gan_settings import default_config
from jaxgan.data import mixtures
from jaxgan.engine.logs import open_logs
from jaxgan.engine.processes import ALONE
from jaxgan.viewing import pictures


def test_grid():
  images = np.full((5, 32, 32, 1), -1.0)
  images[4] = 1.0
  images[1, :, :, 0] = np.linspace(-1, 1, 32)
  grid = np.asarray(pictures.grid(images, gap=4))
  # Three columns and two rows of 64 pixels, white gaps around them.
  assert grid.shape == (2 * 68 + 4, 3 * 68 + 4, 3)
  assert (grid[:4] == 255).all()
  assert (grid[:, 68:72] == 255).all()
  assert (grid[4:68, 4:68] == 0).all()
  assert (grid[72:136, 72:136] == 255).all()
  assert (grid[72:136, 140:204] == 255).all()  # no sixth image
  middle = grid[4:68, 72:136, 0]
  assert (np.diff(middle.astype(int), axis=1) >= 0).all()
  assert (middle[0, 0], middle[0, -1]) == (0, 255)


def test_grid_keeps_colours_and_rectangles():
  images = np.zeros((1, 64, 80, 3)) + [1.0, 0.0, -1.0]
  grid = np.asarray(pictures.grid(images, gap=2))
  assert grid.shape == (68, 84, 3)
  np.testing.assert_array_equal(grid[30, 30], [255, 128, 0])


def test_panels_stand_side_by_side():
  samples = {"real": np.ones((4, 64, 64, 1)), "fake": -np.ones((4, 64, 64, 1))}
  picture = np.asarray(pictures.picture(samples)).mean(2)
  left, right = np.split(picture[20:], 2, axis=1)
  assert left.mean() > 250
  assert right.mean() < 60  # black but for the gaps


def test_a_grid_of_given_columns():
  grid = pictures.grid(np.zeros((6, 64, 64, 1)), columns=2)
  assert grid.size == (2 * 68 + 4, 3 * 68 + 4)


def test_points_are_plotted_over_the_density():
  mixture = mixtures.grid()
  points = mixture.centres + 1.0  # between the modes
  picture = pictures.picture({"far": points + 99, "near": points}, mixture)
  assert picture.size == (800, 400)
  pixels = np.asarray(picture, np.int32)[40:]
  red, green, blue = np.moveaxis(pixels, -1, 0)
  far, near = np.split(green - np.maximum(red, blue) > 20, 2, axis=1)
  assert far.sum() > 25
  assert near.sum() > 25
  far, near = np.split(blue - np.maximum(red, green), 2, axis=1)
  assert not (far > 10).any()
  assert (near > 10).sum() > 16
  assert (near > 20).any()


def test_logs_are_cut_back_to_the_step_resumed_from(tmp_path):
  image = Image.new("RGB", (8, 8))
  with open_logs(tmp_path, default_config("digits"), ALONE, 0) as logs:
    for step in (10, 20, 30):
      logs.write(step, {"critic/loss": step / 10})
      logs.write_picture(step, image)
  with (tmp_path / "metrics.jsonl").open("a") as f:
    f.write('{"step": 40, "critic/lo')  # cut short by a crash
  with open_logs(tmp_path, default_config("digits"), ALONE, 20) as logs:
    logs.write(30, {"critic/loss": -1.0})
  rows = [
    json.loads(line)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
  ]
  assert [row["step"] for row in rows] == [10, 20, 30]
  assert rows[-1]["critic/loss"] == -1
  names = sorted(p.stem for p in (tmp_path / "samples").iterdir())
  assert names == ["00000010", "00000020"]
  assert list(tmp_path.glob("events.out.tfevents.*"))


def test_curves_of_one_run_and_of_several(tmp_path):
  rows = [{"step": i, "a": i**2, "b": -i} for i in range(5)]
  for runs in ({"x": rows}, {"x": rows, "y": rows[:2] + [{"step": 9}]}, {}):
    pictures.curves(runs, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
      assert image.width > 500


def test_animations_keep_their_greys(tmp_path):
  ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
  frame = Image.fromarray(ramp).convert("RGB")
  pictures.animate([frame, frame], tmp_path / "a.gif")
  with Image.open(tmp_path / "a.gif") as image:
    found = np.asarray(image.convert("L")).astype(int)
  assert np.abs(found - ramp).max() <= 2


def test_animation(tmp_path):
  frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue", "green")]
  pictures.animate(frames, tmp_path / "a.gif")
  with Image.open(tmp_path / "a.gif") as image:
    assert image.n_frames == 3
