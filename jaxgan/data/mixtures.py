"""Mixtures of Gaussians in the plane, the smallest test of mode collapse.

As in VEEGAN (Srivastava et al. 2017, arXiv:1705.07761, section 5.1) and in
the published notebook of Unrolled GAN (Metz et al. 2017, arXiv:1611.02163).
"""

import numpy as np

from jaxgan.data.arrays import ArraySource


def ring_centres(modes: int = 8, radius: float = 1.0) -> np.ndarray:
  """Centres `[modes, 2]` on a circle."""
  angles = 2 * np.pi * np.arange(modes) / modes
  return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def grid_centres(side: int = 5, spacing: float = 2.0) -> np.ndarray:
  """Centres `[side^2, 2]` on a square grid about the origin."""
  line = spacing * (np.arange(side) - (side - 1) / 2)
  return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def ring() -> ArraySource:
  """100 000 points of 8 Gaussians of deviation 0.01 on the unit circle."""
  return _draw(ring_centres(), 0.01)


def grid() -> ArraySource:
  """100 000 points of 25 Gaussians of deviation 0.05, 2 apart."""
  return _draw(grid_centres(), 0.05)


def _draw(centres: np.ndarray, deviation: float) -> ArraySource:
  rng = np.random.default_rng(0)
  labels = rng.integers(len(centres), size=100_000)
  noise = deviation * rng.standard_normal((len(labels), 2))
  points = (centres[labels] + noise).astype(np.float32)
  return ArraySource({"image": points, "label": labels.astype(np.int32)})
