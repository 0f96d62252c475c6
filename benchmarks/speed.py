"""jaxgan beside PyTorch: one table, `python benchmarks/speed.py`.

Each side runs in a separate process: PyTorch as it comes, jaxgan as its
commands set it up, both on the device that JAX finds. The processes take turns,
so that both meet the same hours of a shared machine, and rest in between. Every
figure is the median of the turns; the ratio is the median of the ratios of
neighbouring turns.
"""

import argparse
import json
import math
import multiprocessing
import os
import pathlib
import statistics
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any

from tqdm import tqdm

ROOT = pathlib.Path(__file__).parents[1]

# name: (config, preset, overrides)
_STACK = {"generator.kernel_size": 4, "critic.kernel_size": 4, "batch_size": 64}
ROWS = {
  "dcgan32": ("dcgan", "cifar10", {}),
  "dcgan64": ("dcgan", "celeba", {}),
  "wgan_gp16": ("wgan_gp", "digits", {}),
  "wgan_gp32": ("wgan_gp", "mnist", {"batch_size": 64}),
  "wgan_gp32_4x4": ("wgan_gp", "mnist", _STACK),
  "wgan_gp64_4x4": (
    "wgan_gp",
    "mnist",
    {**_STACK, "data.image_size": 64, "data.channels": 3},
  ),
  "wgan_gp_resnet32": ("wgan_gp", "cifar10", {}),
  "cyclegan64": (
    "cyclegan",
    "folders",
    {
      "data.image_size": 64,
      "data.margin": 6,
      "generator.blocks": 6,
      "batch_size": 4,
    },
  ),
  "pix2pix128": (
    "pix2pix",
    "pairs",
    {
      "data.image_size": 128,
      "data.margin": 14,
      "generator.downs": 7,
      "batch_size": 4,
    },
  ),
}


def load(name: str, overrides: dict[str, Any]) -> Any:
  """Returns the config of a row."""
  file, preset, row = ROWS[name]
  spec = spec_from_file_location(file, ROOT / "configs" / f"{file}.py")
  module = module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(preset)
  config.update_from_flattened_dict({**row, **overrides})
  return config


def _serve(
  connection, side: str, name: str, overrides: dict, device: str
) -> None:
  """Runs one side: answers numbers of seconds with figures, up to 0."""
  # JAX would take most of a GPU's memory, where PyTorch lives too.
  os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
  config = load(name, overrides)
  from jaxgan.applications import step_timing

  if side == "jaxgan":
    import jax

    from jaxgan.engine import startup

    startup.set_up()
    jax.config.update("jax_enable_compilation_cache", False)
    if jax.device_count() != 1:
      sys.exit(
        f"error: JAX sees {jax.device_count()} devices: hide all but one"
      )
    step = step_timing.compile_step(config)
    facts = {
      "device": jax.default_backend(),
      "gflops": step.flops / 1e9,
      "parameters": step.parameters,
      "compile_seconds": step.compile_seconds,
    }
  else:
    import peer

    device = {"gpu": "cuda"}.get(device, device)
    step = peer.prepare(config, side == "compiled", device)
    facts = {"parameters": step.parameters}
  steps = None
  connection.send(facts)
  while seconds := connection.recv():
    steps = steps or step_timing.steps_for(step.play, seconds)
    answer = {"seconds": step_timing.time_of(step.play, steps)}
    if side == "jaxgan":
      answer["peak"] = step_timing.peak(config.dtype) / 1e9
    connection.send(answer)


