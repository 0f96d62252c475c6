"""Settings of a process before it computes: flags, allocator, compile cache."""

import ctypes
import functools
import hashlib
import os
import pathlib
import platform
from importlib.metadata import entry_points
from importlib.util import find_spec

import jax
from absl import logging

_CACHE_BYTES = 2 << 30


@functools.cache
def set_up() -> None:
  """Makes the next start faster, and CPUs compute faster.

  To be called before the first array is made; again, it does nothing. Where a
  plugin for a GPU or TPU is installed, but none is to be used, set
  JAX_PLATFORMS=cpu.
  """
  logging.set_verbosity(logging.FATAL)  # errors are raised, too
  if os.environ.get("JAX_PLATFORMS") == "cpu" or not _accelerated():
    _choose_kernels()
    if platform.libc_ver()[0] == "glibc":
      _keep_memory()
  _keep_compilations()


def cache_folder() -> pathlib.Path:
  """Returns the folder for files that can be made again: `~/.cache/jaxgan`."""
  root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(root, "jaxgan")


def _accelerated() -> bool:
  """Returns whether JAX may find a GPU or TPU; asking JAX would start it."""
  return bool(entry_points(group="jax_plugins")) or bool(find_spec("libtpu"))


def _choose_kernels() -> None:
  """Has XLA:CPU run convolutions by Eigen, sums by YNNPACK, and keep barriers.

  By default convolutions run by YNNPACK: their kernel gradients take 2 to 4
  times as long, themselves a quarter longer. In XLA's loops, batch norm's sums
  over positions take 10 times as long. Without the pass that removes barriers,
  `lax.optimization_barrier` also separates fusions.
  """
  flag = "--xla_cpu_experimental_ynn_fusion_type"
  flags = os.environ.get("XLA_FLAGS", "")
  # An unknown flag would end the process.
  known = (0, 10) <= jax.__version_info__[:2] <= (0, 12)
  if known and flag not in flags:
    flags += f" {flag}=dot,reduce"
  flag = "--xla_disable_hlo_passes"
  if flag not in flags:
    flags += f" {flag}=cse_barrier_expander"
  os.environ["XLA_FLAGS"] = flags


def _keep_compilations() -> None:
  """Caches compiled programs in the user's cache folder.

  Where JAX_COMPILATION_CACHE_DIR is set, that folder is used instead.
  """
  if jax.config.jax_compilation_cache_dir is None:
    folder = cache_folder() / _processor()
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError:
      return  # a read-only home costs compile time, nothing else
    if not os.access(folder, os.W_OK | os.X_OK):
      return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _processor() -> str:
  """Returns a name for this kind of processor.

  Homes are shared between machines, and a program compiled for one processor
  may not run on another.
  """
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith(("flags", "Feat")))
  except (OSError, StopIteration):
    flags = platform.processor()
  return (
    f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:8]}"
  )


def _keep_memory() -> None:
  """Lets glibc keep freed memory, and back it by large pages.

  By default it returns blocks above 32 MB to the system when they are freed,
  and each step pays again for every page that it touches: copies of large
  arrays take twice as long.
  """
  libc = ctypes.CDLL(None)
  trim_threshold, mmap_max, arena_max, huge_page = -1, -4, -8, 14
  libc.mallopt(mmap_max, 0)
  libc.mallopt(trim_threshold, -1)
  libc.mallopt(arena_max, 1)  # the others cannot hold a large block
  size, page = 8 << 30, 2 << 20
  libc.malloc.restype = ctypes.c_void_p
  libc.malloc.argtypes = (ctypes.c_size_t,)
  libc.free.argtypes = (ctypes.c_void_p,)
  libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
  if block := libc.malloc(size):  # addresses, not yet memory
    libc.madvise(-(-block // page) * page, size - page, huge_page)
    libc.free(block)
