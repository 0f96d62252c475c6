"""Sets runs side by side, in Markdown and on a page."""

import base64
import html
import io
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
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
  r"step$|versions\..*|(.*\.)?data\.(.*\.)?(path|flip|crop|dequantize|margin)$"
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
  """Returns the runs in folders, at least one; warns of folders without."""
  paths = {x.resolve(): x for x in map(pathlib.Path, folders)}
  names, entries = [path.name for path in paths], []
  for name, path in zip(names, paths.values(), strict=True):
    entry = read(path, name if names.count(name) == 1 else str(path))
    if entry:
      entries.append(entry)
    else:
      _warn(f"{path} holds no run")
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
  picture = samples[-1].read_bytes() if samples else None
  contents = flatten(config), parameters, rows(workdir), evaluation, picture
  return Entry(name, *contents) if any(contents) else None


def _is_evaluation(evaluation: Mapping[str, Any]) -> bool:
  """Returns whether the entries that the tables show are there."""
  metrics = evaluation.get("metrics", {})
  if not isinstance(evaluation.get("protocol", {}), dict):
    return False
  return isinstance(metrics, dict) and all(
    isinstance(metric, dict)
    and isinstance(metric.get("value", ""), int | float | None)
    and isinstance(metric.get("real", ""), int | float | None)
    for metric in metrics.values()
  )


def tables(entries: Sequence[Entry]) -> list[tuple[str, list[list[str]]]]:
  """Returns the tables of a comparison, with their titles."""
  groups, seeds = protocols(entries), same_but_seed(entries)
  titled = [("Results", results(entries))]
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
  names, groups = _headings(entries), protocols(entries)
  letters = {id(e): chr(65 + i) for i, g in enumerate(groups) for e in g}
  head = ["run", "protocol", "steps", "time", "parameters"]
  table = [[*head, *names.values()]]
  for entry in entries:
    last = entry.rows[-1]["step"] if entry.rows else "-"
    evaluated = entry.evaluation.get("protocol", {}).get("step", last)
    row = [entry.name, letters.get(id(entry), "not evaluated"), str(last)]
    if evaluated != last:
      row[-1] += f" (evaluated: {evaluated})"
    row.append(_duration(_seconds(entry.rows)))
    row.append(f"{entry.parameters:,}" if entry.parameters else "-")
    table.append(row + [_show(_value(entry, n)) for n in names])
  for i, group in enumerate(groups):
    real = [_show(_value(group[0], n, "real")) for n in names]
    table.append(["real, held out", chr(65 + i), "", "", "", *real])
  if len(groups) < 2 and len(letters) == len(entries):
    table = [row[:1] + row[2:] for row in table]
  return table


def same_but_seed(entries: Sequence[Entry]) -> list[list[Entry]]:
  """Groups the runs whose configs and protocols differ in the seed only."""

  def key(entry: Entry) -> Any:
    config = {k: v for k, v in entry.config.items() if k != "seed"}
    evaluated = entry.evaluation.get("protocol", {}).get("step")
    return [config, _protocol(entry), evaluated] if config else entry.name

  return _grouped(entries, key)


def over_seeds(groups: Sequence[Sequence[Entry]]) -> list[list[str]]:
  """Returns a row of results for each group, over its seeds."""
  names = _headings([entry for group in groups for entry in group])
  table = [["runs", "seeds", "time", *names.values()]]
  for group in groups:
    seeds = {entry.config.get("seed") for entry in group}
    seconds = [s for s in (_seconds(entry.rows) for entry in group) if s]
    mean = sum(seconds) / max(len(seconds), 1)
    row = [_group(group), str(len(seeds)), _duration(mean)]
    for name in names:
      values = [_value(entry, name) for entry in group]
      cell = "-"
      if None not in values:
        low, high = _show(min(values)), _show(max(values))
        mean = _show(sum(values) / len(values))
        cell = f"{mean} ({low} to {high})" if low != high else low
      row.append(cell)
    table.append(row)
  return table


def protocols(entries: Sequence[Entry]) -> list[list[Entry]]:
  """Groups the evaluated runs of the same protocol."""
  return _grouped((entry for entry in entries if _metrics(entry)), _protocol)


def _grouped(
  entries: Iterable[Entry], key: Callable[[Entry], Any]
) -> list[list[Entry]]:
  groups: dict[str, list[Entry]] = {}
  for entry in entries:
    text = json.dumps(key(entry), sort_keys=True)
    groups.setdefault(text, []).append(entry)
  return list(groups.values())


