"""Inputs that nobody thought of: each works, or is one line that says why.

More of them by hand: JAXGAN_FUZZ=1000 pytest -rP tests/test_fuzz.py
"""

import collections
import functools
import io
import os
import pathlib
import re
import shutil
import struct
import sys
import tempfile
import warnings
import zlib
from unittest import mock

import jax
import numpy as np
import pytest
from absl import flags
from helpers.checkpoints import make_state
from helpers.configs import data_config, load_config, shrink
from helpers.environment import CONFIGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict, config_flags
from PIL import Image

from jaxgan import cli, train
from jaxgan.data.images import decode, open_image
from jaxgan.engine import checkpoint
from jaxgan.errors import InputError

pytestmark = pytest.mark.slow

COUNT = os.environ.get("JAXGAN_FUZZ")
counts = collections.Counter()


def fuzzed(default, share=1.0):
  return settings(
    max_examples=max(1, round(int(COUNT) * share)) if COUNT else default,
    deadline=None,
    derandomize=not COUNT,  # the same ones every time
    database=None,
    suppress_health_check=list(HealthCheck),
  )


@pytest.fixture(scope="module", autouse=True)
def report():
  yield
  print(dict(counts))  # pytest -rP


def check_line(message):
  assert message and "\n" not in message.strip(), message
  assert "Traceback" not in message and "0x7f" not in message


# Of images


FORMATS = {
  "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
  "JPEG": ("L", "RGB", "CMYK"),
  "GIF": ("1", "L", "P", "RGB"),
  "BMP": ("1", "L", "P", "RGB"),
  "WEBP": ("L", "RGB", "RGBA"),
  # Not YCbCr, which Pillow writes, but cannot read at odd sizes.
  "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
}


SIDES = st.sampled_from([0, 1, 40, 12000, 100000, 2**31 - 1, 2**31, 2**32 - 1])


def header(width, height):
  """A PNG that claims to be of a size, and ends there."""
  ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  crc = struct.pack(">I", zlib.crc32(ihdr))
  return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + crc


@st.composite
def images(draw):
  """The bytes of an image, whole or not."""
  kind = draw(st.sampled_from(sorted(FORMATS)))
  mode = draw(st.sampled_from(FORMATS[kind]))
  size = draw(
    st.tuples(st.integers(1, 40), st.integers(1, 40))
    | st.sampled_from([(1, 1), (1, 3000), (3000, 1)])
  )
  seed = draw(st.integers(0, 99))
  noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), "u1")
  source = Image.fromarray(noise)
  if mode == "I;16":
    wide = np.asarray(source.convert("L")).astype(np.uint16) << 8
    image = Image.fromarray(wide)
  elif mode in ("P", "CMYK", "RGBA", "RGB"):
    image = source.convert(mode)
  else:
    image = source.convert("L").convert(mode)
  options = {}
  if kind in ("GIF", "WEBP", "TIFF", "PNG") and draw(st.booleans()):
    options |= {"save_all": True, "append_images": [image] * 2}
  if kind in ("JPEG", "PNG", "WEBP", "TIFF") and draw(st.booleans()):
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))  # the orientation, 1 to 8
    options["exif"] = exif
  file = io.BytesIO()
  image.save(file, kind, **options)
  content = file.getvalue()
  damage = draw(st.sampled_from(["none", "cut", "flip", "none", "tail"]))
  at = draw(st.integers(0, len(content) - 1))
  if damage == "cut":
    return damage, content[:at]
  if damage == "flip":
    bit = draw(st.integers(0, 7))
    content = bytearray(content)
    content[at] ^= 1 << bit
    return damage, bytes(content)
  if damage == "tail":
    return damage, content + draw(st.binary(max_size=20))
  return damage, content


@fuzzed(200)
@given(
  images()
  | st.tuples(st.just("noise"), st.binary(max_size=200))
  | st.tuples(st.just("claim"), st.builds(header, SIDES, SIDES)),
  st.sampled_from([1, 3]),
  st.sampled_from(["", "left"]),
  st.integers(-3, 3),
)
# Of files that are not quite right, Pillow says so.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_images(made, channels, half, pad):
  damage, content = made
  config = data_config(
    image_size=8, channels=channels, half=half, pad=pad, path="x"
  )
  name = "photos/a.png"
  try:
    found = decode(content, name, config)
    assert found.shape == (8, 8, channels) and found.dtype == np.uint8
    counts[f"image, {damage}: read"] += 1
  except InputError as e:
    check_line(str(e))
    assert name in str(e)
    counts[f"image, {damage}: refused"] += 1
    if damage == "none":
      assert half or pad < 0, e
  try:
    image = open_image(content, name, channels, largest=64)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
  except InputError as e:
    check_line(str(e))


# Of checkpoints


@st.composite
def damages(draw):
  """Ways to damage a file, by its number among all."""
  return (
    draw(st.sampled_from(["flip", "cut", "empty", "remove", "swap", "noise"])),
    draw(st.integers(0, 999)),
    draw(st.floats(0, 1, exclude_max=True)),
  )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
  folder = tmp_path_factory.mktemp("stored")
  with checkpoint.open_manager(folder) as manager:
    for step in (1, 2, 3):
      state = make_state(step, scale=step)
      checkpoint.save(manager, state, load_config("dcgan"))
  return folder


