"""Draws from a trained run: `python -m jaxgan.sample --workdir=DIR ...`."""

import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from PIL import Image
from scipy.spatial.distance import cdist
from tqdm import tqdm

from jaxgan import command, data, features, pictures, run
from jaxgan.config import InputError
from jaxgan.data.batches import to_float
from jaxgan.latents import interpolate
from jaxgan.run import Run
from jaxgan.train_step import sampling_variables

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_KIND = flags.DEFINE_string(
  "kind",
  "grid",
  "grid: images; interpolation: rows from one image to another; walk: a GIF "
  "through several; neighbours: images beside the nearest of training; "
  "folder: numbered PNGs.",
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "File to write, or the folder of --kind=folder."
)
_COUNT = flags.DEFINE_integer(
  "count",
  None,
  "How many images (grid, 64; neighbours, 8; folder, 10000), rows "
  "(interpolation, 8) or stations (walk, 8).",
)
_STEP = flags.DEFINE_string(
  "step", None, "Round of the checkpoint, or 'best'; by default the newest."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the latents.")
_EMA = flags.DEFINE_bool("ema", True, "Whether to use the averaged weights.")
_FRAMES = flags.DEFINE_integer(
  "frames", 10, "Images from one to the next, for interpolation and walk."
)
_INCEPTION = flags.DEFINE_string(
  "inception", "", "File of Inception's weights, for neighbours."
)

_COUNTS = {
  "grid": 64,
  "interpolation": 8,
  "walk": 8,
  "neighbours": 8,
  "folder": 10_000,
}
_WALKS = 16  # beside each other
_NEAREST = 7


def draw(found: Run, variables: Any, seed: int, count: int) -> np.ndarray:
  """Samples 0 to `count - 1` of a seed: uint8 images, or points `[B, 2]`."""
  sample = run.sampler(found.algorithm, seed)
  return np.concatenate([np.asarray(x) for x in sample(variables, count)])


def interpolations(
  found: Run, variables: Any, seed: int, pairs: int, frames: int
) -> np.ndarray:
  """Images `[pairs, frames, H, W, C]` from sample 2i to sample 2i + 1."""
  ends = run.draw(found.algorithm, seed, jnp.arange(2 * pairs))
  t = jnp.linspace(0, 1, frames)
  latents = interpolate(found.config.latent, ends[::2], ends[1::2], t)
  return _decode(found, variables, latents)


def walks(
  found: Run, variables: Any, seed: int, stations: int, frames: int
) -> np.ndarray:
  """Images `[16, stations * frames, H, W, C]` of closed ways past samples."""
  ends = run.draw(found.algorithm, seed, jnp.arange(_WALKS * stations))
  ends = ends.reshape(_WALKS, stations, -1)
  t = jnp.arange(frames) / frames
  latents = interpolate(found.config.latent, ends, jnp.roll(ends, -1, 1), t)
  return _decode(found, variables, latents.reshape(_WALKS, -1, ends.shape[-1]))


def neighbours(
  found: Run, images: np.ndarray, inception: str = ""
) -> np.ndarray:
  """Samples, each before its nearest training images in feature space.

  Args:
    found: the run.
    images: uint8 `[B, H, W, C]`.
    inception: see `features.create`.

  Returns:
    uint8 `[B, 1 + 7, H, W, C]`.
  """
  net = features.create(found.config, inception)

  def embed(batch: np.ndarray) -> np.ndarray:
    return np.asarray(net.apply(net.variables, batch)[0])[: len(batch)]

  own = np.concatenate([embed(x) for x in _batches(images)])
  source = data.create(found.config.data)
  gaps = np.full((len(own), 0), np.inf)
  nearest = np.zeros((len(own), 0), int)
  indices = np.arange(len(source))
  with tqdm(
    total=len(source), desc="training images", unit="image", leave=False
  ) as bar:
    for part in _batches(indices):
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

  Raises:
    InputError: where the folder holds something.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if any(folder.iterdir()):
    raise InputError(f"{folder} is not empty: give another --output")
  with tqdm(total=count, unit="image", leave=False) as bar:
    for batch in images:
      for image in np.asarray(batch):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(folder / f"{bar.n:05d}.png")
        bar.update()


def _decode(found: Run, variables: Any, latents: jax.Array) -> np.ndarray:
  """Images `[A, B, H, W, C]` for latents `[A, B, Z]`."""
  decode, variables = run.decoder(found.algorithm), run.replicate(variables)
  flat = np.asarray(latents).reshape(-1, latents.shape[-1])
  images = []
  for part in _batches(flat):
    full = np.resize(part, (run.batch_size(), *part.shape[1:]))
    images.append(np.asarray(decode(variables, full))[: len(part)])
  images = np.concatenate(images)
  return images.reshape(*latents.shape[:2], *images.shape[1:])


def _batches(x: np.ndarray) -> Iterable[np.ndarray]:
  size = run.batch_size()
  return (x[start : start + size] for start in range(0, len(x), size))


def _check(kind: str, output: str | None, count: int) -> None:
  if kind not in _COUNTS:
    raise InputError(f"kind={kind!r}: choose one of {', '.join(_COUNTS)}")
  if not _WORKDIR.value or not output:
    raise InputError("give --workdir=DIR, the folder of a run, and --output")
  suffix = {"walk": ".gif", "folder": ""}.get(kind, ".png")
  if pathlib.Path(output).suffix.lower() != suffix:
    name = f"a name that ends in {suffix}" if suffix else "a folder"
    raise InputError(f"output={output}: give {name} for --kind={kind}")
  largest = 10**9 if kind == "folder" else 1000
  for key, value, least, most in (
    ("count", count, 1, largest),
    ("frames", _FRAMES.value, 2, 100),
    ("seed", _SEED.value, 0, 2**32 - 1),
  ):
    if not least <= value <= most:
      raise InputError(f"{key}={value}: give {least} to {most}")


def main() -> None:
  """Writes what the flags ask for."""
  kind, seed = _KIND.value, _SEED.value
  count = _COUNTS.get(kind) if _COUNT.value is None else _COUNT.value
  _check(kind, _OUTPUT.value, count)
  output = pathlib.Path(_OUTPUT.value)
  found = run.load(pathlib.Path(_WORKDIR.value), _STEP.value)
  if found.config.data.name in data.MIXTURES and kind != "grid":
    raise InputError(f"kind={kind!r} needs images, not points: choose 'grid'")
  sample = run.sampler(found.algorithm, seed)
  variables = sampling_variables(found.state, _EMA.value)
  output.parent.mkdir(parents=True, exist_ok=True)
  if kind == "folder":
    write_folder(sample(variables, count), count, output)
  elif kind == "grid":
    made = draw(found, variables, seed, count)
    pictures.picture({"generated": to_float(made)}).save(output)
  elif kind == "walk":
    ways = to_float(walks(found, variables, seed, count, _FRAMES.value))
    frames = [pictures.grid(images) for images in ways.swapaxes(0, 1)]
    pictures.animate(frames, output, milliseconds=80, rest=80)
  else:
    if kind == "interpolation":
      rows = interpolations(found, variables, seed, count, _FRAMES.value)
    else:
      made = draw(found, variables, seed, count)
      rows = neighbours(found, made, _INCEPTION.value)
    columns = rows.shape[1]
    images = to_float(rows.reshape(-1, *rows.shape[2:]))
    pictures.grid(images, columns=columns).save(output)
  print(f"wrote {output}")


if __name__ == "__main__":
  command.run(main)
