"""Eight simulated devices, a compilation cache, and which tests are fast."""

import os
import tempfile

from helpers.environment import DEVICES, ONE_DEVICE

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{ONE_DEVICE} {DEVICES}8"
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  os.path.join(tempfile.gettempdir(), "jaxgan-test-compilations"),
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax  # noqa: E402
import pytest  # noqa: E402
from helpers.configs import small  # noqa: E402
from helpers.runs import once  # noqa: E402

from jaxgan.train import train  # noqa: E402

# The reasons for which a test is not fast.
REASONS = ("slow", "oracle", "browser", "processes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Marks a test as fast that has no reason not to be."""
  for item in items:
    if not any(item.get_closest_marker(reason) for reason in REASONS):
      item.add_marker("fast")


@pytest.fixture(scope="module", autouse=True)
def forget():
  """Frees what a module compiled: gigabytes by the end."""
  yield
  jax.clear_caches()


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory):
  """A folder that all workers of pytest share."""
  folder = tmp_path_factory.getbasetemp()
  return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def trained(session_folder):
  """`trained(name)`: the run of `small(name)` on four devices, to be read."""
  devices = jax.devices()[:4]

  def run(name):
    return once(
      session_folder / "trained" / name,
      lambda workdir: train(small(name), workdir, devices),
    )

  return run
