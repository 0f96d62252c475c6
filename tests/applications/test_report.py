"""Runs side by side."""

import base64
import json

import pytest
from helpers.configs import load_config, shrink

from jaxgan import train
from jaxgan.applications import report
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError

pytestmark = pytest.mark.slow

PROTOCOL = {
  "samples": 100,
  "step": 2,
  "data": {"name": "digits", "path": "", "flip": False},
  "versions": {"python": "3.11.0"},
}


def evaluation(**protocol):
  metric = {"value": 3.21987, "real": 0.5, "lower_is_better": True}
  return {
    "metrics": {
      "digits-FID": metric,
      "digits-IS": metric | {"lower_is_better": False},
    },
    "protocol": PROTOCOL | protocol,
  }


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("runs")
  for name in ("gan", "nsgan"):
    config = shrink(load_config(name))
    config.steps = 2
    config.log_every = 1
    train(config, workdir / name)
  return workdir


def entries(workdir, *evaluations):
  names = ("gan", "nsgan")
  for name, contents in zip(names, evaluations, strict=False):
    write_atomically(workdir / name / "evaluation.json", json.dumps(contents))
  return [report.read(workdir / name, name) for name in names]


def test_one_protocol(workdir):
  # Where the data lies, and the step, do not make another protocol.
  where = {"path": "x", "source": {"path": "y"}}
  other = evaluation(step=1, data=PROTOCOL["data"] | where,
                     translated={"data": {"target": {"path": "z"}}},
                     versions={"python": "3.12.0"})  # fmt: skip
  found = entries(workdir, evaluation(), other)
  table = report.results(found)
  head, gan, nsgan, floor = table
  assert head == [
    "run", "steps", "time", "parameters", "digits-FID ↓", "digits-IS ↑",
  ]  # fmt: skip
  # 8 -> 16, 16, 16 -> 256 with batch norm; 256 -> 16, 16 -> 1.
  generator = 8 * 16 + 2 * 16 * 16 + 6 * 16 + 17 * 256
  critic = 257 * 16 + 17 * 16 + 17
  assert gan[:2] == ["gan", "2"]
  assert gan[3:] == [f"{generator + critic:,}", "3.22", "3.22"]
  assert nsgan[1] == "2 (evaluated: 1)"
  assert floor[0] == "real, held out"
  assert floor[-2:] == ["0.5", "0.5"]
  assert [title for title, _ in report.tables(found)] == [
    "Results", "Configs, where they differ",
  ]  # fmt: skip
  _, *rows = report.tables(found)[1][1]
  assert rows == [["loss.name", "minimax", "non_saturating"]]


def test_other_protocols_are_marked(workdir):
  found = entries(workdir, evaluation(), evaluation(samples=99))
  head, gan, nsgan, *floors = report.results(found)
  assert head[1] == "protocol"
  assert (gan[1], nsgan[1]) == ("A", "B")
  assert [row[:2] for row in floors] == [
    ["real, held out", "A"], ["real, held out", "B"],
  ]  # fmt: skip
  title, table = report.tables(found)[1]
  assert "not comparable" in title
  assert table == [["", "A", "B"], ["samples", "100", "99"]]


def test_seeds_are_put_together(workdir):
  (gan, _) = entries(workdir, evaluation(), evaluation())

  def run(name, seed, value, **changes):
    metrics = {
      "a": {"value": value, "real": None, "lower_is_better": True},
      "b": {"value": 2.0, "real": None, "lower_is_better": False},
    }
    return gan._replace(
      name=name,
      rows=[{"step": 120, "steps_per_second": 2 / (seed + 1)}],
      config={**gan.config, "seed": seed, **changes},
      evaluation={"metrics": metrics, "protocol": PROTOCOL},
    )

  found = [run("x_0", 0, 1.0), run("y_0", 0, 7.0, **{"loss.name": "hinge"}),
           run("x_1", 1, 2.0), run("x_2", 2, 6.0)]  # fmt: skip
  (_, _), (title, table), (_, configs) = report.tables(found)
  assert title == "Over seeds: mean (lowest to highest)"
  assert table == [
    ["runs", "seeds", "time", "a ↓", "b ↑"],
    ["x_0 to x_2", "3", "2 min 0 s", "3 (1 to 6)", "2"],
    ["y_0", "1", "1 min 0 s", "7", "2"],
  ]
  assert configs == [
    ["", "x_0 to x_2", "y_0"], ["loss.name", "minimax", "hinge"],
  ]  # fmt: skip
  # Runs measured in another way, or not at all, stand alone.
  other = found[3]._replace(
    evaluation={**found[3].evaluation, "protocol": {"samples": 3}}
  )
  groups = report.same_but_seed([*found[:3], other])
  assert [len(group) for group in groups] == [2, 1, 1]
  # A copy is no other seed, and has no time of its own.
  copy = found[0]._replace(name="copy", rows=[])
  (_, row) = report.over_seeds([[found[0], copy]])
  assert row[:3] == ["x_0 to copy", "1", "1 min 0 s"]


