"""Where examples come from: `create(config.data)` returns a source.

A source knows its length, and `source[indices]`, with an integer array
`[B]`, is a dict of arrays: `image`, uint8 `[B, H, W, C]` (or float32 points
`[B, D]`), and `label`, int32 `[B]`, where there are labels. For translation,
`source` and `target` are the images, and `source_label` and `target_label`
their labels.
"""

import contextlib
import re
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from jaxgan.checks import at_least
from jaxgan.data import builtin, translation
from jaxgan.data.arrays import ArraySource
from jaxgan.data.dataset import Source
from jaxgan.data.mixtures import Mixture
from jaxgan.data.translation import SIDES, domain
from jaxgan.errors import InputError

__all__ = ["SIDES", "Source", "domain"]


def is_translation(config: ConfigDict) -> bool:
  """Returns whether examples have a `source` and a `target`, not an `image`."""
  return "source" in config


def is_stacked(config: ConfigDict) -> bool:
  """Returns whether each channel of an image is an image with a label."""
  return builtin.find(config.name).stacked


def mixture(config: ConfigDict) -> Mixture | None:
  """Returns the distribution that points are drawn from; None for images."""
  return builtin.find(config.name).mixture


def classes(config: ConfigDict) -> int:
  """Returns the number of labels, which are 0, 1, ...; 0 if there are none."""
  return builtin.find(config.name).classes(config)


def example_shapes(config: ConfigDict) -> dict[str, tuple[int, ...]]:
  """Returns `example_shape` by the images' names in a batch."""
  if not is_translation(config):
    return {"image": example_shape(config)}
  at_least("data.margin", config.margin, 0)
  shapes = {}
  for side in SIDES:
    part = domain(config, side)
    if mixture(part):
      raise InputError(f"data.{side}.name={part.name!r}: give a set of images")
    with _names_domain(side):
      shapes[side] = example_shape(part)
  return shapes


def example_shape(config: ConfigDict) -> tuple[int, ...]:
  """Returns the shape of one example: `(H, W, C)`, or `(2,)` for points.

  Raises:
    InputError: where no images could be of that shape, or an example is two.
  """
  if is_translation(config):
    raise InputError(
      "this algorithm takes single images, not pairs: choose a preset of "
      "single images"
    )
  return builtin.find(config.name).shape(config)


def create(config: ConfigDict) -> Source:
  """Returns the source named `config.name`.

  It is an object of `builtin.py`, or a set of TensorFlow Datasets, prepared
  below `config.path` (by default `$TFDS_DATA_DIR`, or
  `~/tensorflow_datasets`). For translation, "unpaired" is two of these,
  "outlines" the outlines of digits with the digits, and "pairs" files; see
  `translation.pairs`.

  Raises:
    InputError: where there is no such set, or it does not fit the config.
  """
  example_shapes(config)  # for its checks
  if not is_translation(config):
    return builtin.find(config.name).create(config)
  parts = {side: domain(config, side) for side in SIDES}
  for part in parts.values():
    part.margin = config.margin
  if config.name == "pairs":
    return translation.pairs(config, parts)
  domains = []
  for side, part in parts.items():
    with _names_domain(side):
      domains.append(translation.Domain(create(part), side))
  if config.name == "unpaired":
    return translation.Unpaired(*domains)
  translation.check_equal(config, "split")
  first, second = (part[np.arange(len(part))] for part in domains)
  return ArraySource(first | second)


def one_side(config: ConfigDict, side: str) -> Source:
  """Returns a source of one domain; of pairs, with the other side too."""
  if config.name == "unpaired":
    return translation.Domain(create(domain(config, side)), side)
  return create(config)


@contextlib.contextmanager
def _names_domain(side: str) -> Iterator[None]:
  """Makes errors name the keys of a domain, such as data.source.path."""
  try:
    yield
  except InputError as e:
    keys = r"\bdata\.(?=(name|path|split|channels|pad)\b)"
    raise InputError(re.sub(keys, f"data.{side}.", str(e))) from e


def held_out(config: ConfigDict) -> ConfigDict | None:
  """Returns the data config of the held-out images, or None.

  See `DataSet.held_out`. For translation, both domains need such images; there
  is no margin.
  """
  other = config.copy_and_resolve_references()
  parts = [(config, other)]
  if is_translation(config):
    other.margin = 0
    parts = [(domain(config, side), other[side]) for side in SIDES]
  for part, entry in parts:
    changes = builtin.find(part.name).held_out(part)
    if changes is None:
      return None
    if "half" in part:
      other.path = changes.pop("path")
    entry.update(changes)
  return other
