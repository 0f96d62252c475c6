"""Eight simulated devices, a compilation cache, and which tests are fast."""

import functools
import os
import shutil
import signal
import tempfile

from helpers.environment import DEVICES, ONE_DEVICE
from helpers.session import SESSION, once

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{ONE_DEVICE} {DEVICES}8"
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  os.path.join(tempfile.gettempdir(), "jaxgan-test-compilations"),
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# For what runs keep, which must not go to the user's folder.
os.environ["XDG_CACHE_HOME"] = str(SESSION / "cache")

import jax  # noqa: E402
import pytest  # noqa: E402
from absl import logging  # noqa: E402
from helpers.configs import small  # noqa: E402

from jaxgan import train  # noqa: E402
from jaxgan.engine import checkpoint, startup  # noqa: E402

# As above, and without a change of the allocator.
startup.set_up = functools.partial(logging.set_verbosity, logging.FATAL)

# The reasons for which a test is not fast.
REASONS = ("slow", "oracle", "browser", "processes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Marks a test as fast that has no reason not to be."""
  for item in items:
    if not any(item.get_closest_marker(reason) for reason in REASONS):
      item.add_marker("fast")


def pytest_unconfigure(config):
  """Removes what the tests shared, once the last worker has ended."""
  if not hasattr(config, "workerinput"):
    shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
  """Has SIGINT be heard, which a job in the background ignores."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", autouse=True)
def forget():
  """Frees what a module compiled: gigabytes by the end."""
  yield
  jax.clear_caches()


@pytest.fixture(scope="session")
def trained():
  """`trained(name)`: the run of `small(name)` on four devices, to be read.

  Beside it, `<name>.digest` is that of the state that `train` returned.
  """

  def run(workdir):
    run = train(small(workdir.name), workdir, jax.devices()[:4])
    digest = checkpoint.digest(jax.device_get(run.state))
    workdir.with_name(f"{workdir.name}.digest").write_text(digest)

  return lambda name: once(f"trained/{name}", run)
