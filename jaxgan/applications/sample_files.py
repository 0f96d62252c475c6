"""Pictures and folders of a trained run's samples."""

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.distance import cdist
from tqdm import tqdm

from jaxgan import data
from jaxgan.applications import latent_walks
from jaxgan.engine.files import new_folder
from jaxgan.errors import InputError
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import sampling_variables
from jaxgan.viewing import pictures

# By kind, how many by default.
COUNTS = {
  "grid": 64, "interpolation": 8, "walk": 8, "neighbours": 8, "folder": 10_000
}  # fmt: skip
_SUFFIXES = {"walk": ".gif", "folder": ""}
_NEIGHBOURS = 7  # of an image
_MAX_IMAGES = 1000  # or points of one picture, or frames


def check(
  kind: str, output: str | None, count: int | None, frames: int
) -> None:
  """Refuses arguments of `write` that cannot work with any run."""
  if not output:
    raise InputError("give --output, what to write")
  suffix = _SUFFIXES.get(kind, ".png")
  if pathlib.Path(output).suffix.lower() != suffix:
    name = f"a name that ends in {suffix}" if suffix else "a folder"
    raise InputError(f"output={output}: give {name} for --kind={kind}")
  if kind not in ("interpolation", "walk"):
    frames = 1
  images = (count or COUNTS[kind]) * frames
  if images > _MAX_IMAGES and kind != "folder":
    raise InputError(
      f"{images} images in one file: give a --count of at most "
      f"{_MAX_IMAGES // frames}"
    )


def write(
  run: RestoredRun,
  output: pathlib.Path,
  kind: str = "grid",
  count: int | None = None,
  frames: int = 10,
  seed: int = 0,
  ema: bool = True,
  features: str = "",
) -> None:
  """Writes samples of a run to a file or folder.

  Args:
    run: the run.
    output: the file, or the folder for the kind "folder".
    kind: see the flag of `jaxgan.sample`.
    count: number of images, rows or stations; see `COUNTS`.
    frames: images from one to the next, for "interpolation" and "walk".
    seed: of the latents.
    ema: whether to use averaged weights.
    features: see `feature_nets.create`.

  Raises:
    InputError: where the run has no such samples.
  """
  mixture = data.mixture(run.config.data)
  if mixture and kind != "grid":
    raise InputError(f"kind={kind!r} needs images, not points: choose 'grid'")
  if count is None:
    count = _MAX_IMAGES if mixture else COUNTS[kind]
  sample = sampling.sampler(run.game, seed)
  variables = sampling_variables(run.state, ema)
  output.parent.mkdir(parents=True, exist_ok=True)
  if kind == "folder":
    write_folder(sample(variables, count), count, output)
    return
  if kind == "walk":
    walks = latent_walks.walks(run, variables, seed, count, frames)
    grids = [pictures.grid(images) for images in walks.swapaxes(0, 1)]
    pictures.animate(grids, output, milliseconds=80, rest=80)
    return
  if kind == "interpolation":
    rows = latent_walks.interpolations(run, variables, seed, count, frames)
  else:
    images = np.concatenate(list(map(np.asarray, sample(variables, count))))
    if kind == "grid":
      pictures.picture({"generated": images}, mixture).save(output)
      return
    rows = nearest(run, images, features)
  images = rows.reshape(-1, *rows.shape[2:])
  pictures.grid(images, columns=rows.shape[1]).save(output)


def write_folder(
  images: Iterable[Any], count: int, folder: pathlib.Path
) -> None:
  """Writes uint8 images, in batches, to `00000.png`, ... in a new folder.

  Raises:
    InputError: where the folder holds something.
  """
  with (
    new_folder(folder, "--output") as partial,
    tqdm(total=count, unit="image", leave=False) as bar,
  ):
    for i, image in enumerate(x for batch in images for x in np.asarray(batch)):
      pixels = image[..., 0] if image.shape[-1] == 1 else image
      Image.fromarray(pixels).save(partial / f"{i:05d}.png")
      bar.update()


def nearest(
  run: RestoredRun, images: np.ndarray, features: str = ""
) -> np.ndarray:
  """Returns samples, each before its nearest training images in feature space.

  Images are uint8 `[B, H, W, C]`, and the result `[B, 1 + 7, H, W, C]`. See
  `feature_nets.create` for `features`.
  """
  net = feature_nets.create(run.config.data, features)

  def embed(batch: np.ndarray) -> np.ndarray:
    return np.asarray(net.apply(net.variables, batch)[0])

  features = np.concatenate([embed(x) for x in sampling.batches(images)])
  source = data.create(run.config.data)
  distances = np.zeros((len(features), 0))
  indices = np.zeros((len(features), 0), int)
  options = {"desc": "training images", "unit": "image", "leave": False}
  with tqdm(total=len(source), **options) as bar:
    for part in sampling.batches(np.arange(len(source))):
      # The nearest so far and those of this batch, of which some stay.
      others = cdist(features, embed(source[part]["image"]))
      distances = np.concatenate([distances, others], axis=1)
      repeated = np.broadcast_to(part, others.shape)
      indices = np.concatenate([indices, repeated], axis=1)
      order = np.argsort(distances, axis=1, kind="stable")[:, :_NEIGHBOURS]
      distances = np.take_along_axis(distances, order, 1)
      indices = np.take_along_axis(indices, order, 1)
      bar.update(len(part))
  neighbours = source[indices.reshape(-1)]["image"]
  neighbours = neighbours.reshape(*indices.shape, *images.shape[1:])
  return np.concatenate([images[:, None], neighbours], axis=1)
