import json

import numpy as np
import pytest
from helpers.configs import small
from helpers.runs import command
from PIL import Image

import jaxgan
from jaxgan.errors import InputError

pytestmark = pytest.mark.slow

SMALL = {"generator.hidden": (8,), "critic.hidden": (8,), "batch_size": 16}


def test_train_by_name_and_load(tmp_path):
  run = jaxgan.train("gan:digits", tmp_path / "run", steps=2, **SMALL)
  assert (run.config.steps, run.config.generator.hidden) == (2, (8,))
  assert "run: gan on digits, step 2 of 2" in repr(run)
  samples = run.sample(20)
  assert (samples.shape, samples.dtype) == ((20, 16, 16, 1), np.uint8)
  loaded = jaxgan.load(tmp_path / "run")
  assert np.array_equal(loaded.sample(20), samples)
  assert np.array_equal(loaded.sample(3), samples[:3])
  assert not np.array_equal(loaded.sample(3, seed=1), samples[:3])
  assert not np.array_equal(loaded.sample(3, ema=False), samples[:3])
  with pytest.raises(InputError, match="count=0"):
    run.sample(0)
  with pytest.raises(InputError, match="does not translate"):
    run.translate(samples)


def test_nothing_is_printed_but_bars(tmp_path, capsys):
  run = jaxgan.train("gan:ring", tmp_path / "run", steps=1, **SMALL)
  run.sample()
  run.evaluate(count=50)
  jaxgan.load(tmp_path / "run")
  out, err = capsys.readouterr()
  assert not out
  assert all("it/s" in x or "/s" in x or not x for x in err.split("\r")), err


def test_evaluate(tmp_path):
  run = jaxgan.train("gan:ring", tmp_path, steps=2, **SMALL)
  results = run.evaluate(count=100, seed=3)
  command("evaluate", f"--workdir={tmp_path}", "--samples=100", "--seed=3",
          cwd=tmp_path)  # fmt: skip
  written = json.loads((tmp_path / "evaluation.json").read_text())
  assert written["protocol"] == json.loads(results.to_json())["protocol"]
  values = {name: x["value"] for name, x in written["metrics"].items()}
  assert values.keys() == results.metrics.keys()
  for name, value in values.items():
    np.testing.assert_allclose(results.metrics[name].value, value, rtol=1e-4)
  assert "lower is better" in repr(results)
  assert "100 samples, seed 3" in repr(results)


def test_translate(trained, tmp_path):
  run = jaxgan.load(trained("cyclegan"))
  images = np.arange(2 * 20 * 24, dtype=np.uint8).reshape(2, 20, 24, 1)
  first, second = run.translate(images)
  assert (first.shape, first.dtype) == ((20, 24, 1), np.uint8)
  grey = [Image.fromarray(images[0, ..., 0]), images[1, ..., 0]]
  for kind in (
    grey,
    [x.convert("RGB") for x in map(Image.fromarray, images[..., 0])],
  ):
    again = run.translate(kind)
    assert np.array_equal(again, [first, second])
  back = run.translate(images, direction="backward")
  assert not np.array_equal(back, [first, second])
  for bad in (images[0] / 255, images[0, 0, 0], np.zeros((9, 9, 5), np.uint8)):
    with pytest.raises(InputError, match=r"image 0: .*: give uint8 \[H, W\]"):
      run.translate([bad])
  for lone in (images[0], grey[0], "0.png"):
    with pytest.raises(InputError, match="give a list of images"):
      run.translate(lone)
  phone, exif = Image.new("CMYK", (30, 20)), Image.Exif()
  exif[0x0112] = 6  # lies on its side
  phone.save(tmp_path / "phone.jpg", exif=exif)
  (upright,) = run.translate([Image.open(tmp_path / "phone.jpg")])
  assert upright.shape == (30, 20, 1)
  with pytest.raises(InputError, match="does not sample from noise"):
    run.sample()


def test_a_grid_shows_itself():
  images = np.zeros((4, 8, 8, 3), np.uint8)
  grid = jaxgan.grid(images)
  assert grid._repr_png_().startswith(b"\x89PNG")
  assert grid.size == (140, 140)
  for bad in (images[0], images[..., :2], images.astype(int), images[:0, 0]):
    with pytest.raises(InputError, match=r"give uint8, or floats in \[-1, 1\]"):
      jaxgan.grid(bad)
  with pytest.raises(InputError, match="different shapes"):
    jaxgan.grid([images[0], images[0, :4]])


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"stepz": 3}, "no key 'stepz'; did you mean 'steps'"),
    ({"data.nam": "x"}, "no key 'data.nam'; did you mean 'data.name'"),
    ({"steps.more": 3}, "no key 'steps.more'"),
    ({"steps": "many"}, "steps='many': give a value of type int"),
    ({"generator": 3}, "generator has keys: give generator.KEY"),
    ({"generator": {"hidden": (8,)}}, "generator has keys: .*, or all of them"),
    ({"steps": None}, "steps=None: give a value of type int"),
    ({"steps": True}, "steps=True: give a value of type int"),
    ({"algorithm": None}, "algorithm=None: give a value of type str"),
  ],
)
def test_values_that_cannot_be(values, message, tmp_path):
  with pytest.raises(InputError, match=message):
    jaxgan.train("gan", tmp_path / "run", **values)
  assert not (tmp_path / "run").exists()


def test_values_leave_the_config_as_it_was(tmp_path):
  config = small("gan", steps=1)
  run = jaxgan.train(config, tmp_path, seed=3, optimizers={
    x: {"name": "sgd", "learning_rate": 0.1} for x in config.optimizers
  })  # fmt: skip
  assert (config.seed, run.config.seed) == (0, 3)
  assert run.config.optimizers.critic.name == "sgd"
