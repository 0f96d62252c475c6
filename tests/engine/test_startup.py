"""What `startup.set_up` does, in processes of its own."""

import os
import subprocess
import sys

import pytest
from helpers.environment import CONFIGS

pytestmark = pytest.mark.slow

SCRIPT = """
from jaxgan.engine import startup
startup.set_up()
import jax, os
f = jax.jit(lambda x: jax.lax.sort(x @ x @ x) + x)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
y = f(jax.numpy.ones((50, 50)))
assert float(y[0, 0]) == 2501
print(jax.config.jax_compilation_cache_dir)
print(os.environ["XLA_FLAGS"])
"""


def run(**environment):
  inherited = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("JAX_COMPILATION", "XLA_FLAGS", "XDG_"))
  }
  done = subprocess.run(
    [sys.executable, "-c", SCRIPT],
    env=inherited | environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  folder, flags = done.stdout.splitlines()
  return folder, flags.split()


def test_compilations_are_kept_in_the_users_cache(tmp_path):
  folder, _ = run(XDG_CACHE_HOME=str(tmp_path))
  assert folder.startswith(str(tmp_path / "jaxgan"))
  written = {p.name for p in (tmp_path / "jaxgan").rglob("*-cache")}
  assert written
  run(XDG_CACHE_HOME=str(tmp_path))
  assert {p.name for p in (tmp_path / "jaxgan").rglob("*-cache")} == written


@pytest.mark.parametrize("given", ["folder", "unusable"])
def test_other_cache_folders(tmp_path, given):
  if given == "folder":
    folder = str(tmp_path / "mine")
    assert run(JAX_COMPILATION_CACHE_DIR=folder)[0] == folder
  else:
    (tmp_path / "file").touch()
    assert run(XDG_CACHE_HOME=str(tmp_path / "file"))[0] == "None"


def test_kernels_are_chosen_unless_the_user_has_chosen():
  _, flags = run(JAX_PLATFORMS="cpu")
  assert flags == [
    "--xla_cpu_experimental_ynn_fusion_type=dot,reduce",
    "--xla_disable_hlo_passes=cse_barrier_expander",
  ]
  own = "--xla_disable_hlo_passes=dce"
  _, flags = run(JAX_PLATFORMS="cpu", XLA_FLAGS=own)
  assert flags == [own, "--xla_cpu_experimental_ynn_fusion_type=dot,reduce"]


def test_the_training_command_imports_no_other_framework():
  script = """
import sys, jaxgan.main
heavy = {"torch", "tensorflow", "tensorflow_datasets", "scipy", "sklearn"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "tensorboardX" in sys.modules
"""
  subprocess.run([sys.executable, "-c", script], check=True)


def test_a_missing_platform_is_one_line():
  done = subprocess.run(
    [sys.executable, "-m", "jaxgan.benchmark", f"--config={CONFIGS[0]}"],
    env={**os.environ, "JAX_PLATFORMS": "tpu"},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  lines = done.stderr.strip().splitlines()
  assert lines[-1] == "error: JAX finds no device (JAX_PLATFORMS=tpu)"
