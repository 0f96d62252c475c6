"""Trained runs as the page of `jaxgan.demo` shows them."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image, ImageOps

from jaxgan import checks, data
from jaxgan.data import folders, images
from jaxgan.data.order import shuffled_indices
from jaxgan.engine import devices
from jaxgan.errors import InputError
from jaxgan.evaluation import restored, sampling
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import Batch, sampling_variables
from jaxgan.models import latents
from jaxgan.viewing import pictures

EXAMPLES = 8
LARGEST = 4096  # pixels of an image's side
BYTES = 10 << 20  # of a file
SAMPLES = 64  # at most


class Entry(NamedTuple):
  """A run on the page, in a tab with its name."""

  name: str
  workdir: pathlib.Path
  run: RestoredRun
  examples: Sequence[pathlib.Path] = ()  # of the source; else held-out ones


def load(
  workdirs: Sequence[str], step: str | None = None, examples: str | None = None
) -> list[Entry]:
  """Restores the runs of a page, with a folder of `examples` of the source.

  Raises:
    InputError: where there is none, one neither samples nor translates, the
      folder has no images, or no run translates any.
  """
  if not workdirs:
    raise InputError("give --workdir=DIR, the folder of a run, once or more")
  files = folders.paths(examples)[:EXAMPLES] if examples else ()
  entries = []
  for workdir in map(pathlib.Path, workdirs):
    run = restored.load(workdir, step)
    if not run.game.directions and not run.game.inputs:
      raise InputError(
        f"{workdir} is a run of {run.config.algorithm!r}, which makes no images"
      )
    if workdir.resolve() in {entry.workdir.resolve() for entry in entries}:
      raise InputError(f"--workdir={workdir} is given twice")
    name = workdir.resolve().name
    if name in {entry.name for entry in entries}:
      name = str(workdir)
    entries.append(Entry(name, workdir, run, files))
  if examples and not any(entry.run.game.directions for entry in entries):
    raise InputError("--examples: no run here translates images")
  return entries


def describe(run: RestoredRun) -> str:
  """Returns the model, step and data of a run in a sentence."""
  config, shapes = run.config, data.example_shapes(run.config.data)
  names = [config.data.get("name", "")]
  if run.game.directions:
    names = [data.domain(config.data, side).name for side in data.SIDES]
  about = " -> ".join("own images" if x == "folder" else x for x in names)
  size = "x".join(map(str, next(iter(shapes.values()))[:2]))
  count = optax.tree.size(run.state.params["generator"])
  loss = f" ({config.loss.name})" if "loss" in config else ""
  return (
    f"{config.algorithm}{loss}, step {int(run.state.step):,}, of {about} at "
    f"{size}; generator {config.generator.name} of {count:,} parameters"
  )


def examples(entry: Entry, domain: str) -> list[Image.Image]:
  """Returns images of a domain: the entry's, the run's, held-out ones or none.

  They are as a user has them: with the border that training cuts off, and
  without the one that it adds.
  """
  config = entry.run.config.data
  files = sorted((entry.workdir / "examples" / domain).glob("*.png"))
  if entry.examples and domain == "source":
    files = entry.examples
  if files:
    channels = data.example_shapes(config)[domain][-1]
    return [open_image(path, channels, str(path)) for path in files]
  try:
    config = data.held_out(config) or config
    source = data.one_side(config, domain)
  except InputError:
    return []
  count = min(EXAMPLES, len(source))
  arrays = source[shuffled_indices(0, np.arange(count), len(source))][domain]
  pixels = (x[..., 0] if x.shape[-1] == 1 else x for x in arrays)
  return [bordered(Image.fromarray(x), config[domain].pad) for x in pixels]


def open_image(
  path: str | pathlib.Path, channels: int, name: str = "the file"
) -> Image.Image:
  """Opens a file; raises an `InputError` if it is no image or too large."""
  file = pathlib.Path(path)
  if file.stat().st_size > BYTES:
    raise InputError(f"{name} has more than {BYTES >> 20} MiB")
  return images.open_image(file.read_bytes(), name, channels, LARGEST)


def translates_faces(run: RestoredRun) -> bool:
  """Returns whether a run translates faces as FaceNet knows them."""
  return run.config.get("features", {}).get("network", {}).get("name") == (
    "facenet"
  )


def sampler(
  run: RestoredRun, ema: bool = True
) -> Callable[[int, int, float, float, int], Image.Image]:
  """Returns `sample(seed, count, bound, position, toward)`, a picture.

  Sample i is that of the seed, with no latent above `bound` in absolute value,
  moved to `position` in [0, 1] of the way to sample i of the seed `toward`.
  """
  size = devices.round_up(SAMPLES)
  generate = sampling.generator(run.game)
  variables = devices.replicate(sampling_variables(run.state, ema))
  mixture, prior = data.mixture(run.config.data), run.config.latent

  @jax.jit
  def draw(seeds: jax.Array, bound: float, position: float) -> Batch:
    inputs = [
      sampling.draw_inputs(run.game, seed, jnp.arange(size)) for seed in seeds
    ]
    ends = [latents.truncate(prior, x["latent"], bound) for x in inputs]
    latent = latents.interpolate(prior, *ends, position[None])[:, 0]
    return {**inputs[0], "latent": latent}

  def sample(
    seed: int, count: int, bound: float, position: float, toward: int
  ) -> Image.Image:
    checks.seed("seed", seed)
    checks.seed("other seed", toward)
    seeds = jnp.array([seed, toward], jnp.uint32)
    samples = generate(variables, draw(seeds, bound, jnp.float32(position)))
    samples = np.asarray(samples)[: int(count)]
    if mixture:
      return pictures.picture({"generated": samples}, mixture)
    return pictures.grid(samples)

  return sample


def bordered(image: Image.Image, pad: int) -> Image.Image:
  """Undoes the effect of `data.pad` on an image."""
  fill = image.getpixel((0, 0)) if pad < 0 else 0
  return ImageOps.expand(image, -pad, fill)


def dark(examples: Sequence[Image.Image], channels: int) -> bool:
  """Returns whether images have a dark border; of none, whether they are grey.

  Grey images are digits, more often than not.
  """
  border = []
  for x in (np.asarray(image.convert("L")) for image in examples):
    border += [x[0], x[-1], x[:, 0], x[:, -1]]
  if not border:
    return channels == 1
  return np.concatenate(border).mean() < 128


def save(examples: Sequence[Image.Image], folder: pathlib.Path) -> list[str]:
  """Writes images as `0.png`, ... to a folder, and returns their paths.

  They get sides of at most 512 pixels, so that the page can open the files.
  """
  paths = [str(folder / f"{i}.png") for i in range(len(examples))]
  for path, image in zip(paths, examples, strict=True):
    image.thumbnail((512, 512))
    image.save(path)
  return paths
