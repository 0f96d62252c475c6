"""Eight simulated devices, a compilation cache, and small configs."""

import functools
import importlib.util
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
from importlib import metadata
from unittest import mock

os.environ["JAX_PLATFORMS"] = "cpu"
# The tests compile much and compute little: less optimization makes them
# twice as fast.
ONE_DEVICE = (
  "--xla_disable_hlo_passes=cse_barrier_expander "  # as in runtime.py
  "--xla_backend_optimization_level=0 "
  "--xla_cpu_parallel_codegen_split_count=1 "
  "--xla_llvm_disable_expensive_passes=true"
)
if metadata.version("jaxlib").startswith("0.10."):  # others may not know it
  ONE_DEVICE += " --xla_cpu_use_fusion_emitters=false"
DEVICES = "--xla_force_host_platform_device_count="
os.environ["XLA_FLAGS"] = f"{ONE_DEVICE} {DEVICES}8"
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  os.path.join(tempfile.gettempdir(), "jaxgan-test-compilations"),
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from ml_collections import ConfigDict  # noqa: E402
from PIL import Image  # noqa: E402

from jaxgan.config import base_config  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def forget():
  """Frees what a module compiled: gigabytes by the end."""
  yield
  jax.clear_caches()


def load_config(name: str, preset: str | None = None) -> ConfigDict:
  """Returns what `configs/<name>.py` makes."""
  get_config = runpy.run_path(str(ROOT / "configs" / f"{name}.py"))[
    "get_config"
  ]
  return get_config(preset) if preset else get_config()


def shrink(config: ConfigDict) -> ConfigDict:
  """Makes networks and batch tiny, in place."""
  config.batch_size = 16
  for player in config.optimizers:
    network = config[player]
    for key, size in (("width", 4), ("blocks", 1)):
      if key in network:
        network[key] = size
    if "hidden" in network:
      network.hidden = (16,) * len(network.hidden)
    if "widths" in network:
      network.widths = (8,) * len(network.widths)
  if "latent_size" in config:
    config.latent_size = 8
  if "features" in config:  # whatever the data, of digits
    network = shrink(load_config("classifier")).classifier
    config.features.update(
      workdir=str(feature_net()), image_size=16, channels=1, network=network
    )
  for updates in {"n_critic", "n_generator"} & set(config):
    config[updates] = min(config[updates], 2)  # unrolled: costs compilation
  return config


@functools.cache
def feature_net() -> pathlib.Path:
  """The folder of a classifier that has learned for one round."""
  from jaxgan.train import train

  config = shrink(load_config("classifier"))
  config.steps = 1
  folder = pathlib.Path(tempfile.mkdtemp()) / "classifier"
  train(config, folder)
  return folder


def data_config(preset: str = "folder", **values) -> ConfigDict:
  """Returns the `data` of a preset, with other values."""
  config = base_config(preset).data
  config.update(values)
  return config


def write_images(folder, count, size=(20, 20), mode="RGB"):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  for i in range(count):
    shape = (size[1], size[0], len(mode))
    pixels = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels.squeeze(), mode=None).save(folder / f"{i:03d}.png")


def command(module, *arguments, cwd, devices=1):
  """Runs `python -m jaxgan.<module>` in a process of its own."""
  environment = os.environ | {
    "XLA_FLAGS": f"{ONE_DEVICE} {DEVICES}{devices}",
    "PYTHONPATH": str(ROOT),
    "XDG_CACHE_HOME": str(cwd / "cache"),
  }
  return subprocess.run(
    [sys.executable, "-m", f"jaxgan.{module}", *map(str, arguments)],
    capture_output=True, text=True, cwd=cwd, env=environment, timeout=300,
  )  # fmt: skip


def import_torch_fidelity():
  """Returns the package torch_fidelity; without it, skips the test.

  At import it asks for torchvision, which what the tests use does without.
  """
  pytest.importorskip("torch")
  stand_ins = {}
  if importlib.util.find_spec("torchvision") is None:
    for name in ("", ".datasets", ".transforms", ".transforms.functional"):
      stand_ins["torchvision" + name] = mock.MagicMock()
  sys.modules.update(stand_ins)
  try:
    return pytest.importorskip("torch_fidelity")
  finally:
    for name in stand_ins:
      del sys.modules[name]
