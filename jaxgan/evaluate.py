"""Measures a run's samples: `python -m jaxgan.evaluate --workdir=DIR`."""

import json
import pathlib
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from absl import flags

from jaxgan import cli
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError
from jaxgan.evaluation import samples
from jaxgan.evaluation.statistics import Metric
from jaxgan.game import sampling_variables


def table(metrics: Mapping[str, Metric], protocol: Mapping[str, Any]) -> str:
  """The metrics as lines of text."""
  counts = [protocol.get(key, "") for key in ("samples", "floor")]
  width = max(22, *(len(name) + 1 for name in metrics))
  lines = [
    f"{'':{width}}{'samples':>12}{'real':>12}",
    f"{'':{width}}{counts[0]:>12}{counts[1]:>12}",
  ]
  for name, (value, floor, lower) in metrics.items():
    shown = "-" if floor is None else f"{floor:.4g}"
    better = {True: "lower is better", False: "higher is better", None: ""}
    line = f"{name:{width}}{value:12.4g}{shown:>12}  {better[lower]}"
    lines.append(line.rstrip())
  return "\n".join(lines)


def summary(protocol: Mapping[str, Any]) -> str:
  """The protocol in a sentence."""
  about = protocol["data"]["name"]
  parts = [f"round {protocol['step']}"]
  if "samples" in protocol:
    parts += [
      f"{protocol['samples']} samples, seed {protocol['seed']}, "
      + ("averaged weights" if protocol["ema"] else "weights as they are"),
      protocol["batch_norm"],
    ]
  if "real" in protocol:
    parts += [
      f"against {protocol['real']} images of {about}, {protocol['real_split']}",
      f"as are {protocol['floor']} held-out ones, {protocol['held_out_split']}",
    ]
  if "features" in protocol:
    net = f"{protocol['features']} {protocol['features_sha256'][:12]}"
    if "classifier_accuracy" in protocol:
      net += f" (accuracy {protocol['classifier_accuracy']:.4f})"
    parts.append(f"features: {net}, resizer: {protocol['resizer']}")
  for way in ("backward", "identity"):
    if way not in protocol:
      continue
    back = protocol[way]
    parts.append(f"{way}: {back['samples']} samples")
    if "real" in back:
      parts[-1] += (
        f", against {back['real']} images of {back['data']['name']}, as are "
        f"{back['floor']} held-out ones"
      )
  return "; ".join(parts)


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    run=cli.define_run(),
    samples=flags.DEFINE_integer(
      "samples",
      None,
      "How many; by default as many as real images were held out, at most "
      "10000; or 2500 points.",
    ),
    real=flags.DEFINE_integer(
      "real", 0, "Training images to compare with; 0 for all."
    ),
    batch_statistics=flags.DEFINE_bool(
      "batch_statistics", False, "Whether batch norm uses those of a batch."
    ),
  )


def main(given: SimpleNamespace) -> None:
  """Evaluates the run of the flags."""
  start = time.time()
  for key, flag, least in (
    ("samples", given.samples, 1),
    ("real", given.real, 0),
  ):
    if flag.value is not None and flag.value < least:
      raise InputError(f"{key}={flag.value}: give {least} or more")
  run = cli.restore(given.run)
  evaluate, protocol = samples.create(
    run.config,
    run.game,
    given.samples.value,
    given.run.seed.value,
    given.batch_statistics.value,
    given.run.inception.value,
    given.run.classifier.value,
    given.real.value,
  )
  protocol |= {
    "step": int(run.state.step),
    "ema": given.run.ema.value and run.config.ema_decay > 0,
    "versions": samples.versions(),
  }
  metrics = evaluate(sampling_variables(run.state, given.run.ema.value))
  print(table(metrics, protocol))
  print(summary(protocol))
  found = {
    "metrics": {name: metric._asdict() for name, metric in metrics.items()},
    "protocol": protocol,
    "seconds": round(time.time() - start, 1),
  }
  write_atomically(
    pathlib.Path(given.run.workdir.value, "evaluation.json"),
    json.dumps(found, indent=2) + "\n",
  )


if __name__ == "__main__":
  cli.run(main, define)
