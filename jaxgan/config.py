"""The keys that all configs share, and their checks."""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxgan.checks import at_least, one_of, seed
from jaxgan.errors import InputError

# Keys that may differ when a run is resumed: they change what is written and
# how the work is laid out, not what is learned.
RUNTIME_KEYS = (
  "steps", "log_every", "sample_every", "checkpoint_every", "eval_every",
  "best_metric", "wandb", "parallel", "chunk_size", "nonfinite",
  "nonfinite_limit",
)  # fmt: skip


def shared_config(algorithm: str, data: ConfigDict) -> ConfigDict:
  """Returns the keys that all runs share.

  Args:
    algorithm: a module in `jaxgan/algorithms/`, whose `default_config` adds
      the keys that it reads.
    data: see `jaxgan/data/presets.py`.
  """
  return ConfigDict(
    {
      "algorithm": algorithm,
      "data": data,
      "seed": 0,
      "steps": 10_000,
      "batch_size": 64,  # of all devices together
      "log_every": 100,  # steps, as the next two
      "sample_every": 500,  # 0: only at the end
      "checkpoint_every": 1000,  # 0: only at the end
      # Steps between evaluations, which keep the best checkpoint so far beside
      # the latest; 0: never.
      "eval_every": 0,
      "eval_samples": 5000,
      # The metric that decides which checkpoint is the best, such as "KID";
      # "": the usual one of such runs, see `evaluation.metrics.tables`.
      "best_metric": "",
      # The feature net of evaluations: the folder of a classifier's run or of
      # FaceNet, or Inception's file; "": a classifier, trained for the data.
      "eval_features": "",
      "wandb": "",  # logs for Weights & Biases: "offline", "online" or none
      "ema_decay": 0.999,  # 0: samples come from the weights themselves
      "dtype": "float32",  # of the networks' arithmetic; or "bfloat16"
      "parallel": "pmap",  # or "shard_map"
      # Where a loss, gradient or update is not finite: "stop" before it,
      # "skip" it, or "rollback" to the last checkpoint, with other noise.
      "nonfinite": "stop",
      # Skipped steps in a row, or rollbacks to one checkpoint, before a stop.
      "nonfinite_limit": 10,
    }
  )


def check(config: ConfigDict, devices: int) -> None:
  """Refuses values that no run on so many devices could work with.

  Raises:
    InputError: naming the key and a value that works.
  """
  for key in (
    "steps", "batch_size", "log_every", "eval_samples", "nonfinite_limit"
  ):  # fmt: skip
    at_least(key, config[key], 1)
  for key, zero in (
    ("sample_every", "only at the end"),
    ("checkpoint_every", "only at the end"),
    ("eval_every", "never"),
  ):
    at_least(key, config[key], 0, zero)
  seed("seed", config.seed)
  if not 0 <= config.ema_decay < 1:
    raise InputError(f"ema_decay={config.ema_decay}: give a value in [0, 1)")
  for key, allowed in (
    ("wandb", ("", "offline", "online")),
    ("dtype", ("float32", "bfloat16")),
    ("nonfinite", ("stop", "skip", "rollback")),
  ):
    one_of(key, config[key], allowed)
  if config.batch_size % devices:
    below = config.batch_size // devices * devices
    multiples = [str(size) for size in (below, below + devices) if size]
    raise InputError(
      f"batch_size={config.batch_size} is not a multiple of the {devices} "
      f"devices: give {' or '.join(multiples)}"
    )


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """Returns the keys in which two configs differ, without `RUNTIME_KEYS`.

  `steps` counts where an optimizer's learning rate follows a schedule.
  """
  runtime, notes = set(RUNTIME_KEYS), {}
  if has_schedule(new):
    runtime.remove("steps")
    notes["steps"] = ", over which a learning rate follows its schedule"
  old, new = flatten(old), flatten(new)
  return [
    f"{key} ({old.get(key, 'unset')} -> {new.get(key, 'unset')}"
    f"{notes.get(key, '')})"
    for key in sorted({**old, **new})
    if key not in runtime and old.get(key) != new.get(key)
  ]


def with_values(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
  """Returns a config with other values, of keys such as "data.name".

  A mapping replaces a whole entry.

  Raises:
    InputError: where there is no such key, or its values are of another type.
  """
  config = config.copy_and_resolve_references()
  for key, value in values.items():
    *parents, name = key.split(".")
    entry = config
    for parent in parents:
      entry = entry.get(parent) if isinstance(entry, ConfigDict) else None
    if not isinstance(entry, ConfigDict) or name not in entry:
      near = difflib.get_close_matches(key, [*config, *flatten(config)], 1)
      hint = f"; did you mean {near[0]!r}?" if near else ""
      raise InputError(f"the config has no key {key!r}{hint}")
    old, kind = entry[name], type(entry[name]).__name__
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(old, ConfigDict):
      missing = {"name"} & set(old) - set(value if _has_keys(value) else ())
      if not _has_keys(value) or missing:
        raise InputError(f"{key} has keys: give {key}.KEY, or all of them")
    elif value is None or isinstance(value, bool) != isinstance(old, bool):
      raise InputError(f"{key}={value!r}: give a value of type {kind}")
    try:
      entry[name] = value
    except TypeError as e:
      raise InputError(f"{key}={value!r}: give a value of type {kind}") from e
  return config


def _has_keys(value: Any) -> bool:
  return isinstance(value, (Mapping, ConfigDict))


def has_schedule(config: ConfigDict) -> bool:
  """Returns whether a learning rate follows a schedule over `config.steps`."""
  return any(
    optimizer.get("schedule", "constant") != "constant"
    for optimizer in config.optimizers.values()
  )


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Returns the values of a config by keys such as "data.name"."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, (ConfigDict, dict)):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = list(value) if isinstance(value, tuple) else value
  return flat
