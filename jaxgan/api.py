"""Trains and loads runs, and samples, translates and evaluates by them."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from jaxgan import algorithms, config_files, evaluation
from jaxgan import train as loop
from jaxgan.applications import translator
from jaxgan.checks import at_least
from jaxgan.checks import seed as check_seed
from jaxgan.config import with_values
from jaxgan.data.images import normalise
from jaxgan.engine import startup
from jaxgan.errors import InputError
from jaxgan.evaluation import (
  EvaluationOptions,
  classifiers,
  restored,
  results,
  sampling,
)
from jaxgan.evaluation.results import Results
from jaxgan.game import Game, TrainState, sampling_variables


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
  """A trained run, at one of its steps.

  Attributes:
    workdir: its folder.
    config: all that it depends on.
    game: its networks and losses, see `jaxgan.Game`.
    state: its parameters, and all else that training changes.
  """

  workdir: pathlib.Path
  config: ConfigDict
  game: Game
  state: TrainState

  def __repr__(self) -> str:
    data = self.config.data.name
    step = f"step {self.state.step} of {self.config.steps}"
    return f"<{self.workdir}: {self.config.algorithm} on {data}, {step}>"

  def sample(
    self, count: int = 16, *, seed: int = 0, ema: bool = True
  ) -> np.ndarray:
    """Returns samples: uint8 images `[count, H, W, C]`, or points `[count, 2]`.

    Args:
      count: how many; the first ones of a seed are always the same.
      seed: of the latents.
      ema: whether to use averaged weights.

    Raises:
      InputError: where the run does not sample from noise.
    """
    at_least("count", count, 1)
    check_seed("seed", seed)
    sample = sampling.sampler(self.game, seed)
    variables = sampling_variables(self.state, ema)
    return np.concatenate(list(map(np.asarray, sample(variables, count))))

  def translate(
    self,
    images: Iterable[Any],
    *,
    direction: str = "forward",
    seed: int = 0,
    ema: bool = True,
  ) -> list[np.ndarray]:
    """Returns translations, uint8 `[H, W, C]`, see `applications.translator`.

    Args:
      images: uint8 arrays `[H, W]` or `[H, W, C]`, or images of Pillow, of any
        size; one array `[N, H, W, C]` is N of them.
      direction: "forward"; "backward", from target to source; or DTN's
        "identity", from target to target.
      seed: of Pix2Pix's noise.
      ema: whether to use averaged weights.

    Raises:
      InputError: where the run does not translate in this direction, or an
        image is none.
    """
    translate = translator.create(self, direction, seed, ema)
    channels = translator.channels(self, direction)
    translations = []
    for i, image in enumerate(_as_images(images)):
      image = normalise(image, f"image {i}", channels)
      pixels = np.asarray(translate(image).image)
      translations.append(pixels.reshape(*pixels.shape[:2], -1))
    return translations

  def evaluate(self, *, ema: bool = True, **options: Any) -> Results:
    """Returns the run's metrics, beside those of real data.

    Args:
      ema: whether to use averaged weights.
      **options: those of `EvaluationOptions`, such as `count=1000`.

    Raises:
      InputError: where the run or its data cannot be evaluated like that.
    """
    start = time.time()
    evaluate, protocol = evaluation.create(
      self.config, self.game, EvaluationOptions(**options)
    )
    protocol |= {
      "step": int(self.state.step),
      "ema": ema and self.config.ema_decay > 0,
      "versions": results.versions(),
    }
    metrics = evaluate(sampling_variables(self.state, ema))
    return Results(metrics, protocol, time.time() - start)


def train(
  config: ConfigDict | str | os.PathLike[str],
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
  *,
  verbose: bool = False,
  **overrides: Any,
) -> Run:
  """Trains, from the newest checkpoint in `workdir` if there is one.

  Args:
    config: one, or a name, file or either with a preset, as
      "wgan_gp:mnist"; see `jaxgan.config_files.find`.
    workdir: folder of the run; made if missing.
    devices: to train on; by default all.
    verbose: prints the parameters, or the step from which the run goes on.
    **overrides: other values of the config's keys, such as `steps=100` or
      `**{"data.path": "photographs"}`.

  Raises:
    InputError: where the config, the data or the workdir cannot be used.
    NonFiniteError: where a loss or gradient is not finite.
    SaveError: where a checkpoint cannot be written.
    Preempted: where SIGTERM, Ctrl-C or a notebook's stop button stopped the
      run, which is saved.
  """
  startup.set_up()
  if isinstance(config, (str, os.PathLike)):
    config = config_files.load(os.fspath(config))
  config = with_values(config, overrides)
  state = loop.train(
    config,
    workdir,
    devices,
    evaluator=evaluation,
    pretrained=classifiers.weights_of,
    verbose=verbose,
  )
  return Run(pathlib.Path(workdir), config, algorithms.create(config), state)


def load(workdir: str | os.PathLike[str], step: str | int | None = None) -> Run:
  """Restores a trained run; see `jaxgan.evaluation.restored.load`."""
  startup.set_up()
  workdir = pathlib.Path(workdir)
  return Run(workdir, *restored.load(workdir, step))


def _as_images(images: Any) -> list[Image.Image]:
  """Returns what `Run.translate` was given as images of Pillow."""
  lone = isinstance(images, (str, os.PathLike, Image.Image))
  if lone or np.ndim(images) == 3 and isinstance(images, np.ndarray):
    raise InputError("give a list of images, or an array [N, H, W, C]")
  return [_as_image(image, f"image {i}") for i, image in enumerate(images)]


def _as_image(image: Any, name: str) -> Image.Image:
  if isinstance(image, Image.Image):
    return image
  pixels = np.asarray(image)
  if pixels.ndim == 3 and pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
  if pixels.dtype != np.uint8 or not fits or not pixels.size:
    raise InputError(
      f"{name}: {pixels.dtype} of shape {pixels.shape}: give uint8 [H, W] or "
      "[H, W, C] with 1, 3 or 4 channels"
    )
  return Image.fromarray(pixels)
