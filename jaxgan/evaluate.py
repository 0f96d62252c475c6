"""Measures a run's samples: `python -m jaxgan.evaluate --workdir=DIR`."""

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from absl import flags

from jaxgan import command, data, measure
from jaxgan.config import InputError
from jaxgan.logging import replace
from jaxgan.measure import Metric
from jaxgan.run import load
from jaxgan.train_step import sampling_variables

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_STEP = flags.DEFINE_string(
  "step", None, "Round of the checkpoint, or 'best'; by default the newest."
)
_SAMPLES = flags.DEFINE_integer(
  "samples", None, "How many; by default 10000 images, or 2500 points."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the samples' latents.")
_EMA = flags.DEFINE_bool("ema", True, "Whether to use the averaged weights.")
_BATCH_STATISTICS = flags.DEFINE_bool(
  "batch_statistics", False, "Whether batch norm uses those of a batch."
)
_CLASSIFIER = flags.DEFINE_string(
  "classifier",
  "",
  "Folder of a run of configs/classifier.py, for the features; by default one "
  "is trained for the data, once.",
)
_INCEPTION = flags.DEFINE_string(
  "inception", "", "File of Inception's weights, for the features."
)
_REAL = flags.DEFINE_integer(
  "real", 0, "Training images to compare with; 0 for all."
)
_DATA_PATH = flags.DEFINE_string(
  "data_path", None, "Where the data is, if not where the run found it."
)


def table(metrics: Mapping[str, Metric]) -> str:
  """The metrics as lines of text."""
  lines = [f"{'':22}{'samples':>12}{'real':>12}"]
  for name, (value, floor, lower) in metrics.items():
    shown = "-" if floor is None else f"{floor:.4g}"
    arrow = "lower" if lower else "higher"
    lines.append(f"{name:22}{value:12.4g}{shown:>12}  {arrow} is better")
  return "\n".join(lines)


def summary(protocol: Mapping[str, Any]) -> str:
  """The protocol in a sentence."""
  about = protocol["data"]["name"]
  parts = []
  if "samples" in protocol:
    parts.append(
      f"{protocol['samples']} samples, seed {protocol['seed']}, "
      + ("averaged weights, " if protocol["ema"] else "weights as they are, ")
      + protocol["batch_norm"]
    )
  if "real" in protocol:
    parts.append(
      f"against {protocol['real']} images of {about}, {protocol['real_split']}"
    )
  if "held_out" in protocol:
    parts.append(
      f"real: {protocol['held_out']} of {about}, {protocol['held_out_split']}"
    )
  if "features" in protocol:
    net = f"{protocol['features']} {protocol['features_sha256'][:12]}"
    if "classifier_accuracy" in protocol:
      net += f" (accuracy {protocol['classifier_accuracy']:.4f})"
    parts.append(f"features: {net}, resizer: {protocol['resizer']}")
  return "; ".join([f"round {protocol['step']}", *parts])


def main() -> None:
  """Evaluates the run of the flags."""
  start = time.time()
  if not _WORKDIR.value:
    raise InputError("give --workdir=DIR, the folder of a run")
  if _STEP.value not in (None, "best") and not _STEP.value.isdigit():
    raise InputError(f"step={_STEP.value!r}: give a round, or 'best'")
  if _CLASSIFIER.value and _INCEPTION.value:
    raise InputError("give --classifier or --inception, not both")
  workdir = pathlib.Path(_WORKDIR.value)
  run = load(workdir, _STEP.value)
  if _DATA_PATH.value is not None:
    run.config.data.path = _DATA_PATH.value
  points = run.config.data.name in data.MIXTURES
  count = 2500 if points else 10_000
  if _SAMPLES.value is not None:
    count = _SAMPLES.value
  for key, value, least in (
    ("samples", count, 1),
    ("real", _REAL.value, 0),
    ("seed", _SEED.value, 0),
  ):
    if value < least:
      raise InputError(f"{key}={value}: give {least} or more")
  measured, protocol = measure.create(
    run.config,
    run.algorithm,
    count,
    _SEED.value,
    _BATCH_STATISTICS.value,
    _INCEPTION.value,
    _CLASSIFIER.value,
    _REAL.value,
  )
  protocol |= {
    "step": int(run.state.step),
    "ema": _EMA.value,
    "versions": measure.versions(),
  }
  metrics = measured(sampling_variables(run.state, _EMA.value))
  replace(
    workdir / "evaluation.json",
    json.dumps(
      {
        "metrics": {name: m._asdict() for name, m in metrics.items()},
        "protocol": protocol,
        "seconds": round(time.time() - start, 1),
      },
      indent=2,
    )
    + "\n",
  )
  print(table(metrics))
  print(summary(protocol))


if __name__ == "__main__":
  command.run(main)
