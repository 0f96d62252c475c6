"""Images: decoded, cropped, resized, and held in memory where they fit."""

import dataclasses
import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from jaxgan.data.arrays import ArraySource
from jaxgan.errors import InputError

MEMORY_LIMIT = 1 << 30  # bytes of decoded images that are held in memory


@dataclasses.dataclass(frozen=True)
class ImageSource:
  """A source of encoded images, which are decoded when they are indexed.

  Attributes:
    read: `indices -> batch`.
    length: the number of examples.
    in_memory: see `Source`.
  """

  read: Callable[[Sequence[int]], dict[str, np.ndarray]]
  length: int
  in_memory: bool = False

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.read(indices.tolist())


def load(
  read: Callable[[Sequence[int]], dict[str, np.ndarray]],
  length: int,
  name: str,
) -> ArraySource | ImageSource:
  """Returns a source of encoded images, in memory if they fit.

  Args:
    read: `indices -> batch`.
    length: the number of examples, at least 1.
    name: of the data, for the progress bar.
  """
  source = ImageSource(read, length)
  size = sum(x.nbytes for x in source[np.arange(1)].values()) * length
  if size > MEMORY_LIMIT:
    return source
  chunks = np.array_split(np.arange(length), length // 256 + 1)
  bar = tqdm(total=length, desc=f"reading {name}", delay=1, leave=False)
  with ThreadPoolExecutor() as pool, bar:
    parts = []
    for part in pool.map(source.__getitem__, chunks):
      parts.append(part)
      bar.update(len(next(iter(part.values()))))
  return ArraySource(
    {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
  )


def decode(data: bytes, name: str, config: ConfigDict) -> np.ndarray:
  """Decodes an image and brings it to the size and channels of the config.

  Args:
    data: the encoded image.
    name: of the image, for errors.
    config: `config.data`.

  Returns:
    uint8 `[H, W, C]`; see `crop_and_resize`.

  Raises:
    InputError: where the data is no image, or a truncated one.
  """
  return crop_and_resize(open_any(data, name), name, config)


def open_image(
  data: bytes, name: str, channels: int, largest: int | None = None
) -> Image.Image:
  """Decodes an image; its mode is "L" for 1 channel and "RGB" for 3.

  It is turned as its EXIF data says, and transparent parts become white.

  Args:
    data: the encoded image.
    name: of the image, for errors.
    channels: 1 or 3.
    largest: of its longer side, in pixels; larger images are not decoded.

  Raises:
    InputError: where the data is no image, truncated, or too large.
  """
  return _convert(open_any(data, name, largest), name, channels)


def open_any(data: bytes, name: str, largest: int | None = None) -> Image.Image:
  """Decodes an image as `open_image` does, and keeps its channels."""
  try:
    with warnings.catch_warnings():
      # Of many pixels, which are an error where they are far too many.
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)
      image = Image.open(io.BytesIO(data))
    if largest and max(image.size) > largest:
      raise InputError(
        f"{name} has {image.width}x{image.height} pixels: give a side of at "
        f"most {largest}"
      )
    image.load()  # a truncated file is noticed only here
    ImageOps.exif_transpose(image, in_place=True)
  except (InputError, MemoryError):
    raise
  except Exception as e:  # decoders raise many kinds
    reason = "no image" if isinstance(e, UnidentifiedImageError) else e
    raise InputError(f"{name} is not a readable image: {reason}") from e
  if image.mode.startswith("I"):  # 16 bits, which convert() would clip
    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    mode = "L" if Image.getmodebase(image.mode) == "L" else "RGB"
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert(mode)
  return image


def crop_and_resize(
  image: Image.Image, name: str, config: ConfigDict
) -> np.ndarray:
  """Brings an image to the size and channels of the config.

  The image, or the half of it that `config.half` names, is padded by
  `config.pad` (cut, where negative), cut to its central part of the right shape
  and resized.

  Args:
    image: of any mode.
    name: of the image, for errors.
    config: `config.data`.

  Returns:
    uint8 `[H, W, C]`, with the height and width of `stored_size`.

  Raises:
    InputError: where it has no halves, or nothing is left of it.
  """
  if half := config.get("half", ""):
    middle, odd = divmod(image.width, 2)
    if odd:
      raise InputError(
        f"{name} is {image.width} pixels wide: two images side by side have "
        "an even width"
      )
    left = 0 if half == "left" else middle
    image = image.crop((left, 0, left + middle, image.height))
  image = _convert(image, name, config.channels)
  if min(image.size) <= -2 * config.pad:
    raise InputError(
      f"{name} has {image.width}x{image.height} pixels, of which pad="
      f"{config.pad} leaves none"
    )
  image = ImageOps.expand(image, config.pad)
  height, width = stored_size(config)
  if image.size != (width, height):
    image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
  return np.asarray(image).reshape(height, width, config.channels)


def stored_size(config: ConfigDict) -> tuple[int, int]:
  """Returns the height and width at which images are read, with margin."""
  margin = config.get("margin", 0)
  width = config.get("image_width", 0) or config.image_size
  return config.image_size + margin, width + margin


def _convert(image: Image.Image, name: str, channels: int) -> Image.Image:
  mode = "L" if channels == 1 else "RGB"
  if (Image.getmodebase(image.mode) == "L") != (mode == "L"):
    token = object()
    if _reported.setdefault(mode, token) is token:  # in one thread only
      print(
        f"coloured images, such as {name}, are made grey"
        if mode == "L"
        else f"grey images, such as {name}, are given 3 channels"
      )
  return image.convert(mode)


_reported: dict[str, object] = {}
