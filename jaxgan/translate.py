"""Translates images: `python -m jaxgan.translate --workdir=DIR ...`.

An image keeps its size, but where a network makes images of one size, as DTN's
does: it gets the central part that training would have cut out, and only that
is translated. By default an image is brought to the scale of the training
images for the network, and its translation back, since a network knows no other
scale.
"""

import pathlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
from absl import flags
from optax.losses import cosine_similarity
from PIL import Image
from tqdm import tqdm

from jaxgan import cli, data
from jaxgan.data import folders, images
from jaxgan.data.pixels import to_float, to_uint8
from jaxgan.errors import InputError
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import sampling_variables

_LARGEST = 1 << 22  # pixels of an image for the network


class Translation(NamedTuple):
  """An image, translated.

  Attributes:
    image: the translation.
    similarity: the cosine of the angle between its features and those of what
      it was made from; None where the run has no such features.
  """

  image: Image.Image
  similarity: float | None


def translator(
  found: RestoredRun,
  direction: str = "forward",
  seed: int = 0,
  ema: bool = True,
  deterministic: bool = False,
  native: bool = False,
) -> Callable[[Image.Image], Translation]:
  """Returns a function that translates an image.

  It takes what `images.open_image` returns for the channels of the run, and
  raises an `InputError` where an image is too small or too large.

  Args:
    found: the run.
    direction: the name of one of `Game.directions`.
    seed: of the noise, where there is any; the same for every image.
    ema: whether to use averaged weights.
    deterministic: whether to leave the noise out, and use the running
      statistics of batch norm.
    native: whether the network sees images as they are. By default it sees them
      at the size at which the shorter side is that of the training images.

  Raises:
    InputError: where the run does not translate in this direction.
  """
  directions = {way.name: way for way in found.game.directions}
  if not directions:
    raise InputError(
      f"a run of {found.config.algorithm!r} does not translate images: give "
      "one of cyclegan, pix2pix, l1_translation or dtn"
    )
  if direction not in directions:
    raise InputError(
      f"direction={direction!r}: this run knows {', '.join(directions)}"
    )
  start, result = directions[direction].source, directions[direction].output
  height, width, channels = data.example_shapes(found.config.data)[start]
  domain = data.domain(found.config.data, start)
  pad, embed = domain.pad, found.game.embed
  variables = sampling_variables(found.state, ema)
  batch = {}
  if found.game.inputs and not deterministic:
    batch = found.game.inputs(jax.random.key(seed)[None])

  @jax.jit
  def apply(variables, batch):
    made = to_uint8(found.game.sample(*variables, batch)[result])
    if embed is None:
      return made, None
    pair = (embed(*variables, x) for x in (batch[start], to_float(made)))
    return made, cosine_similarity(*pair)

  def of_array(pixels: np.ndarray) -> Translation:
    x = to_float(pixels[None])
    made, similarity = jax.device_get(apply(variables, {**batch, start: x}))
    made = Image.fromarray(made[0, ..., 0] if made.shape[-1] == 1 else made[0])
    return Translation(made, None if similarity is None else similarity.item())

  def resized(made: Translation, size: tuple[int, ...]) -> Translation:
    if made.image.size == size:
      return made
    image = made.image.resize(size, Image.Resampling.BICUBIC)
    return made._replace(image=image)

  larger = jax.ShapeDtypeStruct((1, 2 * height, 2 * width, channels), "float32")
  made, _ = jax.eval_shape(apply, variables, {**batch, start: larger})
  if made.shape[1:3] != larger.shape[1:3]:
    if native:
      raise InputError(
        f"this network knows images of {width}x{height} alone: leave --native "
        "out"
      )

    def of_center(image: Image.Image) -> Translation:
      made = of_array(images.crop_and_resize(image, "the image", domain))
      across, down = (side + 2 * pad for side in image.size)
      scale = min(across / width, down / height)
      size = tuple(max(1, round(side * scale)) for side in (width, height))
      return resized(made, size)

    return of_center

  def translate(image: Image.Image) -> Translation:
    size = image.size
    # As in training, where images lose or get a border and are then cut to the
    # shape of these.
    inner = [max(1, side + 2 * pad) for side in size]
    scale = max(width / inner[0], height / inner[1])
    own = size
    if not native:
      own = tuple(max(1, round(side * scale)) for side in size)
    if own[0] * own[1] > _LARGEST:
      raise InputError(
        f"{own[0]}x{own[1]} pixels for the network, above {_LARGEST}: "
        + ("leave --native out, or reduce it" if native else "cut it")
      )
    if own != size:
      image = image.resize(own, Image.Resampling.BICUBIC)
    made = of_array(np.asarray(image).reshape(*image.size[::-1], channels))
    return resized(made, size)

  return translate


