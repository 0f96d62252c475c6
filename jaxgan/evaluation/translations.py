"""Measures of translated images, with the protocol that they depend on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from optax.losses import cosine_similarity
from tqdm import tqdm

from jaxgan import data
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import to_float, to_uint8, unaugmented
from jaxgan.engine import devices
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.metrics import image_pairs
from jaxgan.evaluation.statistics import (
  KEPT,
  Metric,
  Reference,
  collect,
  compare,
  no_pause,
  pausing,
  reference,
)
from jaxgan.game import Direction, Game

_PIXELS = 1 << 18  # that are translated at a time


class Translated(NamedTuple):
  """What is kept of a stream of translated images.

  Attributes:
    images: uint8 `[N, H, W, C]`.
    sources: what they were made from.
    labels: of the sources, `[N]`; empty where there are none.
    scores: by name, of each image `[N]`.
  """

  images: np.ndarray
  sources: np.ndarray
  labels: np.ndarray
  scores: dict[str, np.ndarray]


def create(
  config: ConfigDict,
  game: Game,
  count: int | None = None,
  seed: int = 0,
  batch_statistics: bool = False,
  inception: str = "",
  classifier: str = "",
  most: int = 0,
) -> tuple[Callable[[Any], dict[str, Metric]], dict[str, Any]]:
  """As `measure.create`, for a run that translates.

  The held-out images are translated, or those of training where none are held
  out, in each direction. Metrics of the way back are called so.

  Args:
    config: of the run.
    game: of the run.
    count: how many images, if there are so many; by default up to `KEPT`.
    seed: of the noise, where there is any.
    batch_statistics: see `run.sampler`.
    inception: see `features.create`.
    classifier: see `features.create`; of the target's images.
    most: training images to compare with; 0 for all.

  Raises:
    InputError: where the run or its data cannot be measured like that.
  """
  held_out = data.held_out(config.data)
  translated = held_out or config.data.copy_and_resolve_references()
  translated.margin = 0
  single = game.inputs is not None and config.batch_size == 1
  protocol = {
    "seed": seed,
    "batch_norm": (
      f"statistics of {'each image' if single else 'a batch'}"
      if single or batch_statistics
      else "running statistics"
    ),
    "data": config.data.to_dict(),
    "translated": {
      "data": translated.to_dict(),
      "held_out": held_out is not None,
    },
  }
  ways, references = {}, {}
  for direction in game.directions:
    way, start, end = direction.name, direction.source, direction.target
    own = classifier if end == "target" else ""
    source = data.one_side(translated, start)
    number = min(count or KEPT, len(source))
    if again := end in references:
      real = references[end]
    else:
      real = _reference(config, end, number, seed, inception, own, most)
      references[end] = real
    order = shuffled_indices(0, np.arange(len(source)), len(source))[:number]
    ways[way] = source, order, real
    found = {"samples": number} | (real.protocol if real and not again else {})
    sha = hashlib.sha256()
    for batch in sampling.examples(source, order):
      sha.update(batch[start])
    found["translated_sha256"] = sha.hexdigest()
    if way == "forward":
      protocol |= found
    else:
      protocol[way] = found
  translate = {
    direction.name: _translator(
      game, direction, translated, seed, batch_statistics
    )
    for direction in game.directions
  }

  def measure(
    variables: Any, pause: Callable[[], None] = no_pause
  ) -> dict[str, Metric]:
    metrics = {}
    for way, (source, order, real) in ways.items():
      made = translate[way](variables, source, order, pause)
      same = way == "identity"
      prefix = "" if way == "forward" else f"{way} "
      for name, metric in _metrics(made, real, seed, same, pause).items():
        metrics[prefix + name] = metric
    return metrics

  return measure, protocol


def _reference(
  config: ConfigDict,
  end: str,
  count: int,
  seed: int,
  inception: str,
  classifier: str,
  most: int,
) -> Reference | None:
  """Real images of a domain; None where no network is for them."""
  own = data.domain(config.data, end)
  if not (inception or classifier or data.classes(own)):
    return None
  net = feature_nets.create(ConfigDict({"data": own}), inception, classifier)
  return reference(own, net, count, seed, most, few=True)


def _translator(
  game: Game,
  direction: Direction,
  config: ConfigDict,
  seed: int,
  batch_statistics: bool,
) -> Callable[..., Translated]:
  """Returns `translate(variables, source, order, pause)` to a `Translated`."""
  start, end = direction.source, direction.target
  shape = data.example_shapes(config)[start]
  count = jax.local_device_count()
  most = min(sampling.BATCH, max(1, _PIXELS // (shape[0] * shape[1])))
  size = max(1, most // count) * count

  def one(variables: Any, batch: Mapping[str, jax.Array]) -> dict[str, Any]:
    given = unaugmented(batch["images"], config)
    x = given[start]
    inputs = {start: x, **batch["inputs"]}
    made = game.sample(*variables, inputs, batch_statistics)
    stored = to_uint8(made[direction.output])
    rounded = to_float(stored)
    scores = {}
    if end in given:
      scores["L1"] = image_pairs.l1(rounded, given[end])
      scores["PSNR"] = image_pairs.psnr(rounded, given[end])
      if min(shape[:2]) >= image_pairs.SSIM_LEAST:
        scores["SSIM"] = image_pairs.ssim(rounded, given[end])
    elif rounded.shape == x.shape:
      scores["L1 to the source"] = image_pairs.l1(rounded, x)
    if direction.cycle:
      scores["cycle L1"] = image_pairs.l1(made[direction.cycle], x)
    if game.embed:
      features = (game.embed(*variables, y) for y in (x, rounded))
      scores["embedding similarity"] = cosine_similarity(*features)
    return {"images": stored, "scores": scores}

  apply = devices.data_parallel(one)
  keys = {start, end} if config.name != "unpaired" else {start}

  def translate(
    variables: Any,
    source: data.Source,
    order: np.ndarray,
    pause: Callable[[], None],
  ) -> Translated:
    variables = devices.replicate(variables)
    made, sources, labels = [], [], []
    with tqdm(
      total=len(order), desc="translations", unit="image", leave=False
    ) as bar:
      for first in pausing(range(0, len(order), size), pause):
        batch = source[order[first : first + size]]
        sources.append(batch[start])
        labels.append(batch.get(f"{start}_label", ()))
        # Filled up to one size, for which all is compiled.
        rows = np.resize(np.arange(len(batch[start])), size)
        inputs = {}
        if game.inputs:
          indices = jnp.arange(first, first + size)
          inputs = sampling.draw_inputs(game, seed, indices)
        images = {key: batch[key][rows] for key in keys}
        count = len(sources[-1])
        batch = devices.shard({"images": images, "inputs": inputs})
        found = jax.device_get(apply(variables, batch))
        made.append(jax.tree.map(lambda x, n=count: x[:n], found))
        bar.update(count)
    made = jax.tree.map(lambda *x: np.concatenate(x), *made)
    return Translated(
      made["images"],
      np.concatenate(sources),
      np.concatenate(labels),
      made["scores"],
    )

  return translate


def _metrics(
  made: Translated,
  real: Reference | None,
  seed: int,
  same: bool,
  pause: Callable[[], None],
) -> dict[str, Metric]:
  """The metrics of translations, or with `same`, of what should not change."""
  metrics = {}
  if real:
    net, labelled = real.net, len(made.labels) > 0

    def batches(images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
      for rows in pausing(sampling.batches(np.arange(len(images))), pause):
        batch = {"image": images[rows]}
        yield batch | ({"label": made.labels[rows]} if labelled else {})

    fake = collect(net, batches(made.images), len(made.images), "features")
    if net.classes and labelled:
      accuracy = {"accuracy": fake}
      if made.sources.shape == made.images.shape and not same:
        accuracy["accuracy untranslated"] = collect(
          net, batches(made.sources), len(made.sources), "features"
        )
      for name, found in accuracy.items():
        right = (found.logits.argmax(1) == found.labels).mean()
        floor = real.protocol["classifier_accuracy"]
        metrics[net.prefix + name] = Metric(float(right), floor, False)
  scores = {
    name: Metric(float(values.mean()), None, _LOWER[name])
    for name, values in made.scores.items()
  }
  if "L1" in scores:
    metrics |= scores
  if real and not same:
    metrics |= compare(real, fake, seed)
  # Last, since the first decides which checkpoint is the best: none of these
  # is better for what translates more.
  return metrics | scores


_LOWER = {
  "L1": True,
  "PSNR": False,
  "SSIM": False,
  "L1 to the source": None,
  "cycle L1": True,
  "embedding similarity": False,
}
