"""Images between samples of a trained run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.engine import devices
from jaxgan.evaluation import sampling
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import Batch
from jaxgan.models.latents import interpolate

_WALKS = 16  # beside each other


def interpolations(
  run: RestoredRun, variables: Any, seed: int, pairs: int, frames: int
) -> np.ndarray:
  """Returns `[pairs, frames, H, W, C]` from sample 2i to sample 2i + 1."""
  inputs = sampling.draw_inputs(run.game, seed, jnp.arange(2 * pairs))
  ends, t = inputs["latent"], jnp.linspace(0, 1, frames)
  latents = interpolate(run.config.latent, ends[::2], ends[1::2], t)
  first = jax.tree.map(lambda x: x[::2], inputs)
  return _generate(run, variables, first, latents)


def walks(
  run: RestoredRun, variables: Any, seed: int, stations: int, frames: int
) -> np.ndarray:
  """Returns `[16, stations * frames, H, W, C]`, closed walks past samples."""
  inputs = sampling.draw_inputs(run.game, seed, jnp.arange(_WALKS * stations))
  ends = inputs["latent"].reshape(_WALKS, stations, -1)
  following, t = jnp.roll(ends, -1, 1), jnp.arange(frames) / frames
  latents = interpolate(run.config.latent, ends, following, t)
  first = jax.tree.map(lambda x: x[::stations], inputs)
  latents = latents.reshape(_WALKS, -1, ends.shape[-1])
  return _generate(run, variables, first, latents)


def _generate(
  run: RestoredRun, variables: Any, first: Batch, latents: jax.Array
) -> np.ndarray:
  """Returns `[A, B, H, W, C]` of latents `[A, B, Z]`, else the first inputs."""
  size = sampling.batch_size()
  generate = devices.filled(sampling.generator(run.game), size)
  variables = devices.replicate(variables)
  rows, columns = latents.shape[:2]
  inputs = jax.tree.map(lambda x: np.repeat(x, columns, axis=0), first)
  inputs["latent"] = np.asarray(latents).reshape(rows * columns, -1)
  images = []
  for part in sampling.batches(np.arange(rows * columns)):
    batch = jax.tree.map(lambda x, i=part: x[i], inputs)
    images.append(np.asarray(generate(variables, batch)))
  images = np.concatenate(images)
  return images.reshape(rows, columns, *images.shape[1:])
