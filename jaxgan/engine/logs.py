"""What a run leaves for people to read: metrics and sample pictures."""

import contextlib
import json
import os
import pathlib
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError, first_line

# tensorboardX imports PyTorch where there is one, which takes seconds, and
# writes events without it just as well.
if _hide := "torch" not in sys.modules:
  sys.modules["torch"] = None
try:
  from tensorboardX import SummaryWriter
finally:
  if _hide:
    del sys.modules["torch"]


@contextlib.contextmanager
def open_logs(
  workdir: pathlib.Path, config: ConfigDict, start: int
) -> Iterator[Callable[..., None]]:
  """Yields `write(step, scalars, picture)` for the logs of a run.

  Scalars go to `metrics.jsonl` and TensorBoard events, pictures to
  `samples/<step>.png` and TensorBoard events; with `config.wandb`, both also to
  Weights & Biases, or the folder `wandb` where that is "offline".

  Args:
    workdir: of the run; it exists.
    config: of the run.
    start: the round that the run resumes from; what an interrupted run wrote
      about later rounds is dropped, since they are played again.

  Raises:
    InputError: where Weights & Biases is wanted and cannot be had.
  """
  wandb = import_wandb(config)
  metrics = workdir / "metrics.jsonl"
  if metrics.exists():
    lines = metrics.read_text(errors="replace").splitlines()
    kept = "".join(f"{line}\n" for line in lines if _step(line) <= start)
    write_atomically(metrics, kept)
  samples = workdir / "samples"
  samples.mkdir(exist_ok=True)
  for path in samples.glob("[0-9]" * 8 + ".png"):
    if int(path.stem) > start:
      path.unlink()

  events = SummaryWriter(
    str(workdir), purge_step=start + 1 if start else None, write_to_disk=True
  )

  online = _wandb_run(wandb, workdir, config) if wandb else None

  def write(
    step: int,
    scalars: Mapping[str, float] | None = None,
    picture: Image.Image | None = None,
  ) -> None:
    if scalars:
      with metrics.open("a") as f:
        f.write(json.dumps({"step": step, **scalars}) + "\n")
      for name, value in scalars.items():
        events.add_scalar(name, value, step)
    if picture:
      picture.save(samples / f"{step:08d}.png")
      events.add_image("samples", np.asarray(picture), step, dataformats="HWC")
    if online:
      media = {"samples": wandb.Image(picture)} if picture else {}
      online.log({**(scalars or {}), **media}, step=step)

  with contextlib.closing(events), online or contextlib.nullcontext():
    yield write


def import_wandb(config: ConfigDict) -> Any:
  """Returns the package `wandb`, or None where the config does without.

  Raises:
    InputError: where it is missing.
  """
  if not config.wandb:
    return None
  try:
    import wandb

    wandb.init  # noqa: B018  a folder of that name is no such package
  except (ImportError, AttributeError) as e:
    raise InputError(
      f"wandb={config.wandb!r} needs Weights & Biases: pip install "
      "'jaxgan[wandb]'"
    ) from e
  return wandb


def _wandb_run(wandb: Any, workdir: pathlib.Path, config: ConfigDict) -> Any:
  """Begins a run of Weights & Biases, or goes on with that of the workdir."""
  known = workdir / "wandb" / "id"
  if not known.exists():
    known.parent.mkdir(exist_ok=True)
    write_atomically(known, uuid.uuid4().hex[:8])
  try:
    # Rounds that are played again come out as they were, and it drops what it
    # has already.
    return wandb.init(
      project=os.environ.get("WANDB_PROJECT", "jaxgan"),
      name=workdir.resolve().name,
      id=known.read_text(),
      resume="allow" if config.wandb == "online" else None,
      dir=str(workdir),
      mode=config.wandb,
      config=json.loads(config.to_json()),
      settings=wandb.Settings(silent=True, console="off"),
    )
  except wandb.Error as e:
    raise InputError(f"wandb={config.wandb!r}: {first_line(e)}") from e


def rows(workdir: pathlib.Path) -> list[dict[str, float]]:
  """The numbers of a run's metrics; what a crash cut short is left out."""
  path = workdir / "metrics.jsonl"
  lines = path.read_text(errors="replace").splitlines() if path.exists() else []
  found = [json.loads(line) for line in lines if _step(line) < float("inf")]
  return [
    {key: x for key, x in row.items() if isinstance(x, (int, float))}
    for row in found
  ]


def write_config(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Writes `config.json`, for people."""
  text = json.dumps(json.loads(config.to_json()), indent=2)
  write_atomically(workdir / "config.json", f"{text}\n")


def _step(line: str) -> float:
  """The round of a line of metrics; infinite if a crash cut it short."""
  try:
    return json.loads(line)["step"] + 0
  except (ValueError, KeyError, TypeError):
    return float("inf")
