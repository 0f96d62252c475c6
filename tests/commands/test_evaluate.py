"""The command that evaluates a run, and what commands of runs refuse."""

import json
import shutil

import jax
import numpy as np
import pytest
from helpers.configs import data_config
from helpers.runs import command

from jaxgan import evaluation
from jaxgan.evaluation import EvaluationOptions, feature_nets, restored
from jaxgan.game import sampling_variables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, trained):
  """A folder with a GAN's run and a classifier's."""
  workdir = tmp_path_factory.mktemp("runs")
  shutil.copytree(trained("nsgan"), workdir / "gan")
  shutil.copytree(trained("classifier"), workdir / "classifier")
  return workdir


def test_the_command(workdir):
  arguments = ("--workdir=gan", "--features=classifier", "--samples=300")
  path = workdir / "gan" / "evaluation.json"
  results = []
  for count in (1, 2):
    result = command("evaluate", *arguments, cwd=workdir, devices=count)
    assert result.returncode == 0, result.stderr
    results.append(json.loads(path.read_text()))
  assert "digits-FID" in result.stdout
  assert "300 samples, seed 0, averaged weights" in result.stdout
  first, second = results
  # The same numbers, but for the order of sums on two devices.
  assert first["protocol"] == second["protocol"]
  for name, metric in first["metrics"].items():
    np.testing.assert_allclose(
      metric["value"], second["metrics"][name]["value"], rtol=0.02, atol=1e-3
    )
  protocol = first["protocol"]
  assert protocol["step"] == 2
  assert (
    protocol["features_sha256"]
    == feature_nets.create(
      data_config("digits"), features=str(workdir / "classifier")
    ).hash
  )
  assert protocol["versions"]["jax"] == jax.__version__
  # And that of the library: the same net, samples and images.
  found = restored.load(workdir / "gan")
  options = EvaluationOptions(count=300, features=str(workdir / "classifier"))
  evaluate, _ = evaluation.create(found.config, found.game, options)
  for name, metric in evaluate(sampling_variables(found.state)).items():
    np.testing.assert_allclose(
      metric.value, first["metrics"][name]["value"], rtol=0.02, atol=1e-3
    )


@pytest.mark.parametrize(
  ("module", "arguments", "message"),
  [
    ("evaluate", [], "--workdir"),
    ("evaluate", ["--workdir=gan", "--step=x"], "no checkpoint x, but 2"),
    (
      "evaluate",
      ["--workdir=gan", "--features=classifier", "--samples=20"],
      "at least 65",
    ),
    ("evaluate", ["--workdir=gan", "--features=none.pth"], "none.pth"),
    ("evaluate", ["--workdir=gan", "--config=x"], "config"),
    ("sample", ["--workdir=gan", "--output=x.png", "--kind=x"], "grid"),
    ("sample", ["--workdir=gan", "--output=x.jpg"], ".png"),
    ("sample", ["--workdir=classifier", "--output=x.png"], "from noise"),
    ("compare", ["none"], "none of the folders"),
    ("compare", ["gan", "--output=x.jpg"], ".html, .png, .json"),
  ],
  ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_commands_get_one_line(workdir, module, arguments, message):
  result = command(module, *arguments, cwd=workdir)
  assert result.returncode == 1
  *warnings, line = result.stderr.strip().splitlines()
  assert all(w.startswith("warning: ") for w in warnings)
  assert line.startswith("error: ")
  assert message in line
