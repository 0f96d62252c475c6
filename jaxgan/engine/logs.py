"""The logs of a run: metrics and sample pictures, for people to read."""

import contextlib
import json
import os
import pathlib
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from jaxgan.config import has_schedule
from jaxgan.engine.processes import Process
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError, first_line
from jaxgan.game import TrainState


def _import_tensorboard() -> ModuleType:
  """Imports tensorboardX as if there were no PyTorch.

  It would import it, which takes seconds, and writes events without it just as
  well.
  """
  hidden = "torch" not in sys.modules
  if hidden:
    sys.modules["torch"] = None
  try:
    import tensorboardX
  finally:
    if hidden:
      del sys.modules["torch"]
  return tensorboardX


tensorboardX = _import_tensorboard()

# Writes the scalars and the picture, or None, of a step.
Sink = Callable[[int, Mapping[str, float], Image.Image | None], None]


class Logs:
  """Where a run is recorded; in all processes but the first, nowhere."""

  def __init__(self, sinks: list[Sink], bar: tqdm):
    """Records to sinks, and shows the progress by a bar."""
    self._sinks, self._bar = sinks, bar

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Records scalars, and shows the losses among them beside the bar."""
    for sink in self._sinks:
      sink(step, scalars, None)
    losses = {k: f"{x:.3f}" for k, x in scalars.items() if k.endswith("/loss")}
    if losses:
      self._bar.set_postfix(losses)

  def write_picture(self, step: int, picture: Image.Image | None) -> None:
    """Records a picture, if there is one."""
    for sink in self._sinks if picture else ():
      sink(step, {}, picture)

  def progress(self, inputs: Iterable[Any]) -> Iterator[Any]:
    """Yields the inputs of steps, and advances the bar after each step."""
    for batch in inputs:
      yield batch
      self._bar.update()


@contextlib.contextmanager
def open_logs(
  workdir: pathlib.Path, config: ConfigDict, process: Process, start: int
) -> Iterator[Logs]:
  """Yields the logs of a run, which the first process writes.

  The config goes to `config.json`, scalars to `metrics.jsonl` and TensorBoard
  events, pictures to `samples/<step>.png` and TensorBoard events; with
  `config.wandb`, both also to Weights & Biases, or the folder `wandb` where
  that is "offline".

  Args:
    workdir: of the run; it exists.
    config: of the run.
    process: this one.
    start: the step that the run resumes from; records of later steps, which
      will be made again, are dropped.

  Raises:
    InputError: where Weights & Biases is wanted and cannot be had.
  """
  with contextlib.ExitStack() as stack:
    sinks, enabled = [], process.index == 0
    if enabled:
      write_config(workdir, config)
      sinks.append(_files(workdir, start))
      sinks.append(stack.enter_context(_tensorboard(workdir, start)))
    if enabled and config.wandb:
      sinks.append(stack.enter_context(_wandb(workdir, config)))
    bar = tqdm(
      total=config.steps,
      initial=start,
      unit="step",
      smoothing=0.05,
      mininterval=0.5 if sys.stderr.isatty() else 20,
      disable=not enabled,
    )
    yield Logs(sinks, stack.enter_context(bar))


def import_wandb(config: ConfigDict) -> Any:
  """Returns the package `wandb`, or None where the config does without.

  Raises:
    InputError: where it is missing.
  """
  if not config.wandb:
    return None
  try:
    import wandb
    from wandb import init  # noqa: F401  which a mere folder does not have
  except ImportError as e:
    raise InputError(
      f"wandb={config.wandb!r} needs Weights & Biases: pip install "
      "'jaxgan[wandb]'"
    ) from e
  return wandb


def rows(workdir: pathlib.Path) -> list[dict[str, float]]:
  """Returns the numbers in `metrics.jsonl`, less a row that a crash cut."""
  path = workdir / "metrics.jsonl"
  lines = path.read_text(errors="replace").splitlines() if path.exists() else []
  return [row for row in map(_numbers, lines) if "step" in row]


def write_config(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Writes `config.json`, for people."""
  text = json.dumps(json.loads(config.to_json()), indent=2)
  write_atomically(workdir / "config.json", f"{text}\n")


