"""Pictures of a run's samples, while it trains and when it is complete."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from jaxgan import data
from jaxgan.data.order import shuffled_indices
from jaxgan.data.pixels import unaugmented
from jaxgan.engine.logs import rows
from jaxgan.game import Batch, Game
from jaxgan.viewing import pictures

_MAX_FRAMES = 50  # of a GIF


def examples(source: data.Source, config: ConfigDict) -> Batch:
  """Returns the first examples that training meets, as many as are drawn."""
  count = min(_count(config), len(source))
  indices = shuffled_indices(config.seed, np.arange(count), len(source))
  return unaugmented(source[indices], config.data)


def create(
  config: ConfigDict, game: Game, batch: Batch, rng: jax.Array
) -> Callable[[Any], Image.Image | None]:
  """Returns `draw(variables)`, a picture of samples beside real examples.

  It returns None for a game without samples.

  Args:
    config: of the run.
    game: of the run.
    batch: see `examples`.
    rng: a key, of what the samples are made from.
  """
  sample, mixture = jax.jit(game.sample), data.mixture(config.data)
  real = {"real": batch["image"]} if "image" in batch else {}
  if game.inputs:
    keys = jax.random.split(rng, len(next(iter(batch.values()))))
    batch = {**batch, **game.inputs(keys)}

  def draw(variables: Any) -> Image.Image | None:
    samples = sample(*variables, batch)
    return pictures.picture({**real, **samples}, mixture) if samples else None

  return draw


def summarize(workdir: pathlib.Path) -> None:
  """Draws a complete run's metrics, `curves.png`, and `samples.gif`."""
  pictures.curves({workdir.name: rows(workdir)}, workdir / "curves.png")
  if samples := sorted((workdir / "samples").glob("*.png")):
    interval = -(-len(samples) // _MAX_FRAMES)
    frames = map(Image.open, samples[::-interval][::-1])
    pictures.animate(frames, workdir / "samples.gif")


def _count(config: ConfigDict) -> int:
  """Returns how many examples a picture shows.

  Images are a grid with sides of at most 1024 pixels, or half of that where
  several grids are to be compared.
  """
  if data.mixture(config.data):
    return 2048
  most, side = (16, 512) if data.is_translation(config.data) else (64, 1024)
  largest = max(map(max, data.example_shapes(config.data).values()))
  return min(most, max(4, (side // largest) ** 2))