def compare(
  name: str, sides: list[str], repeats: int, seconds: float, overrides: dict
) -> dict[str, Any]:
  """Returns the figures of one row."""
  context = multiprocessing.get_context("spawn")
  pipes, facts, device, processes = {}, {}, "", []
  for side in sides:  # jaxgan first, which finds the device
    pipes[side], theirs = context.Pipe()
    processes.append(
      context.Process(
        target=_serve, args=(theirs, side, name, overrides, device), daemon=True
      )
    )
    processes[-1].start()
    theirs.close()
    facts[side] = pipes[side].recv()
    device = device or facts[side]["device"]
  if len({fact["parameters"] for fact in facts.values()}) > 1:
    raise AssertionError(f"{name}: the sides differ in size: {facts}")
  turns: dict[str, list[dict]] = {side: [] for side in sides}
  for turn in range(repeats + 1):
    for side in sides:
      pipes[side].send(seconds)
      answer = pipes[side].recv()
      if turn:  # the first warms up
        turns[side].append(answer)
  for pipe, process in zip(pipes.values(), processes, strict=True):
    pipe.send(0)
    process.join()  # it must not run beside the next row

  median = statistics.median
  ours = [turn["seconds"] for turn in turns["jaxgan"]]
  peaks = [turn["peak"] for turn in turns["jaxgan"]]
  gflops = facts["jaxgan"]["gflops"]
  figures = {
    "run": name,
    **facts["jaxgan"],
    "peak": median(peaks),
    "share": median(
      gflops / seconds / peak for seconds, peak in zip(ours, peaks, strict=True)
    ),
  }
  for side in sides:
    theirs = [turn["seconds"] for turn in turns[side]]
    figures[f"{side}_ms"] = 1e3 * median(theirs)
    figures[f"{side}_ratio"] = median(
      other / seconds for other, seconds in zip(theirs, ours, strict=True)
    )
  return figures


def main() -> None:
  """Prints a row for each config."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
  )
  parser.add_argument(
    "--rows", nargs="+", choices=ROWS, default=list(ROWS), help="of the table"
  )
  parser.add_argument(
    "--dtype",
    choices=("float32", "bfloat16"),
    default="float32",
    help="of the arithmetic",
  )
  parser.add_argument("--repeats", type=int, default=5, help="turns")
  parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
  parser.add_argument(
    "--no-compile", action="store_true", help="leave torch.compile out"
  )
  parser.add_argument(
    "--json", type=pathlib.Path, help="file to write the figures to"
  )
  args = parser.parse_args()
  if args.repeats < 1 or not 0 < args.seconds < math.inf:
    parser.error("--repeats and --seconds must be above 0")
  if args.json and (args.json.is_dir() or not args.json.parent.is_dir()):
    parser.error(f"--json={args.json}: no such folder, or no file")
  if not find_spec("torch"):
    sys.exit("error: PyTorch is missing: pip install -e '.[torch]'")
  if (load := os.getloadavg()[0]) > 1:
    print(
      f"warning: other programs run (load {load:.1f}); PyTorch suffers more "
      "from them than jaxgan, and the ratios will flatter",
      file=sys.stderr,
    )
  sides = ["jaxgan", "eager"] + ["compiled"] * (not args.no_compile)
  print(
    "| step | jaxgan ms | PyTorch eager ms | compiled ms | eager / jaxgan "
    "| compiled / jaxgan | GFLOP/s | share of matmul |\n" + "|---" * 8 + "|"
  )
  rows = []
  for name in tqdm(args.rows, "rows", disable=not sys.stderr.isatty()):
    row = compare(
      name, sides, args.repeats, args.seconds, {"dtype": args.dtype}
    )
    rows.append(row)
    print(
      f"| {name} | {row['jaxgan_ms']:.1f} | {row['eager_ms']:.1f} | "
      f"{row.get('compiled_ms', float('nan')):.1f} | "
      f"**{row['eager_ratio']:.2f}** | "
      f"{row.get('compiled_ratio', float('nan')):.2f} | "
      f"{1e3 * row['gflops'] / row['jaxgan_ms']:.0f} | {row['share']:.0%} |",
      flush=True,
    )
    if args.json:
      args.json.write_text(json.dumps([{"runs": rows}], indent=2) + "\n")


if __name__ == "__main__":
  try:
    main()
  except (EOFError, ConnectionError):
    sys.exit("error: the process of one side failed, see above")
  except KeyboardInterrupt:
    sys.exit("error: interrupted")
