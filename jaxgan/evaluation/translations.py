"""The evaluation of runs that translate."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxgan import data
from jaxgan.data.arrays import ArraySource
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import to_float, to_uint8, unaugmented
from jaxgan.engine import devices
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.metrics import tables
from jaxgan.evaluation.metrics.tables import Metric, Translated
from jaxgan.evaluation.options import Evaluation, EvaluationOptions
from jaxgan.evaluation.statistics import (
  MAX_KID_FEATURES,
  Reference,
  Statistics,
  collect,
  compare,
  reference,
)
from jaxgan.game import Direction, Game

_MAX_PIXELS = 1 << 18  # that are translated at a time, or a few more


class Translations(NamedTuple):
  """Images that were translated in one direction."""

  images: np.ndarray  # the translations, uint8 `[N, H, W, C]`
  sources: np.ndarray  # the images that were translated
  labels: np.ndarray  # of the sources, `[N]`; empty without any
  scores: dict[str, np.ndarray]  # each `[N]`, by name in `tables.TRANSLATIONS`


def create(
  config: ConfigDict, game: Game, options: EvaluationOptions
) -> Evaluation:
  """Returns the evaluation of a run that translates; see `evaluation.create`.

  The held-out images are translated, or those of training where none are held
  out, in each direction. `options.count` counts them; `options.features`, if a
  classifier with labels, is one of the target's images. Names of metrics begin
  with their direction, except for "forward".
  """
  held_out = data.held_out(config.data)
  inputs = held_out or config.data.copy_and_resolve_references()
  inputs.margin = 0
  single = game.inputs is not None and config.batch_size == 1
  protocol = {
    "seed": options.seed,
    "batch_norm": (
      f"statistics of {'each image' if single else 'a batch'}"
      if single or options.batch_statistics
      else "running statistics"
    ),
    "data": config.data.to_dict(),
    "translated": {"data": inputs.to_dict(), "held_out": bool(held_out)},
  }
  evaluations, references = [], {}
  for direction in game.directions:
    name, domain = direction.name, direction.target
    source = data.one_side(inputs, direction.source)
    count = min(options.count or MAX_KID_FEATURES, len(source))
    order = shuffled_indices(0, np.arange(len(source)), len(source))[:count]
    described = {"samples": count}
    if domain not in references:
      limited = dataclasses.replace(options, count=count)
      references[domain] = real = _reference(config, domain, limited)
      described |= real.protocol if real else {}
    sha = hashlib.sha256()
    for batch in sampling.examples(source, order):
      sha.update(batch[direction.source])
    described["translated_sha256"] = sha.hexdigest()
    translate = _translator(game, direction, inputs, options)
    evaluations.append(
      partial(
        _evaluate, direction, references[domain], translate, source, order
      )
    )
    protocol |= described if name == "forward" else {name: described}

  def evaluate(variables: Any) -> dict[str, Metric]:
    metrics = {}
    for evaluation in evaluations:
      metrics |= evaluation(variables)
    return metrics

  return evaluate, protocol


def _reference(
  config: ConfigDict, domain: str, options: EvaluationOptions
) -> Reference | None:
  """Returns real images of a domain; None where no feature net is for them."""
  images = data.domain(config.data, domain)
  features = options.features
  if domain == "source" and feature_nets.has_labels(features):
    features = ""
  if not (features or data.classes(images)):
    return None
  net = feature_nets.create(images, features)
  return reference(images, net, options, allow_few=True)


def _translator(
  game: Game,
  direction: Direction,
  config: ConfigDict,
  options: EvaluationOptions,
) -> Callable[[Any, data.Source, np.ndarray], Translations]:
  """Returns `translate(variables, source, order)`; `config` is of `source`."""
  entry, target = direction.source, direction.target
  height, width, _ = data.example_shapes(config)[entry]
  most = min(sampling.BATCH_SIZE, max(1, _MAX_PIXELS // (height * width)))
  size = devices.round_up(most)
  keys = {entry, target} if config.name != "unpaired" else {entry}

  def apply(
    variables: Any, batch: tuple[Mapping[str, jax.Array], jax.Array]
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    stored, indices = batch
    images = unaugmented(stored, config)
    inputs = {entry: images[entry]}
    if game.inputs:
      inputs |= sampling.draw_inputs(game, options.seed, indices)
    outputs = game.sample(*variables, inputs, options.batch_statistics)
    pixels = to_uint8(outputs[direction.output])
    pair = images[entry], to_float(pixels)
    translated = Translated(
      *pair,
      target=images.get(target),
      cycle=outputs[direction.cycle] if direction.cycle else None,
      embeddings=game.embed and tuple(game.embed(*variables, x) for x in pair),
    )
    return pixels, tables.values(tables.TRANSLATIONS, translated)

  mapped = devices.filled(devices.data_parallel(apply), size)

  def translate(
    variables: Any, source: data.Source, order: np.ndarray
  ) -> Translations:
    variables = devices.replicate(variables)
    parts = []
    with tqdm(
      total=len(order), desc="translations", unit="image", leave=False
    ) as bar:
      for start in range(0, len(order), size):
        batch = source[order[start : start + size]]
        count = len(batch[entry])
        images = {key: batch[key] for key in keys}
        indices = np.arange(start, start + count)
        pixels, scores = jax.device_get(mapped(variables, (images, indices)))
        labels = batch.get(f"{entry}_label", ())
        parts.append(Translations(pixels, batch[entry], labels, scores))
        bar.update(count)
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)

  return translate


def _evaluate(
  direction: Direction,
  real: Reference | None,
  translate: Callable[[Any, data.Source, np.ndarray], Translations],
  source: data.Source,
  order: np.ndarray,
  variables: Any,
) -> dict[str, Metric]:
  """Returns the metrics of the images of a source that `order` selects."""
  outputs = translate(variables, source, order)
  metrics, identity = {}, direction.name == "identity"
  if real:
    net, labelled = real.net, len(outputs.labels) > 0
    label = {"label": outputs.labels} if labelled else {}

    def collected(images: np.ndarray) -> Statistics:
      batches = sampling.examples(
        ArraySource({"image": images, **label}), np.arange(len(images))
      )
      return collect(net, batches, len(images), "features")

    generated = collected(outputs.images)
    if not net.classes and outputs.sources.shape == outputs.images.shape:
      features = [x.features for x in (collected(outputs.sources), generated)]
      values = tables.values(tables.FEATURES, *features)
      metrics |= tables.metrics(tables.FEATURES, values, {}, net.prefix)
    if net.classes and labelled:
      compared = {"accuracy": generated}
      if outputs.sources.shape == outputs.images.shape and not identity:
        compared["accuracy untranslated"] = collected(outputs.sources)
      real_accuracy = real.protocol["classifier_accuracy"]
      for name, statistics in compared.items():
        value = tables.ACCURACY.function(statistics)
        metrics[net.prefix + name] = Metric(value, real_accuracy, False)
    if not identity:
      metrics |= compare(real, generated)
  scores = {name: float(x.mean()) for name, x in outputs.scores.items()}
  metrics |= tables.metrics(tables.TRANSLATIONS, scores, {})
  prefix = "" if direction.name == "forward" else f"{direction.name} "
  return {prefix + name: metric for name, metric in metrics.items()}