def translate_file(
  translate: Callable[[Image.Image], Translation],
  channels: int,
  source: pathlib.Path,
  target: pathlib.Path,
) -> None:
  """Writes the translation of an image file.

  Raises:
    InputError: where one cannot be read, translated or written.
  """
  try:
    image = images.open_image(source.read_bytes(), str(source), channels)
    made = translate(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    made.image.save(target, quality=95)
  except InputError as e:
    named = str(source) in str(e)
    raise InputError(str(e) if named else f"{source}: {e}") from e
  except OSError as e:
    raise InputError(f"{source} to {target}: {e.strerror or e}") from e


def define() -> SimpleNamespace:
  """Defines the flags of the command."""
  return SimpleNamespace(
    run=cli.define_restored(),
    input=flags.DEFINE_string("input", None, "An image, or a folder of them."),
    output=flags.DEFINE_string(
      "output", None, "Where the translation goes: a file, or a folder."
    ),
    direction=flags.DEFINE_string(
      "direction",
      "forward",
      "Or 'backward', from target to source, or DTN's 'identity', from target "
      "to target.",
    ),
    deterministic=flags.DEFINE_bool(
      "deterministic",
      False,
      "Whether to leave out the noise of Pix2Pix, and use the running "
      "statistics of batch norm.",
    ),
    native=flags.DEFINE_bool(
      "native",
      False,
      "Whether to translate images at their own size, not at the scale of the "
      "training images.",
    ),
  )


def _files(
  given: pathlib.Path, output: pathlib.Path
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """The files to read and to write."""
  if given.is_dir():
    if output.suffix.lower() in folders.SUFFIXES or output.is_file():
      raise InputError(f"output={output}: give a folder, as input is one")
    inside = output.resolve().is_relative_to(given.resolve())
    if inside or (output.is_dir() and any(output.iterdir())):
      raise InputError(
        f"output={output} "
        + ("lies in the input" if inside else "holds something")
        + ": give another folder"
      )
    return [(p, output / p.relative_to(given)) for p in folders.paths(given)]
  if not given.is_file():
    raise InputError(f"input={given}: no such image or folder")
  if output.suffix.lower() not in folders.SUFFIXES:
    raise InputError(
      f"output={output}: give a name that ends in one of "
      f"{', '.join(folders.SUFFIXES)}"
    )
  if output.exists() and output.samefile(given):
    raise InputError(f"output={output} is the input: give another name")
  if output.exists():
    raise InputError(f"output={output} exists: give another name")
  return [(given, output)]


def main(given: SimpleNamespace) -> None:
  """Translates what the flags name."""
  for key in ("input", "output"):
    if not getattr(given, key).value:
      raise InputError(f"give --{key}, an image or a folder")
  files = _files(
    *(pathlib.Path(getattr(given, k).value) for k in ("input", "output"))
  )
  found = cli.restore(given.run)
  direction = given.direction.value
  translate = translator(
    found,
    direction,
    given.run.seed.value,
    given.run.ema.value,
    given.deterministic.value,
    given.native.value,
  )
  (start,) = (x.source for x in found.game.directions if x.name == direction)
  channels = data.example_shapes(found.config.data)[start][-1]
  failed = []
  for source, target in tqdm(files, unit="image", disable=len(files) == 1):
    try:
      translate_file(translate, channels, source, target)
    except InputError as e:
      failed.append(str(e))
  if len(files) > len(failed):
    print(f"wrote {given.output.value}")
  if failed:
    raise InputError(
      failed[0]
      if len(files) == 1
      else f"{len(failed)} of {len(files)} images were not translated: "
      + "; ".join(failed[:3])
    )


if __name__ == "__main__":
  cli.run(main, define)
