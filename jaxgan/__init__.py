"""Generative adversarial networks in JAX and Flax."""

from jaxgan.api import Run, load, train
from jaxgan.game import Game, TrainState
from jaxgan.viewing.pictures import grid

__all__ = ["Game", "Run", "TrainState", "grid", "load", "train"]
__version__ = "0.1.0"
