"""Metrics of the labels that a classifier gives samples."""

import numpy as np

from jaxgan.evaluation.metrics import Undefined


def inception_score(logits: np.ndarray, splits: int = 10) -> float:
  """Returns `exp E KL(p(y|x) || p(y))`, the mean over consecutive splits.

  Salimans et al. 2016 (arXiv:1606.03498), section 4. From 1 to the number of
  classes. The logits `[N, K]` have to be in random order.

  Raises:
    Undefined: where there are fewer examples than splits, or no classes.
  """
  from scipy.special import entr, log_softmax

  if len(logits) < splits:
    raise Undefined(f"{splits} splits need at least as many images")
  if not logits.shape[1]:
    raise Undefined("the feature net knows no classes")
  scores = []
  cuts = [i * len(logits) // splits for i in range(1, splits)]
  for part in np.split(logits.astype(np.float64), cuts):
    log_p = log_softmax(part, axis=1)
    p = np.exp(log_p)
    scores.append(np.exp(entr(p.mean(0)).sum() - entr(p).sum(1).mean()))
  return float(np.mean(scores))


def modes_found(counts: np.ndarray) -> int:
  """Returns the number of classes with a sample, of counts `[K]`."""
  return int((counts > 0).sum())


def reverse_kl(counts: np.ndarray, data_counts: np.ndarray) -> float:
  """Returns `KL(p_generated || p_data)` of label counts `[K]`, in nats.

  Metz et al. 2017 (arXiv:1611.02163), section 3.3.3. 0 where samples have the
  classes of the data in its proportions; log K where they have one of K.
  Infinite where they have one that the data has not.
  """
  p, q = counts / counts.sum(), data_counts / data_counts.sum()
  with np.errstate(divide="ignore", invalid="ignore"):
    terms = np.where(p > 0, p * np.log(p / q), 0.0)
  return float(terms.sum())
