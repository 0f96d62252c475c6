"""Checkpoints that describe themselves and are verified when restored.

A checkpoint holds the `TrainState`, the config, and a digest of every leaf:
the storage library notices neither a flipped byte nor a changed dtype.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from jaxgan.config import differences
from jaxgan.engine import scores
from jaxgan.engine.processes import Process, broadcast, broadcast_from_first
from jaxgan.errors import InputError, SaveError, first_line
from jaxgan.game import TrainState

KEEP = 3  # latest checkpoints
# Raised where a config or a state of before can no longer be used.
FORMAT = 3


class Checkpoints:
  """The checkpoints of a run that trains, and their scores.

  The first process alone reads and writes them: elsewhere, nothing happens but
  that `restore` gets what the first process has read.
  """

  def __init__(
    self,
    config: ConfigDict,
    process: Process,
    manager: ocp.CheckpointManager | None,
  ):
    """Wraps a manager, None but in the first process."""
    self._config, self._process, self._manager = config, process, manager

  def restore(self, template: TrainState) -> TrainState | None:
    """Returns the newest whole state, the same in all processes, on the host.

    Scores of later steps, which will be made again, are dropped.

    Args:
      template: a state of the same structure; only shapes and dtypes matter.

    Returns:
      The state; None where nothing was saved.

    Raises:
      InputError: where no checkpoint is whole, or the run has another config.
    """
    return broadcast_from_first(
      self._process, partial(self._restore_here, template), template
    )

  def restore_or(
    self, begin: Callable[[], TrainState], template: TrainState
  ) -> TrainState:
    """Returns `restore(template)`, or the first process's `begin()`."""
    return self.restore(template) or broadcast(self._process, begin())

  def _restore_here(self, template: TrainState) -> TrainState | None:
    with _written(self._manager):
      self._manager.wait_until_finished()
    state = restore(self._manager, template, self._config)
    scores.drop_after(_workdir(self._manager), int(state.step) if state else 0)
    return state

  def save(self, state: TrainState) -> None:
    """Starts writing a state in the background; see `save`."""
    if self._manager:
      save(self._manager, state, self._config)

  def score(self, step: int, score: float | None) -> None:
    """Writes the score of a step that was saved; see `scores.write`."""
    if self._manager and score is not None:
      with _written(self._manager):
        scores.write(_workdir(self._manager), step, score)

  def check(self) -> None:
    """Raises `SaveError` where a state could not be written so far."""
    if self._manager:
      with _written(self._manager):
        self._manager.check_for_errors()

  def wait(self) -> None:
    """Waits until states are written; raises `SaveError` if they cannot be."""
    if self._manager:
      with _written(self._manager):
        self._manager.wait_until_finished()


@contextlib.contextmanager
def open_checkpoints(
  workdir: pathlib.Path, config: ConfigDict, process: Process
) -> Iterator[Checkpoints]:
  """Yields the checkpoints of a run, and waits at the end until all is saved.

  Args:
    workdir: of the run; only the first process needs it.
    config: of the run.
    process: this one.

  Raises:
    SaveError: at the end, where the last checkpoint could not be written.
  """
  first = process.index == 0
  with open_manager(workdir) if first else contextlib.nullcontext() as manager:
    yield Checkpoints(config, process, manager)


def _workdir(manager: ocp.CheckpointManager) -> pathlib.Path:
  return pathlib.Path(manager.directory).parent


def saved_steps(workdir: pathlib.Path) -> list[int]:
  """Returns the steps of which there are checkpoints, whole or damaged."""
  folders = (workdir / "checkpoints").glob("[0-9]*")
  return sorted(
    int(p.name) for p in folders if p.name.isdecimal() and p.is_dir()
  )


@contextlib.contextmanager
def open_manager(
  workdir: pathlib.Path, read_only: bool = False
) -> Iterator[ocp.CheckpointManager]:
  """Yields the manager of the checkpoints in `workdir/checkpoints`.

  It keeps the latest `KEEP` and the one with the best score. It works for the
  process that opens it, whatever others do; only the first can write.

  Raises:
    SaveError: at the end, where the last checkpoint could not be written.
  """
  folder = (workdir / "checkpoints").absolute()
  if not read_only:
    folder.mkdir(parents=True, exist_ok=True)
  index = jax.process_index()
  policies = ocp.checkpoint_managers
  manager = ocp.CheckpointManager(
    folder,
    options=ocp.CheckpointManagerOptions(
      create=False,
      read_only=read_only,
      multiprocessing_options=ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}
      ),
      preservation_policy=policies.AnyPreservationPolicy(
        [policies.LatestN(KEEP), scores.KeepBest(folder.parent)]
      ),
    ),
  )
  try:
    yield manager
  finally:
    with _written(manager):
      manager.close()


@contextlib.contextmanager
def _written(manager: ocp.CheckpointManager) -> Iterator[None]:
  try:
    yield
  except SaveError:
    raise
  except Exception as e:  # the storage library raises many kinds
    reason = first_line(e)
    # It stands after names of files and before a page of the storage library's
    # settings.
    parts = re.split(r" \[(?:os_error_code|tensorstore_spec)=", reason)
    if len(parts) > 1:
      reason = parts[0].rpartition(": ")[2]
    whole = ", ".join(map(str, manager.all_steps())) or "none"
    raise SaveError(
      f"no checkpoint can be written to {manager.directory} ({reason}); whole "
      f"ones: {whole}; the same command goes on from there, once one can"
    ) from e


