"""Where the project is, and the flags of XLA that tests run with."""

import pathlib
from importlib import metadata

ROOT = pathlib.Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# The tests compile much and compute little: less optimization makes them
# twice as fast.
ONE_DEVICE = (
  "--xla_disable_hlo_passes=cse_barrier_expander "  # as in engine/startup.py
  "--xla_backend_optimization_level=0 "
  "--xla_cpu_parallel_codegen_split_count=1 "
  "--xla_llvm_disable_expensive_passes=true"
)
if metadata.version("jaxlib").startswith("0.10."):  # others may not know it
  ONE_DEVICE += " --xla_cpu_use_fusion_emitters=false"
DEVICES = "--xla_force_host_platform_device_count="
