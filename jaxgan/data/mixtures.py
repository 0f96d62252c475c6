"""Mixtures of Gaussians in the plane, the smallest test of mode collapse.

As in VEEGAN (Srivastava et al. 2017, arXiv:1705.07761, section 5.1) and in
the published notebook of Unrolled GAN (Metz et al. 2017, arXiv:1611.02163).
"""

from typing import NamedTuple

import numpy as np

from jaxgan.data.arrays import ArraySource


class Mixture(NamedTuple):
  """Equally likely Gaussians: centres `[modes, 2]`, their one deviation."""

  centres: np.ndarray
  deviation: float


def ring() -> Mixture:
  """Returns 8 Gaussians of deviation 0.01 on the unit circle."""
  angles = 2 * np.pi * np.arange(8) / 8
  return Mixture(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.01)


def grid() -> Mixture:
  """Returns 25 Gaussians of deviation 0.05 on a square grid, 2 apart."""
  line = 2.0 * np.arange(-2, 3)
  centres = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
  return Mixture(centres, 0.05)


def density(mixture: Mixture, points: np.ndarray) -> np.ndarray:
  """Returns the probability density at points `[..., 2]`."""
  square = np.square(points[..., None, :] - mixture.centres).sum(-1)
  variance = mixture.deviation**2
  return np.exp(-square / (2 * variance)).mean(-1) / (2 * np.pi * variance)


def modes(points: np.ndarray, mixture: Mixture) -> tuple[int, float]:
  """Returns, of points `[N, 2]`, the modes covered and the share of good ones.

  Srivastava et al. 2017 (arXiv:1705.07761), section 5.1: a sample is good
  within 3 standard deviations of the nearest centre (98.9 % of a 2-D Gaussian),
  and a mode is covered where a good sample is nearest to it.
  """
  gaps = np.linalg.norm(points[:, None] - mixture.centres, axis=-1)
  good = gaps.min(1) <= 3 * mixture.deviation
  return len(np.unique(gaps.argmin(1)[good])), float(good.mean())


def draw(mixture: Mixture, seed: int, length: int = 100_000) -> ArraySource:
  """Returns `length` points, with their modes as labels."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(len(mixture.centres), size=length)
  noise = mixture.deviation * rng.standard_normal((length, 2))
  points = (mixture.centres[labels] + noise).astype(np.float32)
  return ArraySource({"image": points, "label": labels.astype(np.int32)})
