"""Images: decoded, cropped, resized, and held in memory where they fit."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from jaxgan.data.arrays import ArraySource, ComputedSource, Read
from jaxgan.errors import InputError

MEMORY_LIMIT = 1 << 30  # bytes of decoded images that are held in memory


def load(read: Read, length: int, name: str) -> ArraySource | ComputedSource:
  """Returns a source of `length` > 0 encoded images, in memory if they fit.

  `name` is that of the data, for the progress bar.
  """
  size = sum(x.nbytes for x in read(np.arange(1)).values()) * length
  if size > MEMORY_LIMIT:
    return ComputedSource(read, length)
  chunks = np.array_split(np.arange(length), length // 256 + 1)
  bar = tqdm(total=length, desc=f"reading {name}", delay=1, leave=False)
  parts = []
  with ThreadPoolExecutor() as pool, bar:
    for part in pool.map(read, chunks):
      parts.append(part)
      bar.update(len(next(iter(part.values()))))
  joined = {key: np.concatenate([x[key] for x in parts]) for key in parts[0]}
  return ArraySource(joined)


def decode(data: bytes, name: str, config: ConfigDict) -> np.ndarray:
  """Opens an image, and crops and resizes it as `config.data` says."""
  return crop_and_resize(open_image(data, name), name, config)


def open_image(
  data: bytes, name: str, channels: int = 0, largest: int | None = None
) -> Image.Image:
  """Decodes an image, turned as its EXIF data says; transparency becomes white.

  Args:
    data: the encoded image.
    name: of the image, for errors.
    channels: 1, which is the mode "L", or 3, "RGB"; 0: as many as there are.
    largest: of its longer side, in pixels; larger images are not decoded.

  Raises:
    InputError: where the data is no image, truncated, or too large.
  """
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
  except (InputError, MemoryError):
    raise
  except Exception as e:  # decoders raise many kinds
    reason = "no image" if isinstance(e, UnidentifiedImageError) else e
    raise InputError(f"{name} is not a readable image: {reason}") from e
  return normalise(image, name, channels)


def normalise(image: Image.Image, name: str, channels: int = 0) -> Image.Image:
  """Returns an image as `open_image` does, which may not be decoded yet.

  Raises:
    InputError: where it is truncated.
  """
  try:
    image.load()  # a truncated file is noticed only here
    image = ImageOps.exif_transpose(image)
  except MemoryError:
    raise
  except Exception as e:
    raise InputError(f"{name} is not a readable image: {e}") from e
  if image.mode.startswith("I"):  # 16 bits, which convert() would clip
    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    mode = "L" if Image.getmodebase(image.mode) == "L" else "RGB"
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert(mode)
  return _convert(image, name, channels) if channels else image


def crop_and_resize(
  image: Image.Image, name: str, config: ConfigDict
) -> np.ndarray:
  """Returns an image of any mode as `config.data` says, uint8 `[H, W, C]`.

  The image, or the half of it that `config.half` names, is padded by
  `config.pad` (cut, where negative), cut to its central part of the right shape
  and resized to the height and width of `stored_size`.

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
  margin, height = config.get("margin", 0), config.image_size
  width = config.get("image_width", 0) or height
  return height + margin, width + margin


def _convert(image: Image.Image, name: str, channels: int) -> Image.Image:
  mode = "L" if channels == 1 else "RGB"
  if (Image.getmodebase(image.mode) == "L") != (mode == "L"):
    message = {
      "RGB": f"grey images, such as {name}, are given 3 channels",
      "L": f"coloured images, such as {name}, are made grey",
    }[mode]
    if _reported.setdefault(mode, message) is message:  # in one thread only
      print(message)
  return image.convert(mode)


_reported: dict[str, object] = {}
