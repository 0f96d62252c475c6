"""The demo: its parts, its page in a real browser, and what it exports."""

import contextlib
import importlib.metadata
import importlib.util
import io
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from helpers.configs import feature_net, load_config, shrink
from helpers.environment import ONE_DEVICE, ROOT
from helpers.runs import command
from PIL import Image

from jaxgan import train
from jaxgan.applications import (
  demo_models,
  demo_page,
  export_space,
  translator,
)
from jaxgan.config import flatten
from jaxgan.errors import InputError
from jaxgan.evaluation import restored, sampling
from jaxgan.game import sampling_variables
from jaxgan.viewing import pictures

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
NAMES = ("dtn", "cyclegan", "nsgan")
browser_only = pytest.mark.skipif(
  not (
    CHROMIUM
    and importlib.util.find_spec("gradio")
    and importlib.util.find_spec("playwright")
  ),
  reason="needs Gradio, Playwright and Chromium",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp("demo")
  for name in NAMES:
    config = shrink(load_config(name))
    config.update(steps=2, eval_every=0)
    if name == "cyclegan":  # an upload has more to do than one of DTN
      config.data.source.pad = config.data.target.pad = -2
    train(config, folder / name)
  return folder


@contextlib.contextmanager
def serving(arguments, cwd, **environment):
  """Runs a server; yields its address, which it prints."""
  with (cwd / "server.log").open("w") as log:
    process = subprocess.Popen(
      [sys.executable, *map(str, arguments)],
      stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
      env=os.environ | {"XLA_FLAGS": ONE_DEVICE} | environment,
    )  # fmt: skip
  try:
    for _ in range(1800):
      printed = (cwd / "server.log").read_text()
      if found := re.search(r"serving .* at (http://\S+)", printed):
        yield found[1]
        break
      assert process.poll() is None, printed
      time.sleep(0.1)
    else:
      pytest.fail(printed)
  finally:
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def page(runs):
  """The page of three runs in Chromium."""
  from playwright.sync_api import sync_playwright

  given = ["-m", "jaxgan.demo", *(f"--workdir={runs / n}" for n in NAMES)]
  with (
    serving(given, runs, PYTHONPATH=str(ROOT)) as address,
    sync_playwright() as playwright,
  ):
    browser = playwright.chromium.launch(
      executable_path=CHROMIUM,
      args=[
        "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
      ],
    )  # fmt: skip
    page = browser.new_page()
    page.set_default_timeout(60_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.asked = asked
    yield page
    browser.close()


def show(page, name):
  """Turns to the tab of a run, and returns its panel."""
  page.get_by_role("tab", name=name, exact=True).click()
  panel = page.locator("[role=tabpanel]:visible").first
  panel.get_by_text("step 2,").wait_for()
  return panel


def picture(panel, label):
  return panel.locator(".pixels", has_text=label).locator("img")


def changed(page, image, before=None):
  """The address of a picture, once there is one that is not `before`."""
  for _ in range(600):
    if image.count() and image.get_attribute("src") not in (before, None):
      return image.get_attribute("src")
    page.wait_for_timeout(100)
  pytest.fail("no other picture appeared")


def pixels(page, address):
  """What the page shows at an address."""
  return np.asarray(
    Image.open(io.BytesIO(page.request.get(address).body())).convert("L")
  )


def png(size, mode="L"):
  file = io.BytesIO()
  Image.new(mode, size).save(file, "png")
  return file.getvalue()


def upload(panel, name, contents):
  panel.locator("input[type=file]").first.set_input_files(
    {"name": name, "mimeType": "image/png", "buffer": contents}
  )


@browser_only
@pytest.mark.browser
def test_an_example_is_clicked_and_translated(page, runs):
  panel = show(page, "dtn")
  assert "digits -> typeset_digits at 16x16" in panel.inner_text()
  made = picture(panel, "translation")
  assert made.count() == 0
  examples = panel.locator(".gallery-item:visible")
  assert examples.count() == 8
  examples.nth(0).click()
  first = changed(page, made)
  similarity = panel.get_by_label("similarity").input_value()
  assert re.fullmatch(r"-?[01]\.\d{3}", similarity)
  examples.nth(1).click()
  second = changed(page, made, first)
  found = restored.load(runs / "dtn")
  entry = demo_models.Entry("", runs / "dtn", found)
  for address, image in zip(
    (first, second), demo_models.examples(entry, "source"), strict=False
  ):
    expected = translator.create(found)(image).image
    np.testing.assert_allclose(
      pixels(page, address).astype(int), np.asarray(expected), atol=2
    )
  # It asks no one else for anything.
  home = page.url.split("/")[2]
  for url in page.asked:
    assert url.startswith(("data:", "blob:")) or url.split("/")[2] == home


@browser_only
@pytest.mark.browser
def test_what_cannot_be_translated_gets_a_message(page):
  for name, contents, message in (
    ("text.png", b"no image at all", "is not a readable image"),
    ("cut.png", png((64, 64))[:-30], "is not a readable image"),
    ("empty.png", b"", "is not a readable image"),
    ("huge.png", png((5000, 8), "1"), "give a side of at most 4096"),
    ("bomb.png", png((14000, 14000), "1"), "pixels"),
    ("large.png", bytes(11 << 20), "exceed the maximum allowed size"),
  ):
    page.reload()
    panel = show(page, "dtn")
    # After an example, since such a click may change the upload, too.
    panel.locator(".gallery-item:visible").first.click()
    changed(page, picture(panel, "translation"))
    panel.get_by_label("Remove Image").first.click()
    upload(panel, name, contents)
    page.get_by_text(message).first.wait_for()
  page.reload()
  panel = show(page, "dtn")
  upload(panel, "good.png", png((30, 20)))  # it works as before
  changed(page, picture(panel, "translation"))


@browser_only
@pytest.mark.browser
def test_a_drawing_is_translated(page):
  panel = show(page, "cyclegan")
  panel.get_by_role("tab", name="Draw").click()
  panel.get_by_label("Brush", exact=True).click()
  canvas = panel.locator("canvas").first
  box = canvas.bounding_box()
  x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
  made = picture(panel, "translation")
  before = made.get_attribute("src") if made.count() else None
  page.mouse.move(x, y)
  page.mouse.down()
  page.mouse.move(x, y + box["height"] / 4, steps=5)
  page.mouse.up()
  changed(page, made, before)
  drawn = pixels(page, changed(page, picture(panel, "source")))
  assert drawn.shape == (20, 20)
  assert drawn[0].max() < 20 < 230 < drawn.max()  # light ink on a dark ground
  # Another direction is of the drawing, whatever is to be uploaded.
  before = picture(panel, "translation").get_attribute("src")
  panel.get_by_text("backward").click()
  changed(page, picture(panel, "translation"), before)
  same = changed(page, picture(panel, "source"))
  np.testing.assert_array_equal(pixels(page, same), drawn)


@browser_only
@pytest.mark.browser
def test_directions_have_their_examples(page):
  page.reload()
  panel = show(page, "cyclegan")
  assert panel.get_by_label("similarity").count() == 0
  panel.get_by_text("examples of the source").wait_for()
  panel.get_by_text("backward").click()
  panel.get_by_text("examples of the target").wait_for()
  panel.locator(".gallery-item:visible").nth(0).click()
  address = changed(page, picture(panel, "translation"))
  assert pixels(page, address).shape == (20, 20)  # with the border of 2


@browser_only
@pytest.mark.browser
def test_samples_follow_the_sliders(page):
  panel = show(page, "nsgan")
  assert "gan (non_saturating), step 2, of digits" in panel.inner_text()
  made = panel.locator(".pixels img")
  seen = [changed(page, made)]
  for label, value in (
    ("seed", "7"),
    ("count", "4"),
    ("truncation", "0.5"),
    ("interpolation", "0.5"),
    ("other seed", "3"),
  ):
    box = panel.get_by_label(label, exact=label == "seed").first
    box.fill(value)
    box.press("Enter")
    seen.append(changed(page, made, seen[-1]))
  assert len(set(seen)) == len(seen)
  box = panel.get_by_label("seed", exact=True)
  box.fill("-1")
  box.press("Enter")
  panel.get_by_text("seed=-1: give a value from 0").wait_for()


# Without a browser.


def test_samples_are_those_of_the_run(runs):
  found = restored.load(runs / "nsgan")
  sample = demo_models.sampler(found)
  drawn = sampling.sampler(found.game, 5)
  images = next(drawn(sampling_variables(found.state), 4))
  expected = pictures.grid(np.asarray(images))

  def difference(*given):
    a, b = (np.asarray(x, int) for x in (sample(*given), expected))
    return np.abs(a - b).max()

  assert difference(5, 4, 20.0, 0.0, 1) <= 1  # no bound and no way
  assert difference(1, 4, 20.0, 1.0, 5) <= 1  # all of the way
  assert difference(5, 4, 0.5, 0.0, 1) > 1
  assert difference(5, 4, 20.0, 0.5, 1) > 1


def test_points_are_drawn(tmp_path):
  config = shrink(load_config("mixture", "ring_gan"))
  config.update(steps=1, eval_every=0)
  train(config, tmp_path)
  assert (
    demo_models.sampler(restored.load(tmp_path))(0, 64, 4.0, 0.0, 1).size[0]
    > 300
  )


def test_what_cannot_be_shown(runs, tmp_path, monkeypatch):
  with pytest.raises(InputError, match="give --workdir"):
    demo_models.load([])
  with pytest.raises(InputError, match="makes no images"):
    demo_models.load([str(feature_net())])
  with pytest.raises(InputError, match="holds no checkpoints"):
    demo_models.load([str(tmp_path)])
  with pytest.raises(InputError, match="is given twice"):
    demo_models.load([str(runs / "nsgan"), str(runs / "nsgan" / ".")])
  Image.new("L", (16, 16)).save(tmp_path / "example.png")
  with pytest.raises(InputError, match="no run here translates"):
    demo_models.load([str(runs / "nsgan")], examples=str(tmp_path))
  monkeypatch.setitem(sys.modules, "gradio", None)
  with pytest.raises(InputError, match=r"pip install 'jaxgan\[demo\]'"):
    demo_page.page([])


def test_addresses_that_cannot_be_had():
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(InputError, match=f"port {port} .*another --host or"):
      demo_page._check_address("127.0.0.1", port)
  for host in ("256.1.1.1", "203.0.113.7"):
    with pytest.raises(InputError, match=f"cannot listen at {host}, port any"):
      demo_page._check_address(host, 0)
  demo_page._check_address("127.0.0.1", 0)


def test_two_runs_of_one_name(runs, tmp_path):
  shutil.copytree(runs / "nsgan", tmp_path / "nsgan")
  given = [str(folder / "nsgan") for folder in (runs, tmp_path)]
  entries = demo_models.load(given)
  assert [entry.name for entry in entries] == ["nsgan", given[1]]
  with pytest.raises(InputError, match="two runs are named nsgan"):
    export_space.export(entries, tmp_path / "space")


# The export.


@pytest.fixture(scope="module")
def space(runs, tmp_path_factory):
  folder = tmp_path_factory.mktemp("export") / "space"
  given = [f"--workdir={runs / name}" for name in NAMES]
  result = command("demo", *given, f"--export={folder}", cwd=runs)
  assert result.returncode == 0, result.stderr
  assert re.search(rf"wrote {folder}, [0-9.]+ MB", result.stdout)
  return folder


def test_an_exported_run_makes_what_the_run_makes(runs, space):
  for name in NAMES:
    own, theirs = (
      restored.load(folder / name) for folder in (runs, space / "runs")
    )
    batch = {
      key: np.zeros((2, *shape), "f4")
      for key, shape in (("source", (16, 16, 1)), ("target", (16, 16, 1)))
    }
    if own.game.inputs:
      batch = {"latent": np.ones((2, 8), "f4")}
    for ema in (True, False):
      a, b = (
        x.game.sample(*sampling_variables(x.state, averaged=e), batch)
        for x, e in ((own, True), (theirs, ema))
      )
      for key in a:
        # The weights have 16 bits.
        np.testing.assert_allclose(a[key], b[key], atol=5e-3)
    # Nothing but weights, and no paths.
    assert not theirs.state.opt_state
    for key, value in flatten(theirs.config).items():
      assert not (key.endswith(("path", "workdir")) and value)
  sizes = [
    sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())
    for folder in (runs / "nsgan/checkpoints", space / "runs/nsgan")
  ]
  assert sizes[1] < sizes[0] / 4
  for path in space.rglob("*"):
    if path.is_file():
      assert str(space.parent).encode() not in path.read_bytes(), path
      assert str(runs).encode() not in path.read_bytes(), path


def test_the_requirements_name_what_the_page_imports(space):
  script = (
    "import sys, app\n"
    "for name, module in sys.modules.items():\n"
    "  if name.startswith('jaxgan'): print(module.__file__)"
  )
  files = subprocess.run(
    [sys.executable, "-c", script],
    cwd=space, env=dict(os.environ, PYTHONPATH=""),
    check=True, capture_output=True, text=True,
  ).stdout.splitlines()  # fmt: skip
  code = "\n".join(pathlib.Path(file).read_text() for file in files)
  imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
  owners = importlib.metadata.packages_distributions()
  needed = {
    owners[name][0].lower().replace("-", "_")
    for name in imported & set(owners) - {"jaxgan"}
  }
  pins = (space / "requirements.txt").read_text()
  pinned = re.findall(r"^[\w.-]+", pins.lower().replace("-", "_"), re.MULTILINE)
  assert "jax" in needed and needed <= set(pinned)


def test_the_card_and_the_requirements(space):
  card = (space / "README.md").read_text()
  _, metadata, text = card.split("---\n", 2)
  found = dict(line.split(": ", 1) for line in metadata.splitlines())
  pins = (space / "requirements.txt").read_text().splitlines()
  assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
  assert f"gradio=={found['sdk_version']}" in pins
  assert (space / found["app_file"]).is_file()
  assert found["sdk"] == "gradio"
  for name in NAMES:
    assert f"* `{name}`: " in text
  assert not list(space.rglob("__pycache__"))


@browser_only
@pytest.mark.browser
def test_the_exported_folder_serves_itself(space):
  from gradio_client import Client

  (space / "runs" / ".DS_Store").touch()  # is passed over
  with serving(["app.py"], space, PYTHONPATH="") as address:
    with urllib.request.urlopen(address) as response:
      page = response.read().decode()
    client = Client(address, verbose=False)
    made, message = client.predict(3, 4, 4.0, 0.0, 1, api_name="/draw")
    client.close()
  for name in NAMES:
    assert name in page
  assert message == ""
  with Image.open(made) as image:
    expected = demo_models.sampler(restored.load(space / "runs/nsgan"))(
      3, 4, 4.0, 0.0, 1
    )
    np.testing.assert_allclose(
      np.asarray(image.convert("RGB"), int), np.asarray(expected), atol=2
    )


def test_images_of_a_folder_are_published_if_they_were_chosen(tmp_path, capsys):
  config = shrink(load_config("cyclegan", "folders"))
  config.data.update(image_size=16, margin=0)
  config.critic.layers = 1
  config.update(steps=1, eval_every=0, batch_size=8)
  for name in ("faces", "avatars", "chosen"):
    (tmp_path / name).mkdir()
    for i in range(9):
      side = 600 if name == "chosen" else 16
      image = Image.new("RGB", (side, side), (len(name), i, 200))
      image.save(tmp_path / name / f"{i}.png")
  config.data.source.path = str(tmp_path / "faces")
  config.data.target.path = str(tmp_path / "avatars")
  train(config, tmp_path / "run")
  given = [str(tmp_path / "run")]
  export_space.export(demo_models.load(given), tmp_path / "none")
  printed = capsys.readouterr().out
  assert "no examples of the source; give some by --examples" in printed
  assert "no examples of the target\n" in printed
  assert not list((tmp_path / "none/runs").rglob("*.png"))
  entries = demo_models.load(given, examples=str(tmp_path / "chosen"))
  export_space.export(entries, tmp_path / "some")
  files = sorted((tmp_path / "some/runs/run/examples/source").iterdir())
  assert len(files) == demo_models.EXAMPLES
  with Image.open(files[2]) as image:
    assert image.getpixel((0, 0)) == (len("chosen"), 2, 200)
    assert image.size == (512, 512)
  assert not (tmp_path / "some/runs/run/examples/target").exists()
  (tmp_path / "chosen" / "0.png").write_bytes(b"")
  (entry,) = demo_models.load(given, examples=str(tmp_path / "chosen"))
  with pytest.raises(InputError, match="chosen/0.png"):
    demo_models.examples(entry, "source")
  with pytest.raises(InputError, match="'nowhere' is not a folder"):
    demo_models.load(given, examples="nowhere")


def test_an_export_overwrites_nothing(runs, tmp_path):
  entries = demo_models.load([str(runs / "nsgan")])
  (tmp_path / "file").touch()
  with pytest.raises(InputError, match="give another --export"):
    export_space.export(entries, tmp_path)
  inside = export_space.PACKAGE / "space_out"
  with pytest.raises(InputError, match="lies in .*jaxgan: give another"):
    export_space.export(entries, inside)
  assert not inside.exists()


def test_an_export_takes_the_users_files_along(runs, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  code = "from jaxgan.objectives.losses import minimax as half"
  pathlib.Path("own_loss.py").write_text(code)
  (entry,) = demo_models.load([str(runs / "nsgan")])
  entry.run.config.loss.name = "own_loss.half"
  export_space.export([entry], tmp_path / "space")
  assert (tmp_path / "space/own_loss.py").read_text() == code
