"""Generative adversarial networks in JAX and Flax."""

import os
import pathlib
from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from jaxgan import evaluation
from jaxgan import train as _loop
from jaxgan.evaluation import classifiers, restored
from jaxgan.evaluation.restored import RestoredRun
from jaxgan.game import Game, TrainState

__all__ = ["Game", "TrainState", "load", "train"]
__version__ = "0.1.0"


def train(
  config: ConfigDict,
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
) -> TrainState:
  """Trains, evaluated by `jaxgan.evaluation`; see `jaxgan.train.train`."""
  return _loop.train(
    config,
    workdir,
    devices,
    evaluator=evaluation,
    pretrained=classifiers.weights_of,
  )


def load(
  workdir: str | os.PathLike[str], step: str | int | None = None
) -> RestoredRun:
  """Restores a trained run; see `jaxgan.evaluation.restored.load`."""
  return restored.load(pathlib.Path(workdir), step)
