"""Computes embeddings of training images once, and keeps them."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxgan.data import Source
from jaxgan.data.arrays import ArraySource
from jaxgan.data.pixels import to_float
from jaxgan.data.translation import Domain, Unpaired
from jaxgan.engine import startup
from jaxgan.engine.checkpoint import digest
from jaxgan.engine.devices import data_parallel, filled, replicate, round_up
from jaxgan.engine.files import read_arrays
from jaxgan.errors import InputError
from jaxgan.game import Game, TrainState

_BATCH_SIZE = 32  # images at a time, on all devices together


def embed_once(
  config: ConfigDict, game: Game, source: Source, state: TrainState
) -> Source:
  """Returns a source whose images come with `game.embed` of them.

  Each `<side>` in `game.embedded` gets an entry `<side>_embedding`,
  `[N, 1, D]`; with `data.flip` `[N, 2, D]`, the second of the mirrored image.
  The network is frozen, so they never change: they stay in the user's cache
  folder, by the images, the weights and the compiled computation.

  Pairs of images, those of which a margin makes endless variants, and those
  that do not fit into memory stay without; a step then computes what it needs.
  """
  if not (game.embedded and isinstance(source, Unpaired)):
    return source
  if config.data.margin or not source.in_memory:
    return source
  frozen = [
    {player: tree[player] for player in game.pretrained}
    for tree in (state.params, state.model_state)
  ]
  weights, variables = digest(jax.device_get(frozen)), replicate(frozen)
  parts = []
  for part in source.parts:
    arrays = part.source[np.arange(len(part))]
    images = [arrays["image"]]
    if config.data.flip:
      images.append(images[0][:, :, ::-1])
    embed = partial(_embeddings, game, weights, variables, part.side)
    arrays["embedding"] = np.stack([embed(x) for x in images], axis=1)
    parts.append(Domain(ArraySource(arrays), part.side))
  return Unpaired(*parts)


def _embeddings(
  game: Game, weights: str, variables: Any, side: str, images: np.ndarray
) -> np.ndarray:
  """Returns `[N, D]`, from the cache folder if they are there.

  The frozen `variables`, on the devices, have the digest `weights`.
  """
  embed = data_parallel(
    lambda variables, images: game.embed(*variables, to_float(images))
  )
  size = round_up(_BATCH_SIZE)
  batch = jax.ShapeDtypeStruct((size, *images.shape[1:]), images.dtype)
  lowered = embed.lower(variables, batch)
  key = hashlib.sha256(np.ascontiguousarray(images))
  versions = f"{jax.__version__} {jax.default_backend()}"
  key.update(f"{weights} {lowered.as_text()} {versions}".encode())
  name = f"{key.hexdigest()[:24]}.npz"
  path = startup.cache_folder() / "embeddings" / name
  stored = _read(path, (len(images), *lowered.out_info.shape[1:]))
  if stored is None:
    compute = partial(filled(lowered.compile(), size), variables)
    stored = _compute(compute, images, size, side)
    _write(path, stored)
  return stored


def _compute(
  embed: Callable[[jax.Array], jax.Array],
  images: np.ndarray,
  size: int,
  side: str,
) -> np.ndarray:
  """Returns `[N, D]`, computed `size` images at a time."""
  rows = []
  label = f"features of {side} images, once"
  with tqdm(total=len(images), desc=label, unit="image", delay=1) as bar:
    for start in range(0, len(images), size):
      rows.append(np.asarray(embed(images[start : start + size])))
      bar.update(len(rows[-1]))
  return np.concatenate(rows)


def _read(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray | None:
  """Returns the array of a file, or None where there is no whole one."""
  if not path.exists():
    return None
  try:
    stored = read_arrays(path).get("embeddings")
  except InputError as e:
    print(f"computing embeddings again: {e}")
    return None
  return stored if np.shape(stored) == shape else None


def _write(path: pathlib.Path, embeddings: np.ndarray) -> None:
  unfinished = path.with_suffix(f".{os.getpid()}.npz")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(unfinished, embeddings=embeddings)
    unfinished.rename(path)
  except OSError as e:
    with contextlib.suppress(OSError):
      unfinished.unlink()
    print(f"embeddings are not kept: {path}: {e.strerror}; set XDG_CACHE_HOME")
