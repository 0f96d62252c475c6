"""Sets runs side by side, in Markdown and on a page."""

import base64
import html
import io
import json
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgan import algorithms
from jaxgan.config import flatten
from jaxgan.engine import checkpoint
from jaxgan.engine.logs import rows
from jaxgan.errors import InputError, first_line
from jaxgan.viewing import pictures

# What may differ in evaluations whose figures can be compared. Where the data
# lies says nothing: its digest does.
_NOT_PROTOCOL = re.compile(
  r"step$|versions\..*|(.*\.)?data\.(.*\.)?"
  r"(path|flip|crop|dequantize|margin)$"
)


class Entry(NamedTuple):
  """A run of the report.

  Attributes:
    name: its name in the tables.
    config: values by key, at one level; empty if unknown.
    parameters: number of parameters of all players; None if unknown.
    rows: of its metrics.
    evaluation: the contents of `evaluation.json`; empty if there is none.
    picture: its last samples, a PNG; None if there are none.
  """

  name: str
  config: Mapping[str, Any]
  parameters: int | None
  rows: Sequence[Mapping[str, float]]
  evaluation: Mapping[str, Any]
  picture: bytes | None


def read_all(folders: Sequence[str]) -> list[Entry]:
  """Returns the runs in folders; warns of folders that hold none.

  Raises:
    InputError: where none of the folders holds a run.
  """
  resolved = {pathlib.Path(folder).resolve(): folder for folder in folders}
  names = [path.name for path in resolved]
  entries = []
  for folder, name in zip(resolved.values(), names, strict=True):
    path = pathlib.Path(folder)
    entry = read(path, name if names.count(name) == 1 else str(path))
    if entry is None:
      _warn(f"{path} holds no run")
    else:
      entries.append(entry)
  if not entries:
    raise InputError("none of the folders holds a run")
  return entries


def read(workdir: pathlib.Path, name: str) -> Entry | None:
  """Returns the run in a folder, or None; warns of files it cannot read."""
  config = _json(workdir / "config.json")
  parameters = None
  try:
    if (workdir / "checkpoints").is_dir():
      with checkpoint.open_manager(workdir, read_only=True) as manager:
        stored = checkpoint.stored_config(manager)
      config = config or (json.loads(stored.to_json()) if stored else {})
    if config:
      stored = ConfigDict(config)
      _, state = algorithms.initial_state(stored, algorithms.create(stored))
      parameters = sum(x.size for x in jax.tree.leaves(state.params))
  except InputError as e:
    _warn(f"the networks of a run cannot be built: {e}")
  evaluation = _json(workdir / "evaluation.json")
  if not _is_evaluation(evaluation):
    _warn(f"{workdir}: evaluation.json is not one of jaxgan.evaluate")
    evaluation = {}
  samples = sorted((workdir / "samples").glob("*.png"))
  entry = Entry(
    name,
    flatten(config),
    parameters,
    rows(workdir),
    evaluation,
    samples[-1].read_bytes() if samples else None,
  )
  return entry if any(entry[1:]) else None


def _is_evaluation(evaluation: Mapping[str, Any]) -> bool:
  """Whether the entries that the tables show are there."""
  metrics = evaluation.get("metrics", {})
  return (
    isinstance(evaluation.get("protocol", {}), dict)
    and isinstance(metrics, dict)
    and all(
      isinstance(metric, dict)
      and all(
        isinstance(metric.get(key, ""), int | float | None)
        for key in ("value", "real")
      )
      for metric in metrics.values()
    )
  )


def tables(entries: Sequence[Entry]) -> list[tuple[str, list[list[str]]]]:
  """Returns the tables of a comparison, with their titles."""
  groups = protocols(entries)
  titled = [("Results", results(entries))]
  seeds = same_but_seed(entries)
  if len(seeds) < len(entries):
    title = "Over seeds: mean (lowest to highest)"
    titled.append((title, over_seeds(seeds)))
  if len(groups) > 1:
    columns = {chr(65 + i): _protocol(g[0]) for i, g in enumerate(groups)}
    title = "Protocols that differ: their figures are not comparable"
    titled.append((title, differences(columns)))
  configs = differences({_group(g): g[0].config for g in seeds if g[0].config})
  if len(configs) > 1:
    titled.append(("Configs, where they differ", configs))
  return titled


def results(entries: Sequence[Entry]) -> list[list[str]]:
  """Returns a row for each run, and one for real images of each protocol."""
  names = _names(entries)
  groups = protocols(entries)
  letters = {id(e): chr(65 + i) for i, g in enumerate(groups) for e in g}
  head = ["run", "protocol", "steps", "time", "parameters"]
  table = [head + _directions(names, entries)]
  for entry in entries:
    last = entry.rows[-1]["step"] if entry.rows else "-"
    evaluated = entry.evaluation.get("protocol", {}).get("step", last)
    table.append(
      [
        entry.name,
        letters.get(id(entry), "not evaluated"),
        f"{last} (evaluated: {evaluated})" if evaluated != last else str(last),
        _duration(_seconds(entry.rows)),
        f"{entry.parameters:,}" if entry.parameters else "-",
        *(_show(_metrics(entry).get(n, {}).get("value")) for n in names),
      ]
    )
  for i, group in enumerate(groups):
    real = [_metrics(group[0]).get(n, {}).get("real") for n in names]
    table.append(["real, held out", chr(65 + i), "", "", "", *map(_show, real)])
  if len(groups) < 2 and len(letters) == len(entries):
    table = [row[:1] + row[2:] for row in table]
  return table


