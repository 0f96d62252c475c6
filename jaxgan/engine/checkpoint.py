"""Checkpoints that describe themselves and are verified when restored.

A checkpoint holds the `TrainState`, the config, and a digest of every leaf:
the storage library notices neither a flipped byte nor a changed dtype.
"""

import contextlib
import hashlib
import json
import math
import pathlib
import re
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from jaxgan.config import differences
from jaxgan.errors import InputError, SaveError, first_line
from jaxgan.game import TrainState

KEEP = 3  # latest checkpoints


@contextlib.contextmanager
def open_manager(
  workdir: pathlib.Path, read_only: bool = False
) -> Iterator[ocp.CheckpointManager]:
  """Yields the manager of the checkpoints in `workdir/checkpoints`.

  It keeps the latest `KEEP` and the one with the lowest metric. That must be
  finite: the storage library would take NaN for the best. It works for the
  process that opens it, whatever others do; only the first can write.

  Raises:
    SaveError: at the end, where the last checkpoint could not be written.
  """

  def lowest(metrics: dict[str, float]) -> float:
    return metrics["metric"]

  policies = ocp.checkpoint_managers
  folder = (workdir / "checkpoints").absolute()
  if not read_only:
    folder.mkdir(parents=True, exist_ok=True)
  own = jax.process_index()
  manager = ocp.CheckpointManager(
    folder,
    options=ocp.CheckpointManagerOptions(
      create=False,
      read_only=read_only,
      multiprocessing_options=ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}
      ),
      best_fn=lowest,  # without it, metrics would not be stored
      best_mode="min",
      preservation_policy=policies.AnyPreservationPolicy(
        [
          policies.LatestN(KEEP),
          policies.BestN(
            n=1,
            reverse=True,
            get_metric_fn=lowest,
            keep_checkpoints_without_metrics=False,
          ),
        ]
      ),
    ),
  )
  try:
    yield manager
  finally:
    with _written(manager):
      manager.close()


def check(manager: ocp.CheckpointManager) -> None:
  """Raises `SaveError` where a checkpoint could not be written so far."""
  with _written(manager):
    manager.check_for_errors()


def wait(manager: ocp.CheckpointManager) -> None:
  """Waits until what was saved is written; raises `SaveError` if it cannot."""
  with _written(manager):
    manager.wait_until_finished()


@contextlib.contextmanager
def _written(manager: ocp.CheckpointManager) -> Iterator[None]:
  try:
    yield
  except SaveError:
    raise
  except Exception as e:  # the storage library raises many kinds
    reason = first_line(e)
    # The storage library says it after names of files and before a page of
    # its own settings.
    own = re.split(r" \[(?:os_error_code|tensorstore_spec)=", reason)
    if len(own) > 1:
      reason = own[0].rpartition(": ")[2]
    whole = ", ".join(map(str, manager.all_steps())) or "none"
    raise SaveError(
      f"no checkpoint can be written to {manager.directory} ({reason}); whole "
      f"ones: {whole}; the same command goes on from there, once one can"
    ) from e


def save(
  manager: ocp.CheckpointManager,
  state: TrainState,
  config: ConfigDict,
  metric: float | None = None,
) -> None:
  """Starts writing the state, on one device or the host, in the background.

  Args:
    manager: see `open_manager`.
    state: what is written.
    config: of the run.
    metric: of which lower is better, if it was evaluated.

  Raises:
    RuntimeError: where a later step is stored already.
    SaveError: where it, or the last one, cannot be written.
  """
  state = jax.device_get(state)
  step = int(state.step)
  measured = metric is not None and math.isfinite(metric)
  meta = {"config": json.loads(config.to_json()), "digest": digest(state)}
  with _written(manager):
    saved = manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
      ),
      metrics={"metric": metric} if measured else None,
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
  """Returns the config of the newest checkpoint, or `step`, that tells it."""
  steps = sorted(manager.all_steps(), reverse=True)
  for one in steps if step is None else [step]:
    try:
      return ConfigDict(stored_meta(manager, one)["config"])
    except Exception:  # the storage library raises many kinds
      continue
  return None


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
    config: that it must be of, but for run-time keys; or None for any.
    step: only that of this round is wanted.
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
      workdir = pathlib.Path(manager.directory).parent
      raise OtherConfigError(f"{workdir} {error}; give another --workdir")
  if damaged:
    raise InputError(
      f"none of the checkpoints in {manager.directory} can be restored: "
      + "; ".join(f"{one}: {first_line(e)}" for one, e in damaged.items())
    )
  return None


class OtherConfigError(InputError):
  """A checkpoint is of a run with another config."""


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
  if config and (changed := differences(ConfigDict(meta["config"]), config)):
    raise OtherConfigError(
      f"belongs to a run with another config: {', '.join(changed)}"
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
    raise ValueError(f"it is that of round {restored.state.step}, renamed")
  return restored.state


def _set_aside(manager: ocp.CheckpointManager, step: int) -> None:
  source = pathlib.Path(manager.directory) / str(step)
  target = source.parent.parent / "damaged" / str(step)
  target.parent.mkdir(exist_ok=True)
  shutil.rmtree(target, ignore_errors=True)
  source.rename(target)
  manager.reload()
