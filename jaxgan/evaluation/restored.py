"""A trained run, restored from its folder alone."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from jaxgan.config import InputError, first_line
from jaxgan.data import Source
from jaxgan.engine import checkpoint
from jaxgan.engine.devices import AXIS
from jaxgan.engine.input_pipeline import to_uint8
from jaxgan.train import create_algorithm, initial_state
from jaxgan.train_step import Algorithm, TrainState

BATCH = 256  # images at a time, on all devices together


class Run(NamedTuple):
  """What a checkpoint tells: its state is on the host."""

  config: ConfigDict
  algorithm: Algorithm
  state: TrainState


def load(workdir: pathlib.Path, step: str | int | None = None) -> Run:
  """Restores a run on any number of devices; the folder is only read.

  Args:
    workdir: of the run.
    step: the round of a checkpoint, or "best", the one with the lowest
      metric; by default the newest that is whole.

  Raises:
    InputError: where there is no such checkpoint, or none is whole.
  """
  if not (workdir / "checkpoints").is_dir():
    raise InputError(f"{workdir} holds no checkpoints: give a run's folder")
  with checkpoint.open_manager(workdir, read_only=True) as manager:
    steps = sorted(manager.all_steps())
    if not steps:
      raise InputError(f"{workdir} holds no checkpoint yet")
    if step == "best":
      step = manager.best_step()
      if step is None or manager.metrics(step) is None:
        raise InputError(
          f"{workdir} was not evaluated while training, so none of its "
          "checkpoints is the best: train with --config.eval_every"
        )
    elif step is not None and str(step) not in map(str, steps):
      raise InputError(
        f"{workdir} has no checkpoint {step}, but {', '.join(map(str, steps))}"
      )
    step = None if step is None else int(step)
    config = checkpoint.stored_config(manager, step)
    if config is None:
      raise InputError(
        f"no checkpoint in {workdir} can be read: train again, elsewhere"
      )
    try:
      algorithm = create_algorithm(config)
    except (AttributeError, KeyError) as e:
      raise InputError(
        f"{workdir} is a run of another version: {first_line(e)}"
      ) from e
    _, template = initial_state(config, algorithm)
    state = checkpoint.restore(manager, template, step=step, set_aside=False)
  return Run(config, algorithm, state)


def over_devices(function: Callable[..., Any]) -> Callable[..., Any]:
  """Maps `function(variables, batch)` over this process's devices.

  The variables are those of `replicate`; the rows of the batch, `[B, ...]`,
  are split over the devices, of whose number B is a multiple.
  """
  return jax.jit(
    jax.shard_map(
      function,
      mesh=_mesh(),
      in_specs=(P(), P(AXIS)),
      out_specs=P(AXIS),
      check_vma=False,
    )
  )


def shard(batch: Any) -> Any:
  """The rows of a batch, split over this process's devices."""
  return jax.device_put(batch, NamedSharding(_mesh(), P(AXIS)))


def replicate(variables: Any) -> Any:
  """Copies of a pytree on all of this process's devices."""
  return jax.device_put(variables, NamedSharding(_mesh(), P()))


def _mesh() -> Mesh:
  return Mesh(np.array(jax.local_devices()), (AXIS,))


def batch_size(least: int | None = None) -> int:
  """`BATCH` or `least`, or somewhat more where the devices cannot share it."""
  devices = jax.local_device_count()
  return -(-(least or BATCH) // devices) * devices


def sampler(
  algorithm: Algorithm, seed: int, batch_statistics: bool = False
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
  decode = decoder(algorithm, batch_statistics)
  latents = jax.jit(lambda indices: draw(algorithm, seed, indices))
  size = batch_size()

  def sample(variables: Any, count: int) -> Iterator[jax.Array]:
    variables = replicate(variables)
    for start in range(0, count, size):
      images = decode(variables, latents(start + np.arange(size)))
      yield images if count - start >= size else images[: count - start]

  return sample


def draw(algorithm: Algorithm, seed: int, indices: jax.Array) -> jax.Array:
  """The latents `[n, Z]` of samples number `indices` of a seed."""
  # Away from the keys that training draws from the same seed.
  key = jax.random.fold_in(jax.random.key(seed), 0x5A3B1E)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, indices)
  return algorithm.latents(keys)


def decoder(
  algorithm: Algorithm, batch_statistics: bool = False
) -> Callable[[Any, jax.Array], jax.Array]:
  """Returns `decode(variables, latents [B, Z])` to images; see `sampler`.

  It runs on all local devices, of whose number B is a multiple.
  """

  def decode(variables: Any, latents: jax.Array) -> jax.Array:
    batch = {"latent": latents}
    (images,) = algorithm.sample(*variables, batch, batch_statistics).values()
    return to_uint8(images)

  return over_devices(decode)


def examples(source: Source, indices: np.ndarray) -> Iterator[dict[str, Any]]:
  """Batches of a source's examples, in the order of the indices."""
  return (source[part] for part in batches(indices))


def batches(x: np.ndarray) -> Iterator[np.ndarray]:
  """Cuts an array along its first axis into parts of `batch_size()`."""
  size = batch_size()
  return (x[start : start + size] for start in range(0, len(x), size))
