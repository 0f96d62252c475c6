"""Sources of arrays in memory, and of examples computed from them or files."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

Read = Callable[[np.ndarray], dict[str, np.ndarray]]  # indices -> batch


class ArraySource:
  """A source over a dict of arrays of equal length."""

  in_memory = True

  def __init__(self, arrays: Mapping[str, np.ndarray]):
    self.arrays = arrays

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[indices] for name, array in self.arrays.items()}


@dataclasses.dataclass(frozen=True)
class ComputedSource:
  """A source of examples that are computed when they are indexed."""

  read: Read
  length: int
  in_memory: bool = False

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.read(indices)


def stack(source: ArraySource, length: int, seed: int) -> ComputedSource:
  """Returns random triples of grey images as the channels of one.

  With ten digits there are 1000 kinds, the usual count of modes (Metz et al.
  2017, arXiv:1611.02163, appendix). The label is 100 a + 10 b + c.
  """
  rng = np.random.default_rng(seed)
  triples = rng.integers(len(source), size=(length, 3))

  def read(indices: np.ndarray) -> dict[str, np.ndarray]:
    parts = [source[column] for column in triples[indices].T]
    hundreds, tens, ones = (part["label"] for part in parts)
    image = np.concatenate([part["image"] for part in parts], axis=-1)
    return {"image": image, "label": 100 * hundreds + 10 * tens + ones}

  return ComputedSource(read, length, source.in_memory)