@pytest.mark.parametrize(
  "contents",
  [
    {},
    [1],
    {"metrics": {"x": 3}},
    {"metrics": {"x": {"value": 1, "real": "x", "lower_is_better": True}}},
    {"metrics": [], "protocol": 3},
    "x",
  ],
  ids=str,
)
def test_what_is_missing_or_broken_is_said(workdir, contents, capsys):
  found = entries(workdir, evaluation(), contents)
  table = report.results(found)
  assert table[2][1] == "not evaluated"
  assert table[2][5:] == ["-", "-"]
  assert ("warning" in capsys.readouterr().err) == (contents != {})
  assert "nsgan" in report.page(found)


def test_a_folder_that_is_no_run(tmp_path):
  assert report.read(tmp_path, "x") is None
  assert report.read(tmp_path / "none", "x") is None
  # A single file is enough to show something.
  (tmp_path / "metrics.jsonl").write_text(
    '{"step": 12345, "a": 1, "b": "x", "steps_per_second": 0}\n'
    '{"step": "8"}\nnull\nbroken'
  )
  entry = report.read(tmp_path, "x")
  assert report.results([entry])[1][:4] == ["x", "not evaluated", "12345",
                                             "-"]  # fmt: skip
  assert "<img" in report.page([entry])


def test_the_page_stands_alone(workdir):
  found = entries(workdir, evaluation(), evaluation())
  found[0] = found[0]._replace(name="<gan>$_$a\\frac{$")
  page = report.page(found)
  assert "<gan>" not in page
  assert "&lt;gan&gt;$_$a\\frac{$" in page
  assert page.count('src="data:image/png;base64,') == 3  # curves, two grids
  assert "http" not in page


def test_figures_are_the_values_of_each_protocol(workdir, capsys):
  found = entries(workdir, evaluation(), evaluation())
  stranger = evaluation()
  stranger["protocol"]["samples"] = 3
  unevaluated = found[0]._replace(name="x", evaluation={})
  found += [found[0]._replace(name="y", evaluation=stranger), unevaluated]
  first, second = json.loads(report.figures(found))
  assert first["protocol"]["samples"] != second["protocol"]["samples"] == 3
  assert not any("path" in key for key in first["protocol"])
  *runs, real = first["runs"]
  assert [run["run"] for run in runs] == [entry.name for entry in found[:2]]
  for name, metric in evaluation()["metrics"].items():
    assert runs[0][name] == metric["value"]
    assert real[name] == metric["real"]
  assert runs[0]["parameters"] == found[0].parameters
  assert real["run"] == "real, held out, A"
  assert [run["run"] for run in second["runs"]] == ["y", "real, held out, B"]
  assert "warning: x is left out" in capsys.readouterr().err
  with pytest.raises(InputError, match="none of the runs is evaluated"):
    report.figures([unevaluated])
  # The time is that of the step that was evaluated.
  rows = [{"step": x, "steps_per_second": 1.0} for x in (2, 100)]
  ((run, real),) = (
    group["runs"]
    for group in json.loads(report.figures([found[0]._replace(rows=rows)]))
  )
  assert run["seconds"] == run["steps"] == 2
  assert real["run"] == "real, held out"


def test_curves_are_those_of_the_page(workdir):
  found = entries(workdir, evaluation(), evaluation())
  curves = base64.b64encode(report.curves(found)).decode()
  assert f'src="data:image/png;base64,{curves}"' in report.page(found)
  with pytest.raises(InputError, match="none of the runs has metrics"):
    report.curves([entry._replace(rows=[]) for entry in found])


def test_markdown():
  assert report.markdown([["a", "b|c"], ["1", "2"]]) == (
    "| a | b\\|c |\n| --- | --- |\n| 1 | 2 |"
  )
