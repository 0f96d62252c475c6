"""Draws from a trained run: `python -m jaxgan.sample --workdir=DIR ...`."""

import pathlib
import shutil
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from PIL import Image
from scipy.spatial.distance import cdist
from tqdm import tqdm

from jaxgan import cli, data
from jaxgan.engine import devices
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import Batch, sampling_variables
from jaxgan.models.latents import interpolate
from jaxgan.viewing import pictures

_COUNTS = {
  "grid": 64,
  "interpolation": 8,
  "walk": 8,
  "neighbours": 8,
  "folder": 10_000,
}
_WALKS = 16  # beside each other
_NEAREST = 7
_LARGEST = 1000  # images or points of one picture, or frames


def interpolations(
  found: RestoredRun, variables: Any, seed: int, pairs: int, frames: int
) -> np.ndarray:
  """Images `[pairs, frames, H, W, C]` from sample 2i to sample 2i + 1."""
  ends = sampling.draw_inputs(found.game, seed, jnp.arange(2 * pairs))
  latents, t = ends["latent"], jnp.linspace(0, 1, frames)
  latents = interpolate(found.config.latent, latents[::2], latents[1::2], t)
  first = jax.tree.map(lambda x: x[::2], ends)
  return _generate(found, variables, first, latents)


def walks(
  found: RestoredRun, variables: Any, seed: int, stations: int, frames: int
) -> np.ndarray:
  """Images `[16, stations * frames, H, W, C]` of closed ways past samples."""
  ends = sampling.draw_inputs(found.game, seed, jnp.arange(_WALKS * stations))
  latents = ends["latent"].reshape(_WALKS, stations, -1)
  following, t = jnp.roll(latents, -1, 1), jnp.arange(frames) / frames
  latents = interpolate(found.config.latent, latents, following, t)
  first = jax.tree.map(lambda x: x[::stations], ends)
  latents = latents.reshape(_WALKS, -1, latents.shape[-1])
  return _generate(found, variables, first, latents)


def neighbours(
  found: RestoredRun,
  images: np.ndarray,
  inception: str = "",
  classifier: str = "",
) -> np.ndarray:
  """Samples, each before its nearest training images in feature space.

  Args:
    found: the run.
    images: uint8 `[B, H, W, C]`.
    inception: see `features.create`.
    classifier: see `features.create`.

  Returns:
    uint8 `[B, 1 + 7, H, W, C]`.
  """
  net = feature_nets.create(found.config, inception, classifier)

  def embed(batch: np.ndarray) -> np.ndarray:
    return np.asarray(net.apply(net.variables, batch)[0])[: len(batch)]

  own = np.concatenate([embed(x) for x in sampling.batches(images)])
  source = data.create(found.config.data)
  gaps = np.full((len(own), 0), np.inf)
  nearest = np.zeros((len(own), 0), int)
  indices = np.arange(len(source))
  with tqdm(
    total=len(source), desc="training images", unit="image", leave=False
  ) as bar:
    for part in sampling.batches(indices):
      other = embed(source[part]["image"])
      # The nearest so far and those of this batch, of which some stay.
      gaps = np.concatenate([gaps, cdist(own, other)], axis=1)
      part = np.broadcast_to(part, (len(own), len(part)))
      nearest = np.concatenate([nearest, part], axis=1)
      kept = np.argsort(gaps, axis=1, kind="stable")[:, :_NEAREST]
      gaps, nearest = (np.take_along_axis(x, kept, 1) for x in (gaps, nearest))
      bar.update(part.shape[1])
  near = source[nearest.reshape(-1)]["image"]
  near = near.reshape(*nearest.shape, *images.shape[1:])
  return np.concatenate([images[:, None], near], axis=1)


def write_folder(
  images: Iterable[Any], count: int, folder: pathlib.Path
) -> None:
  """Writes uint8 images, in batches, to `00000.png`, ... in a new folder.

  It gets its name when it is complete.

  Raises:
    InputError: where the folder holds something.
  """
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise InputError(f"{folder} holds something: give another --output")
  partial = folder.with_name(f"{folder.name}.partial")
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  with tqdm(total=count, unit="image", leave=False) as bar:
    for batch in images:
      for image in np.asarray(batch):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(partial / f"{bar.n:05d}.png")
        bar.update()
  partial.replace(folder)


