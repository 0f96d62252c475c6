"""Sources of arrays in memory."""

from collections.abc import Mapping

import numpy as np


class ArraySource:
  """A source over a dict of arrays of equal length."""

  in_memory = True

  def __init__(self, arrays: Mapping[str, np.ndarray]):
    self.arrays = arrays

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[indices] for name, array in self.arrays.items()}


class StackedSource:
  """Three grey images of a labelled source as the channels of one.

  With ten digits there are 1000 kinds, the usual count of modes (Metz et al.
  2017, arXiv:1611.02163, appendix). The label is 100 a + 10 b + c.
  """

  def __init__(self, source: ArraySource, length: int, seed: int = 0):
    self.source = source
    self.in_memory = source.in_memory
    rng = np.random.default_rng(seed)
    self.triples = rng.integers(len(source), size=(length, 3))

  def __len__(self) -> int:
    return len(self.triples)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    parts = [self.source[column] for column in self.triples[indices].T]
    hundreds, tens, ones = (part["label"] for part in parts)
    return {
      "image": np.concatenate([part["image"] for part in parts], axis=-1),
      "label": 100 * hundreds + 10 * tens + ones,
    }
