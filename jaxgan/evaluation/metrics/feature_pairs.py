"""Metrics of what a translation keeps of its source, in a net's features."""

import numpy as np

from jaxgan.evaluation.metrics import Undefined

_CHUNK = 1024  # rows that are compared with all others at a time


def similarity(sources: np.ndarray, translations: np.ndarray) -> float:
  """Returns the mean cosine of features `[N, D]` and those of translations."""
  return float((_unit(sources) * _unit(translations)).sum(1).mean())


def random_similarity(sources: np.ndarray, translations: np.ndarray) -> float:
  """Returns the mean cosine of a source and the translation of another.

  Raises:
    Undefined: where there is but one image.
  """
  count = len(sources)
  if count < 2:
    raise Undefined("one image is no pair")
  a, b = _unit(sources), _unit(translations)
  return float((a.sum(0) @ b.sum(0) - (a * b).sum()) / (count * (count - 1)))


def retrieval(sources: np.ndarray, translations: np.ndarray) -> float:
  """Returns the share of translations whose own source is the most similar.

  Rank-1 retrieval among all N sources, whose chance is 1 / N.
  """
  a, b = _unit(sources), _unit(translations)
  nearest = [
    (b[start : start + _CHUNK] @ a.T).argmax(1)
    for start in range(0, len(b), _CHUNK)
  ]
  return float((np.concatenate(nearest) == np.arange(len(a))).mean())


def _unit(features: np.ndarray) -> np.ndarray:
  features = np.asarray(features, np.float64)
  length = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.maximum(length, 1e-12)
