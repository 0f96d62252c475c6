"""."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxgan.data import Source
from jaxgan.data.pixels import to_uint8
from jaxgan.engine.devices import data_parallel, replicate
from jaxgan.errors import InputError
from jaxgan.game import Game

BATCH = 256  # images at a time, on all devices together


def batch_size(least: int | None = None) -> int:
  """`BATCH` or `least`, or somewhat more where the devices cannot share it."""
  devices = jax.local_device_count()
  return -(-(least or BATCH) // devices) * devices


def sampler(
  algorithm: Game, seed: int, batch_statistics: bool = False
) -> Callable[[Any, int], Iterator[jax.Array]]:
  """Returns `sample(variables, count)`, an iterator over batches of samples.

  They are on the devices, as stored images are: uint8 `[B, H, W, C]`, or
  points `[B, 2]`. A sample depends on the seed and its number, and with the
  running statistics of batch norm on nothing else.

  Args:
    algorithm: one with latents.
    seed: of the latents.
    batch_statistics: whether batch norm uses the statistics of a batch of
      `batch_size()` in place of the running ones.

  Raises:
    InputError: where the algorithm does not sample from noise.
  """
  if algorithm.directions:
    raise InputError(
      "this run translates images, it does not sample from noise: use python "
      "-m jaxgan.translate"
    )
  if algorithm.latents is None:
    raise InputError("this run does not sample from noise")
  decode = generator(algorithm, batch_statistics)
  latents = jax.jit(lambda indices: draw_inputs(algorithm, seed, indices))
  size = batch_size()

  def sample(variables: Any, count: int) -> Iterator[jax.Array]:
    variables = replicate(variables)
    for start in range(0, count, size):
      images = decode(variables, latents(start + np.arange(size)))
      yield images if count - start >= size else images[: count - start]

  return sample


def draw_inputs(algorithm: Game, seed: int, indices: jax.Array) -> jax.Array:
  """The latents `[n, Z]` of samples number `indices` of a seed."""
  # Away from the keys that training draws from the same seed.
  key = jax.random.fold_in(jax.random.key(seed), 0x5A3B1E)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, indices)
  return algorithm.latents(keys)


def generator(
  algorithm: Game, batch_statistics: bool = False
) -> Callable[[Any, jax.Array], jax.Array]:
  """Returns `decode(variables, latents [B, Z])` to images; see `sampler`.

  It runs on all local devices, of whose number B is a multiple.
  """

  def decode(variables: Any, latents: jax.Array) -> jax.Array:
    batch = {"latent": latents}
    (images,) = algorithm.sample(*variables, batch, batch_statistics).values()
    return to_uint8(images)

  return data_parallel(decode)


def examples(source: Source, indices: np.ndarray) -> Iterator[dict[str, Any]]:
  """Batches of a source's examples, in the order of the indices."""
  return (source[part] for part in batches(indices))


def batches(x: np.ndarray) -> Iterator[np.ndarray]:
  """Cuts an array along its first axis into parts of `batch_size()`."""
  size = batch_size()
  return (x[start : start + size] for start in range(0, len(x), size))