@fuzzed(25, share=0.2)
@given(st.lists(damages(), min_size=1, max_size=4))
def test_checkpoints(stored, changes):
  """What is restored is what was saved, and what was whole stays so."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    shutil.copytree(stored / "checkpoints", folder / "checkpoints")
    touched = set()
    for kind, number, place in changes:
      files = sorted(p for p in folder.rglob("*") if p.is_file())
      file = files[number % len(files)]
      touched.add(file.relative_to(folder / "checkpoints").parts[0])
      content = bytearray(file.read_bytes())
      at = int(place * len(content))
      if kind == "remove":
        file.unlink()
      elif kind == "swap":
        other = files[(number * 7 + 1) % len(files)]
        touched.add(other.relative_to(folder / "checkpoints").parts[0])
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
      elif content:
        if kind == "flip":
          content[at] ^= 1 << number % 8
        elif kind == "noise":
          content[at:] = np.random.default_rng(number).bytes(len(content) - at)
        file.write_bytes(
          content[: at if kind == "cut" else 0 if kind == "empty" else None]
        )
    untouched = {"1", "2", "3"} - touched
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      with checkpoint.open_manager(folder) as manager:
        try:
          state = checkpoint.restore(manager, make_state(0))
        except InputError as e:
          check_line(str(e))
          assert not untouched
          counts["checkpoints: none whole"] += 1
        else:
          step = int(state.step)
          assert step >= max(map(int, untouched), default=0)
          expected = make_state(step, scale=step)
          assert checkpoint.digest(state) == checkpoint.digest(expected)
          counts[f"checkpoints: restored at {step} of 3"] += 1
    for step in untouched:
      assert (folder / "checkpoints" / step).is_dir()
    kept = [*folder.glob("checkpoints/[0-9]"), *folder.glob("damaged/[0-9]")]
    assert len(kept) == 3


# Of configs


WORDS = sorted(
  {
    value
    for path in CONFIGS
    for value in jax.tree.leaves(load_config(path.stem).to_dict())
    if isinstance(value, str)
  }
)
POOLS = {
  int: ["-1", "0", "1", "2", "3", "5", "8", "16", "17"],
  float: ["-1", "0", "1", "0.5", "1e-30", "1e30", "nan", "inf", "-inf"],
  bool: ["true", "false"],
  str: [*WORDS, "x", "ä", "../x", "a b"],
  tuple: ["()", "(1,)", "(-1,)", "(0, 3)", "(8, 8, 8)", "('a',)", "(1e30,)"],
}
LARGE = ["2147483648", "9223372036854775808", "100000000000000000000"]
# Sizes of what is made: large ones only take time and memory.
SIZES = "size|width|hidden|blocks|samples|n_|layers|latent|dim|kernels"
# What takes long, needs a network, or is of no use with one round.
LEFT_OUT = {"steps", "eval_every", "wandb", "data.name", "features.name"}


def keys(config, prefix=""):
  found = []
  for key, value in config.items():
    if isinstance(value, ConfigDict):
      found += keys(value, f"{prefix}{key}.")
    elif prefix + key not in LEFT_OUT:
      found.append(prefix + key)
  return sorted(found)


CONFIG = """
from helpers.configs import load_config
from helpers.configs import shrink

def get_config():
  config = shrink(load_config({name!r}))
  config.steps, config.eval_every = 1, 0
  return config
"""


@st.composite
def overrides(draw):
  name = draw(st.sampled_from([path.stem for path in CONFIGS]))
  config = shrink(load_config(name))
  chosen = st.lists(st.sampled_from(keys(config)), min_size=1, max_size=2)
  arguments = []
  for key in draw(chosen):
    pools = {kind: list(pool) for kind, pool in POOLS.items()}
    if not re.search(SIZES, key):
      pools[int] += LARGE
    own = type(functools.reduce(lambda c, k: c[k], key.split("."), config))
    kind = draw(st.sampled_from([own] * 9 + list(POOLS)))
    text = draw(st.sampled_from(pools.get(kind, POOLS[str])))
    arguments.append(f"--config.{key}={text}")
  return name, arguments


@fuzzed(12, share=0.2)
@given(overrides())
@pytest.mark.filterwarnings("ignore")
def test_overrides(made):
  name, arguments = made
  values = flags.FlagValues()
  config_flags.DEFINE_config_file(
    "config", lock_config=True, flag_values=values
  )
  with (
    tempfile.TemporaryDirectory() as folder,
    mock.patch.object(flags, "FLAGS", values),
    mock.patch.object(
      sys, "argv", ["x", f"--config={folder}/c.py", *arguments]
    ),
  ):
    pathlib.Path(folder, "c.py").write_text(CONFIG.format(name=name))
    try:
      cli._parse_flags(sys.argv)
    except SystemExit as e:
      check_line(e.code)
      counts["config: refused as a flag"] += 1
      return
    try:
      train(values.config, pathlib.Path(folder, "run"), jax.devices()[:1])
      counts["config: trained"] += 1
    except Exception as e:
      message = cli._explain(e)[1]
      if message is None:
        raise
      check_line(message)
      counts["config: refused"] += 1
    finally:
      jax.clear_caches()  # of what is not run again
