"""Statistics of streams of images, and their comparison with real ones."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxgan import data
from jaxgan.data.order import shuffled_indices
from jaxgan.errors import InputError
from jaxgan.evaluation.feature_nets import FeatureNet
from jaxgan.evaluation.metrics import Undefined, distances, tables
from jaxgan.evaluation.metrics.distances import PRDC, Moments
from jaxgan.evaluation.metrics.tables import Metric
from jaxgan.evaluation.options import EvaluationOptions
from jaxgan.evaluation.sampling import examples

MAX_KID_FEATURES = 10_000  # of each set, for KID, precision and the like


class Statistics(NamedTuple):
  """Statistics of a stream of images."""

  moments: Moments  # of the features of all of them
  features: np.ndarray  # `[N, D]`, of the first `MAX_KID_FEATURES`
  logits: np.ndarray  # `[N, K]`, of all, or fewer; see `collect`
  labels: np.ndarray  # `[N]`, that came with the images; empty without any


@dataclasses.dataclass(frozen=True)
class Comparison:
  """The argument of the metrics in `tables.IMAGES`."""

  real: Statistics
  generated: Statistics
  classes: int  # labels of the data that the feature net knows
  seed: int  # of the subsets of KID

  @functools.cached_property
  def prdc(self) -> PRDC:
    """Precision, recall, density, coverage and the nearest distance."""
    return distances.prdc(self.real.features, self.generated.features)

  @property
  def label_counts(self) -> tuple[np.ndarray, np.ndarray]:
    """Counts `[K]` of the labels: predicted for generated images, and real."""
    if not self.classes:
      raise Undefined("the feature net knows no labels of the data")
    labels = self.generated.logits.argmax(1), self.real.labels
    return tuple(np.bincount(x, minlength=self.classes) for x in labels)


class Reference(NamedTuple):
  """Real images, as a feature net sees them."""

  net: FeatureNet
  real: Statistics  # of the training images
  held_out: Mapping[str, float]  # metrics of held-out images, by name
  seed: int  # of the subsets of KID
  protocol: dict[str, Any]


def collect(
  net: FeatureNet,
  batches: Iterable[Mapping[str, Any]],
  total: int,
  label: str,
  keep_logits: bool = True,
) -> Statistics:
  """Returns the statistics of a stream of images, with a progress bar.

  Args:
    net: the feature net.
    batches: with `image`, uint8 `[B, H, W, C]`, and perhaps `label`, `[B]`.
    total: number of images, at least 1.
    label: of the progress bar.
    keep_logits: or return those of the last batch alone.
  """
  moments, features, logits, labels, waiting = None, [], [], [], []

  def take(batch: Mapping[str, Any], outputs: Any) -> None:
    nonlocal moments
    count = len(batch["image"])
    x, scores = jax.device_get(outputs)
    new = distances.moments(x)
    moments = distances.merge(moments, new) if moments else new
    features.append(x[: MAX_KID_FEATURES - sum(map(len, features))])
    if not keep_logits:
      logits.clear()
    logits.append(scores)
    labels.append(batch.get("label", ()))
    bar.update(count)

  with tqdm(total=total, desc=label, unit="image", leave=False) as bar:
    for batch in batches:
      # The device works on this batch while the host adds up the one before.
      waiting.append((batch, net.apply(net.variables, batch["image"])))
      if len(waiting) > 1:
        take(*waiting.pop(0))
    take(*waiting[0])
  return Statistics(moments, *map(np.concatenate, (features, logits, labels)))


def join(a: Statistics, b: Statistics) -> Statistics:
  """Returns the statistics of two streams together."""
  return Statistics(
    distances.merge(a.moments, b.moments),
    np.concatenate([a.features, b.features])[:MAX_KID_FEATURES],
    np.concatenate([a.logits, b.logits]),
    np.concatenate([a.labels, b.labels]),
  )


def reference(
  config: ConfigDict,
  net: FeatureNet,
  options: EvaluationOptions,
  allow_few: bool = False,
) -> Reference:
  """Reads the real images that samples of a run are compared with.

  As many held-out images as there are samples, if there are so many, are
  compared with them, too: most metrics depend on the number.

  Raises:
    InputError: where there are too few of either for a covariance, unless
      `allow_few`.
  """
  least, count = 1 if allow_few else net.size, options.count
  if count is not None:
    _check_count(least, count, "samples")
  source = data.create(config)
  total = min(options.max_real or len(source), len(source))
  order = shuffled_indices(0, np.arange(total), len(source))
  _check_count(least, total, "real images")
  sha = hashlib.sha256()

  def read(
    source: data.Source, order: np.ndarray, keep_logits: bool
  ) -> Statistics:
    def hashed(batch: dict[str, Any]) -> dict[str, Any]:
      sha.update(batch["image"])
      return batch

    batches = map(hashed, examples(source, order))
    return collect(net, batches, len(order), "real images", keep_logits)

  if other := data.held_out(config):
    others = data.create(other)
    # In random order, since some sets are sorted by label.
    chosen = shuffled_indices(0, np.arange(len(others)), len(others))
    real = first = read(source, order, False)
    second = read(others, chosen[: count or MAX_KID_FEATURES], True)
  else:
    # Without another split, one half against the other.
    a, b = np.array_split(order, 2)
    first, second = read(source, a, False), read(source, b, True)
    real = join(first, second)
  held_out = len(second.logits)
  _check_count(least, count or held_out, "samples")
  protocol = {
    "samples": count or held_out,
    "data": config.to_dict(),
    "real": total,
    "real_split": config.split,
    "held_out": held_out,
    "held_out_split": other.split if other else "half of the same",
    "images_sha256": sha.hexdigest(),
    "features": net.description,
    "features_sha256": net.hash,
    "feature_count": net.size,
    "resizer": net.resizer,
  }
  if net.classes:
    protocol["classifier_accuracy"] = tables.ACCURACY.function(second)
  compared = Comparison(first, second, net.classes, options.seed)
  values = tables.values(tables.IMAGES, compared)
  return Reference(net, real, values, options.seed, protocol)


def compare(reference: Reference, generated: Statistics) -> dict[str, Metric]:
  """Returns the metrics of samples beside those of held-out images."""
  net = reference.net
  compared = Comparison(reference.real, generated, net.classes, reference.seed)
  values = tables.values(tables.IMAGES, compared)
  return tables.metrics(tables.IMAGES, values, reference.held_out, net.prefix)


def _check_count(features: int, count: int, label: str) -> None:
  if count <= features:
    raise InputError(
      f"{count} {label}: give at least {features + 1}; a covariance needs more "
      "images than features"
    )
