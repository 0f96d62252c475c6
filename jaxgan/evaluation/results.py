"""The results of an evaluation, as text and as `evaluation.json`."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxgan.evaluation.metrics.tables import Metric


def versions() -> dict[str, str]:
  """Returns the versions of packages that figures may depend on."""
  packages = ("jaxgan", "jax", "flax", "numpy", "scipy", "scikit-learn")
  return {
    "python": platform.python_version(),
    **{name: importlib.metadata.version(name) for name in packages},
  }


class Results(NamedTuple):
  """The metrics of an evaluation and their protocol, printed as a table.

  Attributes:
    metrics: by name, each with its value, that of real data beside it, and
      whether lower is better.
    protocol: what they depend on.
    seconds: that it took.
  """

  metrics: dict[str, Metric]
  protocol: dict[str, Any]
  seconds: float

  def __repr__(self) -> str:
    return f"{_table(self.metrics, self.protocol)}\n{_summary(self.protocol)}"

  def to_json(self) -> str:
    """Returns the contents of a run's `evaluation.json`."""
    contents = {
      "metrics": {name: x._asdict() for name, x in self.metrics.items()},
      "protocol": self.protocol,
      "seconds": round(self.seconds, 1),
    }
    return json.dumps(contents, indent=2) + "\n"


def _table(metrics: Mapping[str, Metric], protocol: Mapping[str, Any]) -> str:
  """Returns the metrics as lines of text."""
  counts = [protocol.get(key, "") for key in ("samples", "held_out")]
  width = max(22, *(len(name) + 1 for name in metrics))
  lines = [
    f"{'':{width}}{'samples':>12}{'real':>12}",
    f"{'':{width}}{counts[0]:>12}{counts[1]:>12}",
  ]
  better = {True: "lower is better", False: "higher is better", None: ""}
  for name, (value, real, lower_is_better) in metrics.items():
    cell = "-" if real is None else f"{real:.4g}"
    line = f"{name:{width}}{value:12.4g}{cell:>12}  {better[lower_is_better]}"
    lines.append(line.rstrip())
  return "\n".join(lines)


def _summary(protocol: Mapping[str, Any]) -> str:
  """Returns the protocol as a sentence."""
  parts = [f"step {protocol['step']}"]
  if "samples" in protocol:
    parts += [
      f"{protocol['samples']} samples, seed {protocol['seed']}, "
      + ("averaged weights" if protocol["ema"] else "weights as they are"),
      protocol["batch_norm"],
    ]
  if "real" in protocol:
    parts += [
      f"against {protocol['real']} images of {protocol['data']['name']}, "
      f"{protocol['real_split']}",
      f"as are {protocol['held_out']} held-out ones, "
      f"{protocol['held_out_split']}",
    ]
  if "features" in protocol:
    net = f"{protocol['features']} {protocol['features_sha256'][:12]}"
    if "classifier_accuracy" in protocol:
      net += f" (accuracy {protocol['classifier_accuracy']:.4f})"
    parts.append(f"features: {net}, resizer: {protocol['resizer']}")
  for name in ("backward", "identity"):
    if direction := protocol.get(name):
      parts.append(f"{name}: {direction['samples']} samples")
      if "real" in direction:
        parts[-1] += (
          f", against {direction['real']} images of "
          f"{direction['data']['name']}, as are {direction['held_out']} "
          "held-out ones"
        )
  return "; ".join(parts)
