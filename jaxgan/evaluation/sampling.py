"""Samples of trained games, in batches and on all devices of a process."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxgan.data import Source
from jaxgan.data.pixels import to_uint8
from jaxgan.engine.devices import data_parallel, replicate, round_up
from jaxgan.errors import InputError
from jaxgan.game import Batch, Game

BATCH_SIZE = 256  # images at a time, on all devices together


def batch_size() -> int:
  """Returns `BATCH_SIZE`, rounded up to share among devices."""
  return round_up(BATCH_SIZE)


def sampler(
  game: Game, seed: int, batch_statistics: bool = False
) -> Callable[[Any, int], Iterator[jax.Array]]:
  """Returns `sample(variables, count)`, an iterator over batches of samples.

  Batches are on the devices, and like stored images: uint8 `[B, H, W, C]`, or
  points `[B, 2]`. A sample depends on the seed and its number, and with the
  running statistics of batch norm on nothing else.

  With `batch_statistics`, batch norm uses those of a batch of `batch_size()`.

  Raises:
    InputError: where the game does not sample from noise.
  """
  if game.directions:
    raise InputError(
      "this run translates images, it does not sample from noise: use python "
      "-m jaxgan.translate"
    )
  if game.inputs is None:
    raise InputError("this run does not sample from noise")
  generate = generator(game, batch_statistics)
  inputs = jax.jit(lambda indices: draw_inputs(game, seed, indices))
  size = batch_size()

  def sample(variables: Any, count: int) -> Iterator[jax.Array]:
    variables = replicate(variables)
    for start in range(0, count, size):
      images = generate(variables, inputs(start + np.arange(size)))
      yield images if count - start >= size else images[: count - start]

  return sample


def draw_inputs(game: Game, seed: int, indices: jax.Array) -> Batch:
  """Returns the inputs of the samples of a seed with these indices `[n]`."""
  # Away from the keys that training draws from the same seed.
  key = jax.random.fold_in(jax.random.key(seed), 0x5A3B1E)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, indices)
  return game.inputs(keys)


def generator(
  game: Game, batch_statistics: bool = False
) -> Callable[[Any, Batch], jax.Array]:
  """Returns `generate(variables, inputs)`, the images of B inputs.

  It runs on all local devices, of whose number B is a multiple.
  """

  def generate(variables: Any, inputs: Batch) -> jax.Array:
    (images,) = game.sample(*variables, inputs, batch_statistics).values()
    return to_uint8(images)

  return data_parallel(generate)


def examples(source: Source, indices: np.ndarray) -> Iterator[dict[str, Any]]:
  """Yields batches of a source's examples, in the order of the indices."""
  return (source[part] for part in batches(indices))


def batches(x: np.ndarray) -> Iterator[np.ndarray]:
  """Yields parts of `batch_size()` of an array along its first axis."""
  size = batch_size()
  return (x[start : start + size] for start in range(0, len(x), size))
