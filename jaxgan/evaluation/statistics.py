"""."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxgan import data
from jaxgan.data.order import shuffled_indices
from jaxgan.errors import InputError
from jaxgan.evaluation.feature_nets import FeatureNet
from jaxgan.evaluation.metrics import classifier_scores, distances
from jaxgan.evaluation.metrics.distances import Moments
from jaxgan.evaluation.sampling import examples

KEPT = 10_000  # features of each set that KID and neighbourhoods see


class Metric(NamedTuple):
  """A measure of samples.

  Attributes:
    value: of the samples.
    floor: the same of held-out real data, what as many perfect samples would
      get; None where there is too little of it.
    lower: whether lower is better; None where neither is.
  """

  value: float
  floor: float | None
  lower: bool | None


class Statistics(NamedTuple):
  """What is kept of a stream of images.

  Attributes:
    moments: of their features.
    features: of the first of them, `[N, D]`.
    logits: of all, `[N, K]`, or fewer; see `collect`.
    labels: their own, `[N]`; empty where there are none.
  """

  moments: Moments
  features: np.ndarray
  logits: np.ndarray
  labels: np.ndarray


class Reference(NamedTuple):
  """Real images, as a feature net sees them.

  Attributes:
    net: the feature net.
    real: statistics of the training images.
    floors: the metrics of held-out images, by name; None where they are too
      few for one.
    protocol: what these are.
  """

  net: FeatureNet
  real: Statistics
  floors: Mapping[str, float | None]
  protocol: dict[str, Any]


def collect(
  net: FeatureNet,
  batches: Iterable[Mapping[str, Any]],
  total: int,
  what: str,
  keep_logits: bool = True,
) -> Statistics:
  """Computes the statistics of a stream of images, with a progress bar.

  Args:
    net: the feature net.
    batches: with `image`, uint8 `[B, H, W, C]`, and perhaps `label`, `[B]`.
    total: how many images there are, at least 1.
    what: to call them.
    keep_logits: or return those of the last batch alone.
  """
  moments, kept, logits, labelled, waiting = None, [], [], [], []

  def take(batch: Mapping[str, Any], outputs: Any) -> None:
    nonlocal moments
    count = len(batch["image"])
    found, scores = (x[:count] for x in jax.device_get(outputs))
    own = distances.moments(found)
    moments = distances.merge(moments, own) if moments else own
    kept.append(found[: KEPT - sum(map(len, kept))])
    if not keep_logits:
      logits.clear()
    logits.append(scores)
    labelled.append(batch.get("label", ()))
    bar.update(count)

  with tqdm(total=total, desc=what, unit="image", leave=False) as bar:
    for batch in batches:
      # The device works on this batch while the host adds up the one before.
      waiting.append((batch, net.apply(net.variables, batch["image"])))
      if len(waiting) > 1:
        take(*waiting.pop(0))
    take(*waiting[0])
  return Statistics(moments, *map(np.concatenate, (kept, logits, labelled)))


def pausing(items: Iterable[Any], pause: Callable[[], None]) -> Iterator[Any]:
  """The items, with `pause()`, which may raise, before each."""
  for item in items:
    pause()
    yield item


def no_pause() -> None:
  """Does nothing."""


def join(a: Statistics, b: Statistics) -> Statistics:
  """The statistics of two streams together."""
  return Statistics(
    distances.merge(a.moments, b.moments),
    np.concatenate([a.features, b.features])[:KEPT],
    np.concatenate([a.logits, b.logits]),
    np.concatenate([a.labels, b.labels]),
  )


def reference(
  config: ConfigDict,
  net: FeatureNet,
  count: int | None = None,
  seed: int = 0,
  most: int = 0,
  few: bool = False,
) -> Reference:
  """Reads the real images that samples of a run are compared with.

  Args:
    config: `config.data` of the run.
    net: the feature net.
    count: how many samples will be compared. As many held-out images make the
      floors, if there are so many: most metrics depend on the number. By
      default it is theirs, up to `KEPT`.
    seed: of the subsets of KID.
    most: training images to use; 0 for all.
    few: whether covariances may be of fewer images than features.

  Raises:
    InputError: where there are too few of either for a covariance.
  """
  least = 1 if few else net.size
  if count is not None:
    _check_count(least, count, "samples")
  source = data.create(config)
  order = shuffled_indices(
    0, np.arange(min(most or len(source), len(source))), len(source)
  )
  _check_count(least, len(order), "real images")
  sha = hashlib.sha256()

  def read(source: data.Source, order: np.ndarray, logits: bool) -> Statistics:
    def batches() -> Iterator[dict[str, np.ndarray]]:
      for batch in examples(source, order):
        sha.update(batch["image"])
        yield batch

    return collect(net, batches(), len(order), "real images", logits)

  other = data.held_out(config)
  if other:
    others = data.create(other)
    # In random order, since some sets are sorted by label.
    shown = shuffled_indices(0, np.arange(len(others)), len(others))
    shown = shown[: count or KEPT]
    real = first = read(source, order, False)
    second = read(others, shown, True)
  else:
    # Without another split, one half against the other.
    halves = np.array_split(order, 2)
    first, second = (
      read(source, halves[0], False),
      read(source, halves[1], True),
    )
    real = join(first, second)
  held_out = len(second.logits)
  count = count or held_out
  _check_count(least, count, "samples")
  protocol = {
    "samples": count,
    "data": config.to_dict(),
    "real": len(order),
    "real_split": config.split,
    "floor": held_out,
    "held_out_split": other.split if other else "half of the same",
    "images_sha256": sha.hexdigest(),
    "features": net.description,
    "features_sha256": net.hash,
    "feature_count": net.size,
    "resizer": net.resizer,
  }
  if net.classes:
    right = second.logits.argmax(1) == second.labels
    protocol["classifier_accuracy"] = float(right.mean())
  floors = _measures(net, first, second, seed)
  return Reference(net, real, floors, protocol)


def compare(
  reference: Reference, fake: Statistics, seed: int = 0
) -> dict[str, Metric]:
  """Returns the metrics of samples beside their floors.

  Those for which there are too few images are left out.
  """
  values = _measures(reference.net, reference.real, fake, seed)
  return {
    reference.net.prefix + name: Metric(
      value, reference.floors[name], name in _LOWER
    )
    for name, value in values.items()
    if value is not None  # for want of images
  }


_LOWER = ("FID", "KID", "reverse KL")


def _measures(
  net: FeatureNet, real: Statistics, fake: Statistics, seed: int
) -> dict[str, float | None]:
  """The metrics by name; None where there are too few images for one."""

  def or_none(function: Callable[..., Any], *args: Any) -> Any:
    try:
      return function(*args)
    except ValueError:
      return None

  near = or_none(distances.prdc, real.features, fake.features)
  found = {
    "FID": or_none(distances.frechet_distance, real.moments, fake.moments),
    "KID": or_none(distances.kid, real.features, fake.features, seed),
    "IS": or_none(classifier_scores.inception_score, fake.logits),
    **{name: getattr(near, name, None) for name in distances.PRDC._fields},
  }
  if net.classes:
    guesses, truth = (
      np.bincount(x, minlength=net.classes)
      for x in (fake.logits.argmax(1), real.labels)
    )
    found["modes"] = classifier_scores.modes_found(guesses)
    found["reverse KL"] = classifier_scores.reverse_kl(guesses, truth)
  return found


def _check_count(features: int, count: int, what: str) -> None:
  if count <= features:
    raise InputError(
      f"{count} {what}: the covariance of {features} features needs at least "
      f"{features + 1}"
    )
