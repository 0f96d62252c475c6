"""Scores of checkpoints, in `scores.json` beside their folder.

A step is saved before it is evaluated, so that its score is written later, and
an evaluation that is cut short costs nothing but the score.
"""

import json
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from jaxgan.engine.workdir import write_atomically


class KeepBest:
  """Keeps the checkpoint with the best score: a policy for Orbax's manager."""

  def __init__(self, workdir: pathlib.Path):
    """Reads the scores of a run."""
    self._workdir = workdir

  def should_preserve(
    self, checkpoints: Sequence[Any], *, context: Any
  ) -> list[bool]:
    """Returns for each checkpoint whether to keep it."""
    steps = [checkpoint.step for checkpoint in checkpoints]
    best = best_step(self._workdir, steps)
    return [step == best for step in steps]


def best_step(workdir: pathlib.Path, steps: Iterable[int]) -> int | None:
  """Returns which of the steps has the lowest score; None if none has one."""
  scores = read(workdir)
  return min(sorted(scores.keys() & set(steps)), key=scores.get, default=None)


def read(workdir: pathlib.Path) -> dict[int, float]:
  """Returns the scores of a run by step; they are finite."""
  try:
    scores = json.loads((workdir / "scores.json").read_text())
  except (FileNotFoundError, ValueError):
    return {}
  return {
    int(step): score
    for step, score in (scores.items() if isinstance(scores, dict) else ())
    if step.isdecimal() and _is_score(score)
  }


def write(workdir: pathlib.Path, step: int, score: float) -> None:
  """Writes the score of a step: lower is better.

  A number that is not finite is no score: then the step has none.
  """
  if _is_score(score):
    _write(workdir, read(workdir) | {step: score})


def drop_after(workdir: pathlib.Path, step: int) -> None:
  """Drops the scores of later steps, which will be made again."""
  scores = read(workdir)
  earlier = {key: score for key, score in scores.items() if key <= step}
  if earlier != scores:
    _write(workdir, earlier)


def _is_score(score: Any) -> bool:
  return isinstance(score, (int, float)) and math.isfinite(score)


def _write(workdir: pathlib.Path, scores: dict[int, float]) -> None:
  text = json.dumps(scores, indent=2)
  write_atomically(workdir / "scores.json", f"{text}\n")