def _generate(
  found: RestoredRun, variables: Any, first: Batch, latents: jax.Array
) -> np.ndarray:
  """Returns images `[A, B, H, W, C]` of latents `[A, B, Z]`.

  All other inputs, such as labels, stay those of `first`, `[A, ...]`.
  """
  generate = sampling.generator(found.game)
  variables = devices.replicate(variables)
  rows, columns = latents.shape[:2]
  inputs = jax.tree.map(lambda x: np.repeat(x, columns, axis=0), first)
  inputs["latent"] = np.asarray(latents).reshape(rows * columns, -1)
  images = []
  for part in sampling.batches(np.arange(rows * columns)):
    indices = np.resize(part, sampling.batch_size())
    batch = jax.tree.map(lambda x, i=indices: x[i], inputs)
    images.append(np.asarray(generate(variables, batch))[: len(part)])
  images = np.concatenate(images)
  return images.reshape(rows, columns, *images.shape[1:])


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    run=cli.define_run(),
    kind=flags.DEFINE_string(
      "kind",
      "grid",
      "grid: images; interpolation: rows from one image to another; walk: a "
      "GIF through several; neighbours: images beside the nearest of training; "
      "folder: numbered PNGs.",
    ),
    output=flags.DEFINE_string(
      "output", None, "File to write, or the folder of --kind=folder."
    ),
    count=flags.DEFINE_integer(
      "count",
      None,
      "How many images (grid, 64; neighbours, 8; folder, 10000), rows "
      "(interpolation, 8) or stations (walk, 8).",
    ),
    frames=flags.DEFINE_integer(
      "frames", 10, "Images from one to the next, for interpolation and walk."
    ),
  )


def _check(kind: str, output: str | None, count: int, frames: int) -> None:
  if kind not in _COUNTS:
    raise InputError(f"kind={kind!r}: choose one of {', '.join(_COUNTS)}")
  if not output:
    raise InputError("give --output, what to write")
  suffix = {"walk": ".gif", "folder": ""}.get(kind, ".png")
  if pathlib.Path(output).suffix.lower() != suffix:
    name = f"a name that ends in {suffix}" if suffix else "a folder"
    raise InputError(f"output={output}: give {name} for --kind={kind}")
  if count < 1:
    raise InputError(f"count={count}: give at least 1")
  if frames < 2:
    raise InputError(f"frames={frames}: give at least 2")
  if kind not in ("interpolation", "walk"):
    frames = 1
  if count * frames > _LARGEST and kind != "folder":
    raise InputError(
      f"{count * frames} images in one file: give a --count of at most "
      f"{_LARGEST // frames}"
    )


def main(given: SimpleNamespace) -> None:
  """Writes what the flags ask for."""
  kind, seed = given.kind.value, given.run.seed.value
  count, frames = given.count.value, given.frames.value
  if count is None:
    count = _COUNTS.get(kind, 1)
  _check(kind, given.output.value, count, frames)
  output = pathlib.Path(given.output.value)
  found = cli.restore(given.run)
  mixture = data.mixture(found.config.data)
  if mixture and kind != "grid":
    raise InputError(f"kind={kind!r} needs images, not points: choose 'grid'")
  if mixture and given.count.value is None:
    count = _LARGEST
  sample = sampling.sampler(found.game, seed)
  variables = sampling_variables(found.state, given.run.ema.value)
  output.parent.mkdir(parents=True, exist_ok=True)
  if kind == "folder":
    write_folder(sample(variables, count), count, output)
  elif kind == "walk":
    ways = walks(found, variables, seed, count, frames)
    grids = [pictures.grid(images) for images in ways.swapaxes(0, 1)]
    pictures.animate(grids, output, milliseconds=80, rest=80)
  elif kind == "interpolation":
    rows = interpolations(found, variables, seed, count, frames)
    _save_rows(rows, output)
  else:
    made = np.concatenate(list(map(np.asarray, sample(variables, count))))
    if kind == "grid":
      pictures.picture({"generated": made}, mixture).save(output)
    else:
      networks = given.run.inception.value, given.run.classifier.value
      _save_rows(neighbours(found, made, *networks), output)
  print(f"wrote {output}")


def _save_rows(rows: np.ndarray, output: pathlib.Path) -> None:
  images = rows.reshape(-1, *rows.shape[2:])
  pictures.grid(images, columns=rows.shape[1]).save(output)


if __name__ == "__main__":
  cli.run(main, define)
