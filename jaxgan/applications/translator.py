"""Translates images by a trained run.

An image keeps its size, but where a network makes images of one size, as DTN's
does: it gets the central part that training would have cut out, and only that
is translated. By default an image is brought to the scale of the training
images for the network, and its translation back, since a network knows no other
scale.
"""

import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from optax.losses import cosine_similarity
from PIL import Image
from tqdm import tqdm

from jaxgan import data
from jaxgan.checks import one_of
from jaxgan.data import folders, images
from jaxgan.data.pixels import to_float, to_uint8
from jaxgan.engine.files import refuse_contents
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import Direction, sampling_variables

_MAX_PIXELS = 1 << 22  # of an image for the network

_Size = tuple[int, int]  # width and height
# From float images `[1, H, W, C]` to uint8 ones, and the similarity, if any.
_Network = Callable[[jax.typing.ArrayLike], tuple[jax.Array, jax.Array | None]]


class Translation(NamedTuple):
  """An image, translated.

  Attributes:
    image: the translation.
    similarity: the cosine of the angle between its features and the source's;
      None where the run has none.
  """

  image: Image.Image
  similarity: float | None


def create(
  run: RestoredRun,
  direction: str = "forward",
  seed: int = 0,
  ema: bool = True,
  deterministic: bool = False,
  native: bool = False,
) -> Callable[[Image.Image], Translation]:
  """Returns a function that translates an image.

  It takes images as `images.open_image` returns them for `channels`, and
  raises an `InputError` where one is too small or too large.

  Args:
    run: one that translates.
    direction: the name of one of `Game.directions`.
    seed: of the noise, where there is any; the same for every image.
    ema: whether to use averaged weights.
    deterministic: whether to leave the noise out, and use the running
      statistics of batch norm.
    native: whether the network sees images as they are, not at the scale of the
      training images.

  Raises:
    InputError: where the run does not translate in this direction.
  """
  chosen = find_direction(run, direction)
  height, width, channels = data.example_shapes(run.config.data)[chosen.source]
  domain = data.domain(run.config.data, chosen.source)
  network = _network(run, chosen, seed, ema, deterministic)
  larger = jax.ShapeDtypeStruct((1, 2 * height, 2 * width, channels), "float32")
  translation, _ = jax.eval_shape(network, larger)
  size = width, height
  if translation.shape[1:3] == larger.shape[1:3]:
    return partial(_translate_all, network, size, domain.pad, native)
  if native:
    raise InputError(
      f"this network knows images of {width}x{height} alone: leave --native out"
    )
  return partial(_translate_center, network, size, domain)


def find_direction(run: RestoredRun, name: str) -> Direction:
  """Returns the direction of that name.

  Raises:
    InputError: where the run does not translate in this direction.
  """
  directions = {direction.name: direction for direction in run.game.directions}
  if not directions:
    raise InputError(
      f"a run of {run.config.algorithm!r} does not translate images: give one "
      "of cyclegan, pix2pix, l1_translation or dtn"
    )
  one_of("direction", name, directions)
  return directions[name]


def channels(run: RestoredRun, direction: str) -> int:
  """Returns the number of channels of the images that a direction takes."""
  source = find_direction(run, direction).source
  return data.example_shapes(run.config.data)[source][-1]


def _network(
  run: RestoredRun,
  direction: Direction,
  seed: int,
  ema: bool,
  deterministic: bool,
) -> _Network:
  game, inputs = run.game, {}
  if game.inputs and not deterministic:
    inputs = game.inputs(jax.random.key(seed)[None])

  @jax.jit
  def translate(variables: Any, images: jax.Array) -> tuple[Any, ...]:
    samples = game.sample(*variables, {**inputs, direction.source: images})
    translation = to_uint8(samples[direction.output])
    if game.embed is None:
      return translation, None
    both = images, to_float(translation)
    features = (game.embed(*variables, x) for x in both)
    return translation, cosine_similarity(*features)

  return partial(translate, sampling_variables(run.state, ema))


def _translate(
  network: _Network, pixels: np.ndarray, size: _Size
) -> Translation:
  """Translates uint8 `[H, W, C]` to an image of a size."""
  (pixels,), similarity = jax.device_get(network(to_float(pixels[None])))
  image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
  if image.size != size:
    image = image.resize(size, Image.Resampling.BICUBIC)
  return Translation(image, None if similarity is None else similarity.item())


def _translate_center(
  network: _Network, training: _Size, domain: ConfigDict, image: Image.Image
) -> Translation:
  """Translates the central part, for a network of one size."""
  inner = [side + 2 * domain.pad for side in image.size]
  scale = min(x / y for x, y in zip(inner, training, strict=True))
  size = tuple(max(1, round(side * scale)) for side in training)
  pixels = images.crop_and_resize(image, "the image", domain)
  return _translate(network, pixels, size)


def _translate_all(
  network: _Network, training: _Size, pad: int, native: bool, image: Image.Image
) -> Translation:
  """Translates all of an image, at the scale of training or as it is."""
  size = network_size = image.size
  if not native:
    # As in training, where images lose or get a border and are then cut.
    inner = [max(1, side + 2 * pad) for side in size]
    scale = max(x / y for x, y in zip(training, inner, strict=True))
    network_size = tuple(max(1, round(side * scale)) for side in size)
  across, down = network_size
  if across * down > _MAX_PIXELS:
    raise InputError(
      f"{across}x{down} pixels for the network, above {_MAX_PIXELS}: "
      + ("leave --native out, or reduce it" if native else "cut it")
    )
  if network_size != size:
    image = image.resize(network_size, Image.Resampling.BICUBIC)
  pixels = np.asarray(image).reshape(down, across, -1)
  return _translate(network, pixels, size)


def match_files(
  source: pathlib.Path, target: pathlib.Path
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """Returns the image files below `source`, each with the file to write.

  Raises:
    InputError: where there are none, or a file would be overwritten.
  """
  if source.is_dir():
    if target.suffix.lower() in folders.SUFFIXES or target.is_file():
      raise InputError(f"output={target}: give a folder, as input is one")
    if target.resolve().is_relative_to(source.resolve()):
      raise InputError(f"output={target} lies in the input: give another")
    refuse_contents(target, "--output")
    return [(p, target / p.relative_to(source)) for p in folders.paths(source)]
  if not source.is_file():
    raise InputError(f"input={source}: no such image or folder")
  if target.suffix.lower() not in folders.SUFFIXES:
    suffixes = ", ".join(folders.SUFFIXES)
    raise InputError(f"output={target}: give a name that ends in {suffixes}")
  if target.exists():
    problem = "is the input" if target.samefile(source) else "exists"
    raise InputError(f"output={target} {problem}: give another name")
  return [(source, target)]


def translate_files(
  translate: Callable[[Image.Image], Translation],
  channels: int,
  files: Sequence[tuple[pathlib.Path, pathlib.Path]],
) -> list[str]:
  """Writes translations of files, and returns a message for each failure.

  Args:
    translate: see `create`.
    channels: of the images that it takes.
    files: see `match_files`.
  """
  errors = []
  for source, target in tqdm(files, unit="image", disable=len(files) == 1):
    try:
      image = images.open_image(source.read_bytes(), str(source), channels)
      translation = translate(image)
      target.parent.mkdir(parents=True, exist_ok=True)
      translation.image.save(target, quality=95)
    except InputError as e:
      errors.append(str(e) if str(source) in str(e) else f"{source}: {e}")
    except OSError as e:
      errors.append(f"{source} to {target}: {e.strerror or e}")
  return errors