def differences(columns: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Returns a row for each key in which flat mappings differ."""
  table = [["", *columns]]
  for key in sorted({key for values in columns.values() for key in values}):
    cells = [str(values.get(key, "-")) for values in columns.values()]
    if len(set(cells)) > 1:
      table.append([key, *cells])
  return table


def markdown(table: Sequence[Sequence[str]]) -> str:
  """Returns a table in Markdown."""
  head, *body = ([cell.replace("|", "\\|") for cell in row] for row in table)
  lines = [head, ["---"] * len(head), *body]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def curves(entries: Sequence[Entry]) -> bytes:
  """Plots the metrics of training over the steps, as a PNG.

  Raises:
    InputError: where no run has any.
  """
  runs, plot = {e.name: e.rows for e in entries if e.rows}, io.BytesIO()
  if not runs:
    raise InputError("none of the runs has metrics of its training yet")
  pictures.curves(runs, plot)
  return plot.getvalue()


def page(entries: Sequence[Entry]) -> str:
  """Returns the comparison as an HTML page that needs no other file."""
  body = "".join(f"<h2>{x}</h2>{_table(table)}" for x, table in tables(entries))
  if any(e.rows for e in entries):
    body += f"<h2>Training</h2>{_image(curves(entries), 'curves')}"
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


def figures(entries: Sequence[Entry]) -> str:
  """Returns the figures of runs, by protocol, as JSON.

  A row of real images follows the runs of each protocol; of several, each has
  its letter. Where data lie is not said. Runs that are not evaluated are left
  out, with a warning.

  Raises:
    InputError: where none is evaluated.
  """
  groups = []
  for entry in entries:
    if not _metrics(entry):
      _warn(f"{entry.name} is left out: jaxgan evaluate has not seen it")
  measured = protocols(entries)
  for i, group in enumerate(measured):
    runs = []
    for entry in group:
      step = entry.evaluation.get("protocol", {}).get("step")
      rows = [row for row in entry.rows if step is None or row["step"] <= step]
      run = {
        "run": entry.name,
        "steps": step,
        "seconds": round(_seconds(rows)) or None,
        "parameters": entry.parameters,
      }
      runs.append(run | {name: _value(entry, name) for name in _metrics(entry)})
    real = {n: _value(group[0], n, "real") for n in _metrics(group[0])}
    letter = f", {chr(65 + i)}" if len(measured) > 1 else ""
    runs.append({"run": f"real, held out{letter}", **real})
    groups.append({"protocol": _protocol(group[0]), "runs": runs})
  if not groups:
    raise InputError("none of the runs is evaluated: jaxgan evaluate does that")
  return json.dumps(groups, indent=2) + "\n"


def _table(table: Sequence[Sequence[str]]) -> str:
  def row(cells: Sequence[str], tag: str = "td") -> str:
    cells = (f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{''.join(cells)}</tr>"

  return f"<table>{row(table[0], 'th')}{''.join(map(row, table[1:]))}</table>"


def _image(png: bytes, name: str) -> str:
  data = base64.b64encode(png).decode()
  return f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'


def _metrics(entry: Entry) -> Mapping[str, Mapping[str, Any]]:
  return entry.evaluation.get("metrics", {})


def _value(entry: Entry, metric: str, key: str = "value") -> float | None:
  return _metrics(entry).get(metric, {}).get(key)


def _group(group: Sequence[Entry]) -> str:
  """Returns a name for the runs of one config."""
  first, last = group[0].name, group[-1].name
  return first if len(group) == 1 else f"{first} to {last}"


def _headings(entries: Sequence[Entry]) -> dict[str, str]:
  """Returns their metrics, each with an arrow to where it is better."""
  arrows = {True: " ↓", False: " ↑", None: ""}
  return {
    name: name + arrows[metric.get("lower_is_better")]
    for entry in entries
    for name, metric in _metrics(entry).items()
  }


def _protocol(entry: Entry) -> dict[str, Any]:
  flat = flatten(entry.evaluation.get("protocol", {}))
  return {key: flat[key] for key in flat if not _NOT_PROTOCOL.match(key)}


def _show(value: float | None) -> str:
  return "-" if value is None else f"{value:.4g}"


def _seconds(rows: Sequence[Mapping[str, float]]) -> float:
  """Returns the time of the steps, by their rates; 0 if unknown."""
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
  try:
    contents = json.loads(path.read_text()) if path.exists() else {}
  except (OSError, ValueError) as e:
    _warn(f"{path} cannot be read: {first_line(e)}")
    return {}
  if isinstance(contents, dict):
    return contents
  _warn(f"{path} holds no keys and values")
  return {}


def _warn(text: str) -> None:
  print(f"warning: {text}", file=sys.stderr)