def print_complete(
  workdir: pathlib.Path, config: ConfigDict, step: int
) -> None:
  """Prints that a run is complete, and how a longer one is trained."""
  longer = (
    "a longer run needs another workdir, as its learning rate follows a "
    "schedule over config.steps"
    if has_schedule(config)
    else f"to train longer, set config.steps above {step}"
  )
  print(f"{workdir} is complete at step {step}; {longer}")


def print_start(workdir: pathlib.Path, state: TrainState) -> None:
  """Prints the step that a run resumes from, or the parameters of a new one."""
  if state.step:
    print(f"resuming {workdir} at step {state.step}")
    return
  table = parameter_overview.get_parameter_overview
  print(table(state.params, include_stats=False))


def _files(workdir: pathlib.Path, start: int) -> Sink:
  """Returns a function that writes to files, without records after `start`."""
  metrics, samples = workdir / "metrics.jsonl", workdir / "samples"
  if metrics.exists():
    earlier = (row for row in rows(workdir) if row["step"] <= start)
    write_atomically(metrics, "".join(f"{json.dumps(x)}\n" for x in earlier))
  samples.mkdir(exist_ok=True)
  for path in samples.glob("[0-9]" * 8 + ".png"):
    if int(path.stem) > start:
      path.unlink()

  def write(step, scalars, picture):
    if scalars:
      with metrics.open("a") as f:
        f.write(json.dumps({"step": step, **scalars}) + "\n")
    if picture:
      picture.save(samples / f"{step:08d}.png")

  return write


@contextlib.contextmanager
def _tensorboard(workdir: pathlib.Path, start: int) -> Iterator[Sink]:
  """Yields a function that writes events for TensorBoard."""
  events = tensorboardX.SummaryWriter(
    str(workdir), purge_step=start + 1 if start else None, write_to_disk=True
  )

  def write(step, scalars, picture):
    for name, value in scalars.items():
      events.add_scalar(name, value, step)
    if picture:
      events.add_image("samples", np.asarray(picture), step, dataformats="HWC")

  with contextlib.closing(events):
    yield write


@contextlib.contextmanager
def _wandb(workdir: pathlib.Path, config: ConfigDict) -> Iterator[Sink]:
  """Yields a function that writes to Weights & Biases."""
  wandb = import_wandb(config)

  def write(step, scalars, picture):
    media = {"samples": wandb.Image(picture)} if picture else {}
    run.log({**scalars, **media}, step=step)

  with _wandb_run(wandb, workdir, config) as run:
    yield write


def _wandb_run(wandb: Any, workdir: pathlib.Path, config: ConfigDict) -> Any:
  """Begins a run of Weights & Biases, or goes on with the workdir's."""
  identity = workdir / "wandb" / "id"
  if not identity.exists():
    identity.parent.mkdir(exist_ok=True)
    write_atomically(identity, uuid.uuid4().hex[:8])
  try:
    # It drops records of steps that it has already; made again, they are the
    # same.
    return wandb.init(
      project=os.environ.get("WANDB_PROJECT", "jaxgan"),
      name=workdir.resolve().name,
      id=identity.read_text(),
      resume="allow" if config.wandb == "online" else None,
      dir=str(workdir),
      mode=config.wandb,
      config=json.loads(config.to_json()),
      settings=wandb.Settings(silent=True, console="off"),
    )
  except wandb.Error as e:
    raise InputError(f"wandb={config.wandb!r}: {first_line(e)}") from e


def _numbers(line: str) -> dict[str, float]:
  """Returns the numbers of a line of metrics; none if a crash cut it short."""
  try:
    row = json.loads(line)
  except ValueError:
    return {}
  items = row.items() if isinstance(row, dict) else ()
  return {key: x for key, x in items if isinstance(x, (int, float))}
