"""Image files: folders, and sets of TensorFlow Datasets.

Neither needs TensorFlow. Sets that fit are decoded once and held in memory.
"""

import io
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from jaxgan.config import InputError, first_line
from jaxgan.data.arrays import ArraySource

MEMORY_LIMIT = 1 << 30  # bytes of decoded images that are held in memory
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class ImageSource:
  """A source of encoded images, decoded when they are asked for.

  Attributes:
    read: `indices -> [(name, label or None, encoded bytes), ...]`.
    length: how many images there are.
    config: `config.data`.
  """

  in_memory = False

  def __init__(
    self,
    read: Callable[[Sequence[int]], list[tuple[str, int | None, bytes]]],
    length: int,
    config: ConfigDict,
  ):
    self.read = read
    self.length = length
    self.config = config

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    names, labels, encoded = zip(*self.read(indices.tolist()), strict=True)
    batch = {
      "image": np.stack(
        [
          decode(data, name, self.config)
          for name, data in zip(names, encoded, strict=True)
        ]
      )
    }
    if labels[0] is not None:
      batch["label"] = np.array(labels, np.int32)
    return batch


def decode(data: bytes, name: str, config: ConfigDict) -> np.ndarray:
  """Decodes an image and brings it to the size and channels of the config.

  The image is padded by `config.pad`, cut to its central square and resized.
  Transparent parts become white.

  Args:
    data: the encoded image.
    name: what to call it in an error.
    config: `config.data`.

  Returns:
    uint8 `[image_size, image_size, channels]`.

  Raises:
    InputError: where the data is no image, or not a whole one.
  """
  try:
    image = Image.open(io.BytesIO(data))
    image.load()  # a truncated file is noticed only here
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
    reason = "no image" if isinstance(e, UnidentifiedImageError) else e
    raise InputError(f"{name} is not a readable image: {reason}") from e
  ImageOps.exif_transpose(image, in_place=True)
  if image.mode.startswith("I"):  # 16 bits, which convert() would clip
    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image)
  image = image.convert("L" if config.channels == 1 else "RGB")
  image = ImageOps.expand(image, config.pad)
  size = config.image_size
  if image.size != (size, size):
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
  return np.asarray(image).reshape(size, size, config.channels)


def folder(config: ConfigDict) -> ArraySource | ImageSource:
  """All images below the folder `config.path`, in the order of their paths.

  Raises:
    InputError: where there are none.
  """
  root = pathlib.Path(config.path)
  if not config.path or not root.is_dir():
    raise InputError(
      f"data.path={config.path!r} is not a folder: give one with images"
    )
  paths = sorted(
    p
    for p in root.rglob("*")
    if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
  )
  if not paths:
    raise InputError(f"no images ({', '.join(SUFFIXES)}) below {root}")

  def read(indices: Sequence[int]) -> list[tuple[str, None, bytes]]:
    return [(str(paths[i]), None, _bytes(paths[i])) for i in indices]

  return _load(ImageSource(read, len(paths), config))


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

  def read(indices: Sequence[int]) -> list[tuple[str, Any, bytes]]:
    try:
      found = records.__getitems__(indices)
    except Exception as e:  # whatever a damaged file may raise
      raise InputError(
        f"{name} below {_root(config)} is damaged: {first_line(e)}"
      ) from e
    return [
      (f"{name}[{i}]", record.get("label"), record["image"])
      for i, record in zip(indices, found, strict=True)
    ]

  return _load(ImageSource(read, length, config))


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


def _load(source: ImageSource) -> ArraySource | ImageSource:
  """Decodes all of a source into memory, if it fits."""
  config = source.config
  if len(source) * config.image_size**2 * config.channels > MEMORY_LIMIT:
    return source
  chunks = np.array_split(np.arange(len(source)), len(source) // 256 + 1)
  with (
    ThreadPoolExecutor() as pool,
    tqdm(
      total=len(source),
      desc=f"reading {config.name}",
      unit="image",
      leave=False,
      delay=1,
    ) as bar,
  ):
    parts = []
    for part in pool.map(source.__getitem__, chunks):
      parts.append(part)
      bar.update(len(part["image"]))
  return ArraySource(
    {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
  )


def _bytes(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise InputError(f"{path} cannot be read: {e.strerror}") from e
