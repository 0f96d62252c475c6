"""Evaluations while training, and the metric that decides."""

import json

import jax
import numpy as np
import pytest
from helpers.configs import small
from helpers.feature_nets import plain_net
from helpers.files import write_images

from jaxgan import evaluation, train
from jaxgan.engine import checkpoint, scores
from jaxgan.errors import InputError
from jaxgan.evaluation import (
  EvaluationOptions,
  feature_nets,
  restored,
)
from jaxgan.evaluation.metrics.tables import Metric

pytestmark = pytest.mark.slow


def test_evaluation_while_training(tmp_path, monkeypatch):
  values = iter([3.0, 5.0, float("nan"), 4.0, 4.5, 6.0])

  monkeypatch.setattr(evaluation, "check", lambda *_: None)

  def create(config, algorithm, options):
    assert options == EvaluationOptions(count=77)

    def evaluate(variables):
      params, _ = variables
      assert set(params) == {"generator", "critic"}
      return {
        "second": Metric(1.0, None, False),
        "first": Metric(next(values), 0.5, True),
      }

    return evaluate, {}

  monkeypatch.setattr(evaluation, "create", create)
  config = small(
    "nsgan",
    eval_every=1,
    eval_samples=77,
    steps=6,
    checkpoint_every=0,
    best_metric="first",
  )
  train(config, tmp_path)
  with checkpoint.open_manager(tmp_path, read_only=True) as manager:
    # The best and the latest three; NaN did not win.
    assert sorted(manager.all_steps()) == [1, 4, 5, 6]
    assert scores.best_step(tmp_path, manager.all_steps()) == 1
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  found = [row["eval/first"] for row in rows if "eval/first" in row]
  np.testing.assert_array_equal(found, [3, 5, np.nan, 4, 4.5, 6])
  assert restored.load(tmp_path, "best").state.step == 1
  assert restored.load(tmp_path, 5).state.step == 5
  assert restored.load(tmp_path).state.step == 6
  with pytest.raises(InputError, match="no checkpoint 2, but 1, 4, 5, 6"):
    restored.load(tmp_path, 2)


def test_higher_can_be_better(tmp_path):
  config = small("classifier", steps=8, eval_every=2, checkpoint_every=0)
  train(config, tmp_path)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  found = {
    row["step"]: row["eval/accuracy"]
    for row in map(json.loads, lines)
    if "eval/accuracy" in row
  }
  assert set(found) == {2, 4, 6, 8}
  best = restored.load(tmp_path, "best").state.step
  assert found[int(best)] == max(found.values())


def scored(values, monkeypatch, **config):
  """The score of an evaluation with these metrics."""
  metrics = {
    name: Metric(x, None, lower) for name, (x, lower) in values.items()
  }
  monkeypatch.setattr(evaluation, "create", lambda *_: (lambda _: metrics, {}))
  return evaluation.in_training(small("nsgan", **config), None)(None)


def test_the_best_metric_is_a_name(monkeypatch):
  values = {"digits-KID": (0.5, True), "digits-FID": (2.0, True),
            "digits-IS": (3.0, False), "x": (9.0, None)}  # fmt: skip
  scalars, score = scored(values, monkeypatch)
  assert scalars == {f"eval/{name}": x for name, (x, _) in values.items()}
  assert score == 2.0
  for name, expected in (
    ("KID", 0.5),
    ("digits-KID", 0.5),
    ("digits-IS", -3.0),
  ):
    assert scored(values, monkeypatch, best_metric=name)[1] == expected
  # Without a name, other directions and unknown metrics decide nothing.
  # Nor does cycle L1, which the identity minimises.
  others = {"backward digits-FID": (1.0, True), "x": (9.0, None),
            "cycle L1": (0.0, True)}  # fmt: skip
  assert scored(others, monkeypatch)[1] is None
  for name in ("modes", "x"):
    with pytest.raises(
      InputError, match=f"{name}'.* digits-KID, digits-FID, digits-IS$"
    ):
      scored(values, monkeypatch, best_metric=name)


@pytest.mark.parametrize(
  ("name", "preset", "metric", "known"),
  [
    ("nsgan", None, "L1", "FID, KID, IS"),
    ("gan", "ring", "FID", "Wasserstein-2, modes"),
    ("classifier", None, "FID", "accuracy"),
    ("pix2pix", None, "L1 to the source", "accuracy, L1, PSNR"),
  ],
)
def test_an_unknown_best_metric_is_refused(name, preset, metric, known):
  config = small(name, preset, best_metric=metric)
  with pytest.raises(InputError, match=f"best_metric='{metric}'.* {known}"):
    evaluation.check(config)
  config = small(name, preset, best_metric="digits-" + known.split(",")[0])
  evaluation.check(config)


def test_evaluation_does_not_change_training(tmp_path, monkeypatch):
  monkeypatch.setattr(feature_nets, "create", lambda *_: plain_net(size=20))
  states = [
    train(
      small("nsgan", steps=4, eval_every=every, eval_samples=40),
      tmp_path / str(every),
    ).state
    for every in (0, 2)
  ]
  digests = {checkpoint.digest(jax.device_get(state)) for state in states}
  assert len(digests) == 1


def test_what_cannot_be_evaluated_is_refused_at_once(tmp_path):
  write_images(tmp_path / "images", 20)
  config = small(
    "dcgan", "folder", eval_every=1, **{"data.path": str(tmp_path / "images")}
  )
  with pytest.raises(InputError, match="no labels"):
    train(config, tmp_path / "run")
  config.eval_features = str(tmp_path / "none.pth")
  with pytest.raises(InputError, match="none.pth"):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()
