"""Image files: folders, and sets of TensorFlow Datasets.

Neither needs TensorFlow. Sets that fit are decoded once and held in memory.
"""

import io
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from jaxgan.data.arrays import ArraySource
from jaxgan.errors import InputError, first_line

MEMORY_LIMIT = 1 << 30  # bytes of decoded images that are held in memory
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class ImageSource:
  """A source of encoded images, decoded when they are asked for.

  Attributes:
    read: `indices -> batch`.
    length: how many examples there are.
  """

  in_memory = False

  def __init__(
    self,
    read: Callable[[Sequence[int]], dict[str, np.ndarray]],
    length: int,
  ):
    self.read = read
    self.length = length

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.read(indices.tolist())


def decode(data: bytes, name: str, config: ConfigDict) -> np.ndarray:
  """Decodes an image and brings it to the size and channels of the config.

  Args:
    data: the encoded image.
    name: what to call it in an error.
    config: `config.data`.

  Returns:
    uint8 `[H, W, C]`; see `fit`.

  Raises:
    InputError: where the data is no image, or not a whole one.
  """
  return fit(open_any(data, name), name, config)


def open_image(
  data: bytes, name: str, channels: int, largest: int | None = None
) -> Image.Image:
  """Decodes an image; its mode is "L" for 1 channel and "RGB" for 3.

  It is turned as its EXIF data says, and transparent parts become white.

  Args:
    data: the encoded image.
    name: what to call it in an error.
    channels: 1 or 3.
    largest: what its longer side may have, in pixels; no more are decoded.

  Raises:
    InputError: where the data is no image, not a whole one, or too large.
  """
  return _convert(open_any(data, name, largest), name, channels)


def open_any(data: bytes, name: str, largest: int | None = None) -> Image.Image:
  """As `open_image`, with the channels that the image has."""
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


