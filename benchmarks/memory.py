"""Memory of a step by XLA's analysis, for devices that are not at hand.

`python benchmarks/memory.py ot_gan cifar10 --devices 8 chunk_size=250`: the
config's step is compiled, but not run, on so many simulated devices, in the
form that accelerators get (loops stay loops). An accelerator's compiler may
need somewhat more or less.
"""

import argparse
import ast
import os
import pathlib
import runpy

ROOT = pathlib.Path(__file__).parents[1]


def main() -> None:
  """Prints the gigabytes of one device."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("config", help="name of a file in configs/")
  parser.add_argument("preset")
  parser.add_argument("--devices", type=int, default=1)
  parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
  args = parser.parse_intermixed_args()
  # Before JAX looks for devices.
  os.environ["JAX_PLATFORMS"] = "cpu"
  os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={args.devices} "
    "--xla_disable_hlo_passes=cse_barrier_expander"  # as in startup.py
  )
  import jax

  from jaxgan import algorithms, data
  from jaxgan.engine import devices
  from jaxgan.game import minibatches
  from jaxgan.train_step import make_train_step

  used = jax.devices()
  path = ROOT / "configs" / f"{args.config}.py"
  config = runpy.run_path(str(path))["get_config"](args.preset)
  for override in args.overrides:
    key, value = override.split("=")
    config.update_from_flattened_dict({key: ast.literal_eval(value)})
  game = algorithms.create(config)
  _, state = algorithms.initial_state(config, game)
  step = make_train_step(
    game, jax.random.key(0), config.ema_decay, platform="gpu"
  )
  shape = minibatches(game), config.batch_size
  images = jax.ShapeDtypeStruct(
    (*shape, *data.example_shape(config.data)), "float32"
  )
  mapped = devices.create("shard_map", used).map_step(step)
  usage = mapped.lower(state, {"image": images}).compile().memory_analysis()
  parts = {
    "state and images": usage.argument_size_in_bytes,
    "temporary": usage.temp_size_in_bytes,
  }
  for name, size in parts.items():
    print(f"{name:18}{size / 1e9:9.4f} GB")
  print(f"{'together':18}{sum(parts.values()) / 1e9:9.4f} GB a device")


if __name__ == "__main__":
  main()
