"""The sets of TensorFlow Datasets, stored as array_record.

Reading them needs no TensorFlow. A set that is not prepared yet is downloaded
and prepared where TensorFlow is installed, which that step needs.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan.data.dataset import DataSet, Source
from jaxgan.data.images import decode, load
from jaxgan.errors import InputError, first_line


class Tfds(DataSet):
  """The set `config.name` below `config.path`."""

  def create(self, config: ConfigDict) -> Source:
    """Returns the images, with labels if they have any; see `DataSet`."""
    import tensorflow_datasets

    name = config.name
    builder = _builder(config)
    if "image" not in builder.info.features:
      raise InputError(f"{name} has no feature 'image'")
    channels = builder.info.features["image"].shape[-1]
    self.check_channels(config, channels or config.channels)
    encoded = {"image": tensorflow_datasets.decode.SkipDecoding()}
    with _input_errors(f"{name}, split {config.split!r}"):
      records = builder.as_data_source(config.split, decoders=encoded)
      length = len(records)

    def read(indices: np.ndarray) -> dict[str, np.ndarray]:
      with _input_errors(f"{name} below {_root(config)} is damaged"):
        examples = records.__getitems__(indices.tolist())
      images = [
        decode(record["image"], f"{name}[{i}]", config)
        for i, record in zip(indices, examples, strict=True)
      ]
      batch = {"image": np.stack(images)}
      if "label" in examples[0]:
        labels = [record["label"] for record in examples]
        batch["label"] = np.array(labels, np.int32)
      return batch

    return load(read, length, name)

  def classes(self, config: ConfigDict) -> int:
    """Returns the number of labels; see `DataSet`."""
    # A label of the sets of CycleGAN is only the name of the domain.
    if config.name.startswith("cycle_gan"):
      return 0
    features = _builder(config).info.features
    return features["label"].num_classes if "label" in features else 0

  def splits(self, config: ConfigDict) -> list[str]:
    """Returns the names of the splits."""
    return list(_builder(config).info.splits)


@contextlib.contextmanager
def _input_errors(reason: str) -> Iterator[None]:
  try:
    yield
  except Exception as e:  # downloads and damaged files may raise any
    raise InputError(f"{reason}: {first_line(e)}") from e


def _root(config: ConfigDict) -> pathlib.Path:
  return pathlib.Path(
    config.path or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
  ).expanduser()


def _builder(config: ConfigDict) -> Any:
  import tensorflow_datasets

  name, root = config.name, _root(config)
  # Prepared sets are found by their files: asking for the set by name would
  # look for it on the network first.
  valid = re.fullmatch(r"[\w/]+", name)
  files = root.glob(f"{name}/**/dataset_info.json") if valid else ()
  versions = [p.parent for p in files if p.parent.name.count(".") == 2]
  if versions:
    newest = max(versions, key=lambda p: [int(n) for n in p.name.split(".")])
    with _input_errors(f"{newest} is damaged"):
      return tensorflow_datasets.builder_from_directory(newest)
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
  with _input_errors(f"{name} could not be prepared"):
    builder = tensorflow_datasets.builder(
      name, data_dir=root, file_format="array_record"
    )
    builder.download_and_prepare()
  return builder
