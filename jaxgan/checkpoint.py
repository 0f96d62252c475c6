"""Checkpoints that describe themselves and are verified when restored.

A checkpoint holds the `TrainState`, the config, and a digest of every leaf:
the storage library notices neither a flipped byte nor a changed dtype.
"""

import hashlib
import json
import math
import pathlib
import shutil
import warnings

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from jaxgan.config import InputError, first_line
from jaxgan.train_step import TrainState

KEEP = 3  # latest checkpoints


def open_manager(
  workdir: pathlib.Path, read_only: bool = False
) -> ocp.CheckpointManager:
  """Returns the manager of the checkpoints in `workdir/checkpoints`.

  It keeps the latest `KEEP` and the one with the lowest metric. That must be
  finite: the storage library would take NaN for the best.
  """

  def lowest(metrics: dict[str, float]) -> float:
    return metrics["metric"]

  policies = ocp.checkpoint_managers
  return ocp.CheckpointManager(
    (workdir / "checkpoints").absolute(),
    options=ocp.CheckpointManagerOptions(
      create=not read_only,
      read_only=read_only,
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
  """
  state = jax.device_get(state)
  step = int(state.step)
  measured = metric is not None and math.isfinite(metric)
  saved = manager.save(
    step,
    args=ocp.args.Composite(
      state=ocp.args.StandardSave(state),
      meta=ocp.args.JsonSave(
        {
          "config": json.loads(config.to_json()),
          "digest": digest(state),
        }
      ),
    ),
    metrics={"metric": metric} if measured else None,
  )
  if not saved:
    raise RuntimeError(
      f"checkpoint {step} was not written: the folder holds "
      f"{manager.latest_step()}"
    )


def stored_config(
  manager: ocp.CheckpointManager, step: int | None = None
) -> ConfigDict | None:
  """Returns the config of the newest checkpoint, or `step`, that tells it."""
  steps = sorted(manager.all_steps(), reverse=True)
  for one in steps if step is None else [step]:
    try:
      restored = manager.restore(
        one, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
      )
      return ConfigDict(restored.meta["config"])
    except Exception:  # the storage library raises many kinds
      continue
  return None


def restore(
  manager: ocp.CheckpointManager,
  template: TrainState,
  step: int | None = None,
  set_aside: bool = True,
) -> TrainState | None:
  """Returns the newest whole state, on the host; None if there are no steps.

  Args:
    manager: see `open_manager`.
    template: a state of the same structure; only shapes and dtypes matter.
    step: only that of this round is wanted.
    set_aside: move damaged checkpoints that are newer to `damaged/`.

  Raises:
    InputError: where there are checkpoints, but none is whole.
  """
  steps = sorted(manager.all_steps(), reverse=True)
  damaged = {}
  for one in steps if step is None else [step]:
    try:
      state = _restore_step(manager, one, template)
    except Exception as e:  # the storage library raises many kinds
      damaged[one] = first_line(e)
      continue
    for bad, reason in damaged.items():
      if set_aside:
        _set_aside(manager, bad)
      warnings.warn(
        f"checkpoint {bad} is damaged"
        + (" and was moved to damaged/" if set_aside else "")
        + f": {reason}",
        stacklevel=2,
      )
    return state
  if damaged:
    raise InputError(
      f"none of the checkpoints in {manager.directory} can be restored: "
      + "; ".join(f"{one}: {reason}" for one, reason in damaged.items())
    )
  return None


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
  manager: ocp.CheckpointManager, step: int, template: TrainState
) -> TrainState:
  host = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), template)
  restored = manager.restore(
    step,
    args=ocp.args.Composite(
      state=ocp.args.StandardRestore(host), meta=ocp.args.JsonRestore()
    ),
  )
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
  if restored.meta["digest"] != digest(restored.state):
    raise ValueError("its digest does not match its contents")
  return restored.state


def _set_aside(manager: ocp.CheckpointManager, step: int) -> None:
  source = pathlib.Path(manager.directory) / str(step)
  target = source.parent.parent / "damaged" / str(step)
  target.parent.mkdir(exist_ok=True)
  shutil.rmtree(target, ignore_errors=True)
  source.rename(target)
  manager.reload()
