"""The training images that are nearest to samples."""

import numpy as np
from scipy.spatial.distance import cdist
from tqdm import tqdm

from jaxgan import data
from jaxgan.evaluation import feature_nets, sampling
from jaxgan.evaluation.restored import RestoredRun

_NEAREST = 7


def nearest(
  run: RestoredRun,
  images: np.ndarray,
  inception: str = "",
  classifier: str = "",
) -> np.ndarray:
  """Returns samples, each before its nearest training images in feature space.

  Args:
    run: the run.
    images: uint8 `[B, H, W, C]`.
    inception: see `feature_nets.create`.
    classifier: see `feature_nets.create`.

  Returns:
    uint8 `[B, 1 + 7, H, W, C]`.
  """
  net = feature_nets.create(run.config.data, inception, classifier)

  def embed(batch: np.ndarray) -> np.ndarray:
    return np.asarray(net.apply(net.variables, batch)[0])[: len(batch)]

  features = np.concatenate([embed(x) for x in sampling.batches(images)])
  source = data.create(run.config.data)
  distances = np.full((len(features), 0), np.inf)
  indices = np.zeros((len(features), 0), int)
  with tqdm(
    total=len(source), desc="training images", unit="image", leave=False
  ) as bar:
    for part in sampling.batches(np.arange(len(source))):
      # The nearest so far and those of this batch, of which some stay.
      others = cdist(features, embed(source[part]["image"]))
      distances = np.concatenate([distances, others], axis=1)
      repeated = np.broadcast_to(part, others.shape)
      indices = np.concatenate([indices, repeated], axis=1)
      order = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
      distances, indices = (
        np.take_along_axis(x, order, 1) for x in (distances, indices)
      )
      bar.update(len(part))
  neighbours = source[indices.reshape(-1)]["image"]
  neighbours = neighbours.reshape(*indices.shape, *images.shape[1:])
  return np.concatenate([images[:, None], neighbours], axis=1)