def save(
  manager: ocp.CheckpointManager,
  state: TrainState,
  config: ConfigDict,
) -> None:
  """Starts writing a state in the background.

  Args:
    manager: see `open_manager`.
    state: the state, on one device or the host.
    config: of the run.

  Raises:
    RuntimeError: where a later step is stored already.
    SaveError: where it, or the last one, cannot be written.
  """
  state = jax.device_get(state)
  step = int(state.step)
  meta = {
    "format": FORMAT,
    "config": json.loads(config.to_json()),
    "digest": digest(state),
  }
  with _written(manager):
    saved = manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
      ),
    )
  if not saved:
    raise RuntimeError(
      f"checkpoint {step} was not written: the folder holds "
      f"{manager.latest_step()}"
    )


def stored_meta(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  """Returns the config and the digest that a checkpoint holds."""
  restored = manager.restore(
    step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
  )
  return restored.meta


def stored_config(
  manager: ocp.CheckpointManager, step: int | None = None
) -> ConfigDict | None:
  """Returns the config in checkpoint `step`, or in the newest readable one.

  Raises:
    InputError: where another version of jaxgan wrote it.
  """
  steps = sorted(manager.all_steps(), reverse=True)
  for one in steps if step is None else [step]:
    try:
      meta = stored_meta(manager, one)
    except Exception:  # the storage library raises many kinds
      continue
    check_format(_workdir(manager), meta)
    return ConfigDict(meta["config"])
  return None


def check_format(workdir: pathlib.Path, meta: dict[str, Any]) -> None:
  """Refuses the `meta` of a checkpoint of another version of jaxgan."""
  if (written := meta.get("format", 1)) != FORMAT:
    age = "an older" if written < FORMAT else "a newer"
    raise OtherConfigError(
      f"{workdir} is a run of {age} version of jaxgan: use that one, "
      "or train again with another --workdir"
    )


def restore(
  manager: ocp.CheckpointManager,
  template: TrainState,
  config: ConfigDict | None = None,
  step: int | None = None,
  set_aside: bool = True,
) -> TrainState | None:
  """Returns the newest whole state, on the host; None if there are no steps.

  Args:
    manager: see `open_manager`.
    template: a state of the same structure; only shapes and dtypes matter.
    config: of the run, which the checkpoint's may differ from in run-time
      keys; None for any.
    step: of the only checkpoint that is wanted.
    set_aside: move damaged checkpoints that are newer to `damaged/`.

  Raises:
    InputError: where there are checkpoints, but none is whole.
  """
  steps = sorted(manager.all_steps(), reverse=True)
  damaged = {}
  for one in steps if step is None else [step]:
    try:
      state = _restore_step(manager, one, template, config)
    except Exception as e:  # the storage library raises many kinds
      damaged[one] = e
      continue
    for bad, error in damaged.items():
      if set_aside:
        _set_aside(manager, bad)
      warnings.warn(
        f"checkpoint {bad} is damaged"
        + (" and was moved to damaged/" if set_aside else "")
        + f": {first_line(error)}",
        stacklevel=2,
      )
    return state
  for error in damaged.values():
    if isinstance(error, OtherConfigError):
      raise error
  if damaged:
    raise InputError(
      f"none of the checkpoints in {manager.directory} can be restored: "
      + "; ".join(f"{one}: {first_line(e)}" for one, e in damaged.items())
    )
  return None


class OtherConfigError(InputError):
  """A checkpoint is of a run with another config, or of another version."""


def digest(state: TrainState) -> str:
  """SHA-256 over the path, dtype, shape and bytes of every leaf."""
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    leaf = np.asarray(leaf)
    name = jax.tree_util.keystr(path)
    sha.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
    sha.update(np.ascontiguousarray(leaf).tobytes())
  return sha.hexdigest()


def _restore_step(
  manager: ocp.CheckpointManager,
  step: int,
  template: TrainState,
  config: ConfigDict | None,
) -> TrainState:
  meta = stored_meta(manager, step)
  check_format(_workdir(manager), meta)
  if config and (changed := differences(ConfigDict(meta["config"]), config)):
    raise OtherConfigError(
      f"{_workdir(manager)} belongs to a run with another config; give its "
      f"values, or another workdir: {', '.join(changed)}"
    )
  host = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), template)
  try:
    restored = manager.restore(
      step, args=ocp.args.Composite(state=ocp.args.StandardRestore(host))
    )
  except ValueError as e:
    if "tree structures do not match" in str(e):
      raise ValueError("it is of another version of jaxgan") from e
    raise
  # The storage library hands back another shape or dtype without a word.
  for (path, new), old in zip(
    jax.tree_util.tree_leaves_with_path(restored.state),
    jax.tree.leaves(template),
    strict=True,
  ):
    if (new.shape, new.dtype) != (old.shape, old.dtype):
      raise ValueError(
        f"{jax.tree_util.keystr(path)} is {new.dtype}{list(new.shape)}, not "
        f"{old.dtype}{list(old.shape)}"
      )
  if meta["digest"] != digest(restored.state):
    raise ValueError("its digest does not match its contents")
  if restored.state.step != step:
    raise ValueError(f"it is of step {restored.state.step}, renamed")
  return restored.state


def _set_aside(manager: ocp.CheckpointManager, step: int) -> None:
  source = pathlib.Path(manager.directory) / str(step)
  target = source.parent.parent / "damaged" / str(step)
  target.parent.mkdir(exist_ok=True)
  shutil.rmtree(target, ignore_errors=True)
  source.rename(target)
  manager.reload()
