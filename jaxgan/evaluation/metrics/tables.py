"""The metrics by name: how each is computed, and which way is better.

A new metric is one entry here. Its function raises `Undefined` where it has no
value; the metric is then left out.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from optax.losses import cosine_similarity

from jaxgan.data import mixtures
from jaxgan.evaluation.metrics import Undefined, feature_pairs
from jaxgan.evaluation.metrics.classifier_scores import (
  inception_score,
  modes_found,
  reverse_kl,
)
from jaxgan.evaluation.metrics.distances import frechet_distance, kid
from jaxgan.evaluation.metrics.image_pairs import l1, psnr, ssim
from jaxgan.evaluation.metrics.points import wasserstein


class Metric(NamedTuple):
  """The value of a metric."""

  value: float  # of the samples
  real: float | None  # of held-out real data; None where there is too little
  lower_is_better: bool | None  # None where neither direction is


class Measure(NamedTuple):
  """An entry of a table: a function, and whether lower is better, if known."""

  function: Callable[..., Any]
  lower_is_better: bool | None


class Translated(NamedTuple):
  """Images `[B, H, W, C]` in [-1, 1] of a translation; None where unknown."""

  source: jax.Array
  output: jax.Array
  target: jax.Array | None  # what the output should be
  cycle: jax.Array | None  # the output translated back
  embeddings: tuple[jax.Array, jax.Array] | None  # of source and output

  def known(self, name: str) -> Any:
    """Returns an attribute; raises `Undefined` where it is None."""
    if (value := getattr(self, name)) is None:
      raise Undefined(f"no {name}")
    return value


def _l1_to_source(x: Translated) -> jax.Array:
  if x.target is not None or x.output.shape != x.source.shape:
    raise Undefined("another image is the target, or of another shape")
  return l1(x.output, x.source)


# Of a `statistics.Comparison` of generated with real images.
IMAGES = {
  "FID": Measure(
    lambda x: frechet_distance(x.real.moments, x.generated.moments), True
  ),
  "KID": Measure(
    lambda x: kid(x.real.features, x.generated.features, x.seed), True
  ),
  "IS": Measure(lambda x: inception_score(x.generated.logits), False),
  "precision": Measure(lambda x: x.prdc.precision, False),
  "recall": Measure(lambda x: x.prdc.recall, False),
  "density": Measure(lambda x: x.prdc.density, False),
  "coverage": Measure(lambda x: x.prdc.coverage, False),
  # Far below that of held-out images, samples may be copies of training images.
  "nearest distance": Measure(lambda x: x.prdc.nearest_distance, None),
  "modes": Measure(lambda x: modes_found(x.label_counts[0]), False),
  "reverse KL": Measure(lambda x: reverse_kl(*x.label_counts), True),
}

# Of the `statistics.Statistics` of images with labels.
ACCURACY = Measure(
  lambda x: float((x.logits.argmax(1) == x.labels).mean()), False
)

# Of a `Translated`, on the devices: a value for each image.
TRANSLATIONS = {
  "L1": Measure(lambda x: l1(x.output, x.known("target")), True),
  "PSNR": Measure(lambda x: psnr(x.output, x.known("target")), False),
  "SSIM": Measure(lambda x: ssim(x.output, x.known("target")), False),
  "L1 to the source": Measure(_l1_to_source, None),
  "cycle L1": Measure(lambda x: l1(x.known("cycle"), x.source), True),
  "embedding similarity": Measure(
    lambda x: cosine_similarity(*x.known("embeddings")), False
  ),
}

# Of features `[N, D]` of sources, and those of their translations.
FEATURES = {
  "similarity": Measure(feature_pairs.similarity, False),
  "similarity of random pairs": Measure(feature_pairs.random_similarity, None),
  "retrieval": Measure(feature_pairs.retrieval, False),
}

# Of points `[N, 2]`, as many real ones, and the mixture of these.
POINTS = {
  "Wasserstein-2": Measure(lambda x, real, _: wasserstein(x, real), True),
  "modes": Measure(lambda x, _, mixture: mixtures.modes(x, mixture)[0], False),
  "high quality": Measure(
    lambda x, _, mixture: mixtures.modes(x, mixture)[1], False
  ),
}

# The first of these that a run has decides which checkpoint is the best. Cycle
# L1 is none of them: a generator that changes nothing has the best.
PREFERRED = ("accuracy", "L1", "FID", "KID", "Wasserstein-2")


def values(table: Mapping[str, Measure], *args: Any) -> dict[str, Any]:
  """Returns the metrics of a table that are defined, by name."""
  defined = {}
  for name, measure in table.items():
    with contextlib.suppress(Undefined):
      defined[name] = measure.function(*args)
  return defined


def metrics(
  table: Mapping[str, Measure],
  samples: Mapping[str, float],
  real: Mapping[str, float],
  prefix: str = "",
) -> dict[str, Metric]:
  """Returns values of a table beside those of real data, by prefixed name."""
  return {
    prefix + name: Metric(value, real.get(name), table[name].lower_is_better)
    for name, value in samples.items()
  }
