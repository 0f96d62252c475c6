"""Fills the tables of docs/ from what wrote them: `python docs/tables.py`.

A table stands between two comments, of which the first says what it shows. One
of figures:

  <!-- figures: results/faces.json
  rows: seconds = time; FaceNet-FID
  columns: dcgan_faces = DCGAN; wgan_* = WGAN, all seeds; real, held out = real
  -->
  <!-- end -->

The file is one of `jaxgan compare RUNS --output=FILE.json`, or a list of groups
in that form: `{"runs": [{"run": NAME, METRIC: VALUE, ...}, ...]}`. Rows are
runs and columns metrics, or the other way round; a name with * stands for all
that match, whose mean, lowest and highest are shown. And one of the flags of a
command, as its --help has them:

  <!-- flags: sample -->
  <!-- end -->
"""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from jaxgan.applications import report

DOCS = pathlib.Path(__file__).parent
_END = r"(?:(?!<!--).)*<!-- end -->"  # the table's own
_FIGURES = re.compile(
  r"(<!-- figures: (\S+)\s+rows:(.*?)\s+columns:(.*?)\s*-->\n)" + _END,
  re.DOTALL,
)
_FLAGS = re.compile(r"(<!-- flags: (\w+) -->\n)" + _END, re.DOTALL)


def filled(text: str) -> str:
  """Returns a page with its tables made anew.

  Raises:
    LookupError: where a table names a run or a metric that its file lacks.
  """
  return _FLAGS.sub(_fill_flags, _FIGURES.sub(_fill_figures, text))


def _fill_figures(match: re.Match[str]) -> str:
  head, file, *names = match.groups()
  groups = [group["runs"] for group in json.loads((DOCS / file).read_text())]
  rows, columns = (
    [[part.strip() for part in name.split("=")] for name in text.split(";")]
    for text in names
  )
  down = bool(_matching(groups, rows[0][0]))  # runs are the rows
  cells = [
    [_cell(groups, *((r[0], c[0]) if down else (c[0], r[0]))) for c in columns]
    for r in rows
  ]
  for names, lines in (rows, cells), (columns, zip(*cells, strict=True)):
    for name, line in zip(names, lines, strict=True):
      if not any(line):
        raise LookupError(f"{file}: nothing of {name[0]!r}")
  titled = [[row[-1], *line] for row, line in zip(rows, cells, strict=True)]
  return _table(head, [["", *(column[-1] for column in columns)], *titled])


def _matching(
  groups: Sequence[Sequence[Mapping[str, Any]]], pattern: str
) -> list[Mapping[str, Any]]:
  """Returns the runs of a name, which must be in one group."""
  found = [
    [run for run in group if fnmatch.fnmatchcase(run["run"], pattern)]
    for group in groups
  ]
  if sum(map(bool, found)) > 1:
    raise LookupError(f"{pattern!r} stands in groups that do not compare")
  return next(filter(None, found), [])


def _cell(
  groups: Sequence[Sequence[Mapping[str, Any]]], pattern: str, metric: str
) -> str:
  """Returns a metric of the runs of this name, "" where they have none."""
  values = [run.get(metric) for run in _matching(groups, pattern)]
  values = [value for value in values if value is not None]
  if len(set(values)) < 2:
    return _show(values[0], metric) if values else ""
  mean, low, high = (
    _show(x, metric)
    for x in (sum(values) / len(values), min(values), max(values))
  )
  return mean if low == high else f"{mean} ({low} to {high})"


def _show(value: float | str, metric: str) -> str:
  if isinstance(value, str):
    return value
  if metric == "seconds":
    return f"{round(value / 60)} min"
  if isinstance(value, int):
    return f"{value:,}"
  return f"{value:#.3g}".removesuffix(".") if value else "0"


def _fill_flags(match: re.Match[str]) -> str:
  head, command = match.groups()
  # Its status is 1, as that of --help.
  result = subprocess.run(
    [sys.executable, "-m", f"jaxgan.{command}", "--helpxml"],
    stdout=subprocess.PIPE,
  )
  lines = [["flag", "default", ""]]
  for flag in ElementTree.fromstring(result.stdout).iter("flag"):
    if flag.findtext("key") == "yes":
      name, default = flag.findtext("name"), flag.findtext("default")
      no = "[no]" if flag.findtext("type") == "bool" else ""
      shown = "" if default in ("", "[]") else f"`{default}`"
      meaning, *_ = flag.findtext("meaning", "").split(";\n")
      lines.append([f"`--{no}{name}`", shown, meaning.replace("<", "\\<")])
  return _table(head, lines)


def _table(head: str, lines: Sequence[Sequence[str]]) -> str:
  return f"{head}\n{report.markdown(lines)}\n\n<!-- end -->"


if __name__ == "__main__":
  for path in sorted(DOCS.rglob("*.md")):
    before = path.read_text()
    if (after := filled(before)) != before:
      path.write_text(after)
      print(f"filled {path}", file=sys.stderr)