def fit(image: Image.Image, name: str, config: ConfigDict) -> np.ndarray:
  """Brings an image to the size and channels of the config.

  The image, or the half of it that `config.half` names, is padded by
  `config.pad` (cut, where negative), cut to its central part of the right shape
  and resized.

  Args:
    image: of any mode.
    name: what to call it in an error.
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
  """Height and width at which images are read: with `config.margin`."""
  margin = config.get("margin", 0)
  width = config.get("image_width", 0) or config.image_size
  return config.image_size + margin, width + margin


def paths(root: str | os.PathLike[str]) -> list[pathlib.Path]:
  """The image files below a folder, in order, without hidden ones.

  Raises:
    InputError: where there is no such folder, or there are none in it.
  """
  folder = pathlib.Path(root)
  if not root or not folder.is_dir():
    raise InputError(f"{str(root)!r} is not a folder: give one with images")
  found = sorted(
    p
    for p in folder.rglob("*")
    if p.suffix.lower() in SUFFIXES
    and p.is_file()
    and not any(x.startswith(".") for x in p.relative_to(folder).parts)
  )
  if not found:
    raise InputError(f"no images ({', '.join(SUFFIXES)}) below {folder}")
  return found


def folder(config: ConfigDict) -> ArraySource | ImageSource:
  """All images below the folder `config.path`, in the order of their paths.

  Raises:
    InputError: where there are none.
  """
  if not config.path:
    raise InputError("data.path='' is not a folder: give one with images")
  files = paths(config.path)

  def read(indices: Sequence[int]) -> dict[str, np.ndarray]:
    some = [files[i] for i in indices]
    return {
      "image": np.stack([decode(read_file(p), str(p), config) for p in some])
    }

  return load(read, len(files), config.name)


def tfds(config: ConfigDict) -> ArraySource | ImageSource:
  """A set of TensorFlow Datasets, stored as array_record.

  A set that is not prepared yet is downloaded and prepared where TensorFlow
  is installed, which that step needs.

  Raises:
    InputError: where the set, or TensorFlow, is missing, or the config asks
      for a split or a number of channels that it does not have.
  """
  import tensorflow_datasets

  name = config.name
  builder = _builder(config)
  if "image" not in builder.info.features:
    raise InputError(f"{name} has no feature 'image'")
  channels = builder.info.features["image"].shape[-1]
  if channels not in (None, config.channels):
    raise InputError(
      f"{name} has {channels} channels, not {config.channels}: set "
      f"data.channels={channels}"
    )
  try:
    records = builder.as_data_source(
      config.split,
      decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
    )
    length = len(records)
  except Exception as e:  # an unknown split, or files that are missing
    raise InputError(f"{name}, split {config.split!r}: {first_line(e)}") from e

  def read(indices: Sequence[int]) -> dict[str, np.ndarray]:
    try:
      found = records.__getitems__(indices)
    except Exception as e:  # whatever a damaged file may raise
      raise InputError(
        f"{name} below {_root(config)} is damaged: {first_line(e)}"
      ) from e
    batch = {
      "image": np.stack(
        [
          decode(record["image"], f"{name}[{i}]", config)
          for i, record in zip(indices, found, strict=True)
        ]
      )
    }
    if "label" in found[0]:
      labels = [record["label"] for record in found]
      batch["label"] = np.array(labels, np.int32)
    return batch

  return load(read, length, name)


def tfds_classes(config: ConfigDict) -> int:
  """The number of labels of a set of TensorFlow Datasets, 0 without labels."""
  features = _builder(config).info.features
  return features["label"].num_classes if "label" in features else 0


def tfds_splits(config: ConfigDict) -> list[str]:
  """The names of the splits of a set of TensorFlow Datasets."""
  return list(_builder(config).info.splits)


def _root(config: ConfigDict) -> pathlib.Path:
  return pathlib.Path(
    config.path or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
  ).expanduser()


def _builder(config: ConfigDict) -> Any:
  import tensorflow_datasets

  name, root = config.name, _root(config)
  # Prepared sets are found by their files: asking for the set by name would
  # look for it on the network first.
  prepared = (
    [
      p.parent
      for p in root.glob(f"{name}/**/dataset_info.json")
      if p.parent.name.count(".") == 2
    ]
    if re.fullmatch(r"[\w/]+", name)
    else []
  )
  if prepared:
    newest = max(prepared, key=lambda p: [int(n) for n in p.name.split(".")])
    try:
      return tensorflow_datasets.builder_from_directory(newest)
    except Exception as e:  # whatever a damaged description may raise
      raise InputError(f"{newest} is damaged: {first_line(e)}") from e
  catalogue = tensorflow_datasets.list_builders(
    with_community_datasets=False  # those would be asked for over the network
  )
  if name.split("/")[0] not in catalogue:
    raise InputError(
      f"no data set {name!r}: neither built in, nor below {root}, nor in the "
      "catalogue of TensorFlow Datasets"
    )
  try:
    import tensorflow  # noqa: F401
  except ImportError as e:
    raise InputError(
      f"{name} is not prepared below {root}, and preparing it needs "
      "TensorFlow: pip install 'jaxgan[tfds]', or set TFDS_DATA_DIR"
    ) from e
  try:
    builder = tensorflow_datasets.builder(
      name, data_dir=root, file_format="array_record"
    )
    builder.download_and_prepare()
  except Exception as e:  # whatever a download may raise
    raise InputError(f"{name} could not be prepared: {first_line(e)}") from e
  return builder


def load(
  read: Callable[[Sequence[int]], dict[str, np.ndarray]],
  length: int,
  name: str,
) -> ArraySource | ImageSource:
  """A source of encoded images, in memory if they fit.

  Args:
    read: `indices -> batch`.
    length: how many examples there are, at least 1.
    name: what to call them.
  """
  source = ImageSource(read, length)
  size = sum(x.nbytes for x in source[np.arange(1)].values()) * length
  if size > MEMORY_LIMIT:
    return source
  chunks = np.array_split(np.arange(length), length // 256 + 1)
  with (
    ThreadPoolExecutor() as pool,
    tqdm(
      total=length,
      desc=f"reading {name}",
      unit="image",
      leave=False,
      delay=1,
    ) as bar,
  ):
    parts = []
    for chunk, part in zip(
      chunks, pool.map(source.__getitem__, chunks), strict=True
    ):
      parts.append(part)
      bar.update(len(chunk))
  return ArraySource(
    {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
  )


def read_file(path: pathlib.Path) -> bytes:
  """The bytes of a file.

  Raises:
    InputError: where it cannot be read.
  """
  try:
    return path.read_bytes()
  except OSError as e:
    raise InputError(f"{path} cannot be read: {e.strerror}") from e


def _convert(image: Image.Image, name: str, channels: int) -> Image.Image:
  mode = "L" if channels == 1 else "RGB"
  if (Image.getmodebase(image.mode) == "L") != (mode == "L"):
    own = object()
    if _said.setdefault(mode, own) is own:  # of all threads, once
      print(
        f"coloured images, such as {name}, are made grey"
        if mode == "L"
        else f"grey images, such as {name}, are given 3 channels"
      )
  return image.convert(mode)


_said: dict[str, object] = {}