def same_but_seed(entries: Sequence[Entry]) -> list[list[Entry]]:
  """Groups the runs whose configs and protocols differ in the seed only."""
  groups: dict[str, list[Entry]] = {}
  for entry in entries:
    config = {k: v for k, v in entry.config.items() if k != "seed"}
    evaluated = entry.evaluation.get("protocol", {}).get("step")
    same = [config, _protocol(entry), evaluated] if config else entry.name
    key = json.dumps(same, sort_keys=True)
    groups.setdefault(key, []).append(entry)
  return list(groups.values())


def over_seeds(groups: Sequence[Sequence[Entry]]) -> list[list[str]]:
  """Returns a row of results for each group, over its seeds."""
  everyone = [entry for group in groups for entry in group]
  names = _names(everyone)
  table = [["runs", "seeds", "time", *_directions(names, everyone)]]
  for group in groups:
    seeds = {entry.config.get("seed") for entry in group}
    seconds = [s for s in (_seconds(entry.rows) for entry in group) if s]
    mean = sum(seconds) / max(len(seconds), 1)
    row = [_group(group), str(len(seeds)), _duration(mean)]
    for metric in names:
      values = [_metrics(e).get(metric, {}).get("value") for e in group]
      if None in values:
        row.append("-")
      elif min(values) == max(values):
        row.append(_show(values[0]))
      else:
        low, mean, high = min(values), sum(values) / len(values), max(values)
        row.append(f"{_show(mean)} ({_show(low)} to {_show(high)})")
    table.append(row)
  return table


def protocols(entries: Sequence[Entry]) -> list[list[Entry]]:
  """Groups the evaluated runs that were measured in the same way."""
  groups: dict[str, list[Entry]] = {}
  for entry in entries:
    if _metrics(entry):
      key = json.dumps(_protocol(entry), sort_keys=True)
      groups.setdefault(key, []).append(entry)
  return list(groups.values())


def differences(columns: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Returns a row for each key in which flat mappings differ."""
  keys = sorted({key for values in columns.values() for key in values})
  table = [["", *columns]]
  for key in keys:
    cells = [str(values.get(key, "-")) for values in columns.values()]
    if len(set(cells)) > 1:
      table.append([key, *cells])
  return table


def markdown(table: Sequence[Sequence[str]]) -> str:
  """Returns a table in Markdown."""
  head, *body = ([cell.replace("|", "\\|") for cell in row] for row in table)
  lines = [head, ["---"] * len(head), *body]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(entries: Sequence[Entry]) -> str:
  """Returns the comparison as an HTML page that needs no other file."""
  body = "".join(
    f"<h2>{title}</h2>{_table(table)}" for title, table in tables(entries)
  )
  curves = {e.name: e.rows for e in entries if e.rows}
  if curves:
    plot = io.BytesIO()
    pictures.curves(curves, plot)
    body += f"<h2>Training</h2>{_image(plot.getvalue(), 'curves')}"
  grids = "".join(
    f"<figure><figcaption>{html.escape(e.name)}</figcaption>"
    f"{_image(e.picture, e.name)}</figure>"
    for e in entries
    if e.picture
  )
  return _PAGE.format(body=body + f"<h2>Samples</h2><div>{grids}</div>")


_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Comparison of runs</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: 3px 8px; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
div {{ display: flex; flex-wrap: wrap; }}
figure {{ margin: 0 2em 2em 0; }}
img {{ max-width: 100%; }}
</style>
<h1>Comparison of runs</h1>
{body}
"""


def _table(table: Sequence[Sequence[str]]) -> str:
  def row(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

  lines = [row(table[0], "th"), *(row(cells, "td") for cells in table[1:])]
  return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _image(png: bytes, name: str) -> str:
  data = base64.b64encode(png).decode()
  return f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'


def _metrics(entry: Entry) -> Mapping[str, Mapping[str, Any]]:
  return entry.evaluation.get("metrics", {})


def _group(group: Sequence[Entry]) -> str:
  """Returns a name for the runs of one config."""
  first, last = group[0].name, group[-1].name
  return first if len(group) == 1 else f"{first} to {last}"


def _names(entries: Sequence[Entry]) -> list[str]:
  """Returns the names of all their metrics."""
  return list(dict.fromkeys(name for e in entries for name in _metrics(e)))


def _directions(names: Sequence[str], entries: Sequence[Entry]) -> list[str]:
  """Adds to the names of metrics an arrow to where they are better."""
  arrows = {True: " ↓", False: " ↑", None: ""}
  lower = {
    name: metric.get("lower_is_better")
    for entry in entries
    for name, metric in _metrics(entry).items()
  }
  return [name + arrows[lower[name]] for name in names]


def _protocol(entry: Entry) -> dict[str, Any]:
  flat = flatten(entry.evaluation.get("protocol", {}))
  return {key: flat[key] for key in flat if not _NOT_PROTOCOL.match(key)}


def _show(value: float | None) -> str:
  return "-" if value is None else f"{value:.4g}"


def _seconds(rows: Sequence[Mapping[str, float]]) -> float:
  """Returns the time of the steps, from their rates; 0 if unknown."""
  seconds, last = 0.0, 0
  for row in rows:
    if rate := row.get("steps_per_second"):
      seconds += (row["step"] - last) / rate
      last = row["step"]
  return seconds


def _duration(seconds: float) -> str:
  minutes, rest = divmod(round(seconds), 60)
  return f"{minutes} min {rest} s" if seconds else "-"


def _json(path: pathlib.Path) -> dict[str, Any]:
  if not path.exists():
    return {}
  try:
    contents = json.loads(path.read_text())
  except (OSError, ValueError) as e:
    _warn(f"{path} cannot be read: {first_line(e)}")
    return {}
  if not isinstance(contents, dict):
    _warn(f"{path} holds no keys and values")
    return {}
  return contents


def _warn(text: str) -> None:
  print(f"warning: {text}", file=sys.stderr)
