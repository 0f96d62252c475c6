"""The evaluation of points."""

import numpy as np
import pytest

from jaxgan import data
from jaxgan.evaluation import (
  samples,
)

pytestmark = pytest.mark.slow


def test_points():
  mixture = data.mixtures.ring()
  perfect = data.mixtures.draw(mixture, 7, 2500).arrays["image"]
  metrics = samples.compare_points(perfect, mixture)
  assert next(iter(metrics)) == "Wasserstein-2"
  assert metrics["modes"] == (8, 8, False)
  assert metrics["high quality"].value > 0.98
  far = samples.compare_points(perfect[:500] + 1.0, mixture)["Wasserstein-2"]
  # Shifted by (1, 1), from itself and not quite from another draw.
  np.testing.assert_allclose(far.value, 2**0.5, rtol=0.05)
  assert far.real < 0.3
  broken = samples.compare_points(np.full_like(perfect[:100], np.nan), mixture)
  assert not np.isfinite(broken["Wasserstein-2"].value)
