"""The keys that all configs share, the data presets, and their checks."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxgan.errors import InputError

# Keys that may differ when a run is resumed: they change what is written and
# how the work is laid out, not what is learned.
RUNTIME_KEYS = (
  "steps",
  "log_every",
  "sample_every",
  "checkpoint_every",
  "eval_every",
  "wandb",
  "parallel",
  "chunk_size",
  "nonfinite",
  "nonfinite_limit",
)


def base_config(preset: str) -> ConfigDict:
  """Returns the shared keys, with `data` set for one of the presets.

  Args:
    preset: "digits", "typeset_digits", "stacked_digits", "ring", "grid"
      (built in, no download), "mnist", "stacked_mnist", "fashion_mnist",
      "cifar10", "celeba" (through TensorFlow Datasets), "usps" (its text
      files in `data.path`), or "folder" (images below `data.path`).

  Raises:
    InputError: for another preset.
  """
  config = _shared_config()
  config.data = ConfigDict(
    {
      "name": "digits",
      "path": "",  # of a folder, or of the prepared TFDS sets
      "split": "train",
      "image_size": 32,
      "channels": 1,
      "pad": 0,  # background pixels added on each side, or cut off below 0
      "flip": False,  # random, left to right
      "crop": 0,  # random, by up to so many pixels
      "dequantize": False,  # uniform noise of one grey level
      **_of_preset(preset, _DATA),
    }
  )
  return config


def translation_config(preset: str) -> ConfigDict:
  """Returns the shared keys for models that translate images.

  As in `unconditional_config`, `generator`, `critic` and `optimizers` are left
  to the config, and `weights`, those of the generator's terms.

  Args:
    preset: of unpaired images, "digits" (handwritten to typeset ones, built
      in), "mnist_usps", "usps_mnist", "svhn_mnist", "horse2zebra" (through
      TensorFlow Datasets), "folders" or "faces" (images below
      `data.source.path` and `data.target.path`); of pairs, "outlines" (of
      handwritten digits, to these; built in), "facades" (of the CMP set, from
      labels to photographs) or "pairs" (side by side in the images below
      `data.path`, or with equal names below `data.source.path` and
      `data.target.path`).

  Raises:
    InputError: for another preset.
  """
  config = _shared_config()
  # Published translators do not average their weights.
  config.ema_decay = 0.0
  config.loss = "least_squares"  # a name in jaxgan/losses.py
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  domain = {
    "name": "folder",
    "path": "",  # by default that of both
    "split": "train",
    "channels": 3,
    "pad": 0,  # background pixels added on each side, or cut off below 0
  }
  data = _of_preset(preset, _TRANSLATION)
  config.data = ConfigDict(
    {
      "name": "unpaired",  # or "pairs", "outlines"
      "path": "",
      "image_size": 256,
      "image_width": 0,  # where it is not the height, `image_size`
      # Pixels by which images are read larger, to be cut at a random place.
      "margin": 0,
      "flip": False,  # random, left to right; of both images of a pair
      "source_side": "left",  # or "right", of images that hold a pair
      **data,
      "source": domain | data.get("source", {}),
      "target": domain | data.get("target", {}),
    }
  )
  return config


def _of_preset(preset: str, table: dict[str, Any]) -> dict[str, Any]:
  if preset not in table:
    raise InputError(f"no preset {preset!r}: choose one of {', '.join(table)}")
  return table[preset]


def _shared_config() -> ConfigDict:
  return ConfigDict(
    {
      "algorithm": "gan",
      "seed": 0,
      "steps": 10_000,  # rounds
      "batch_size": 64,  # of all devices together
      "log_every": 100,  # rounds, as are the two below
      "sample_every": 500,  # 0: only at the end
      "checkpoint_every": 1000,  # 0: only at the end
      # Rounds between evaluations, after each of which the best checkpoint so
      # far is kept beside the latest; 0: never.
      "eval_every": 0,
      "eval_samples": 5000,
      "inception": "",  # file of weights, for FID; or a classifier is used
      "wandb": "",  # logs for Weights & Biases: "offline", "online" or none
      "ema_decay": 0.999,  # 0: samples come from the weights themselves
      "dtype": "float32",  # of the networks' arithmetic; or "bfloat16"
      "parallel": "pmap",  # or "shard_map"
      # Where a loss, gradient or update is not finite: "stop" before it,
      # "skip" it, or "rollback" to the last checkpoint, with other noise.
      "nonfinite": "stop",
      # Skipped rounds in a row, or rollbacks to one checkpoint, before a stop.
      "nonfinite_limit": 10,
    }
  )


def unconditional_config(preset: str) -> ConfigDict:
  """Returns `base_config(preset)` with the keys of `algorithms/gan.py`.

  Their values here are neutral; a config sets those that its paper gives,
  and the three entries that have none: `generator`, `critic`, `optimizers`.
  """
  config = base_config(preset)
  config.loss = "non_saturating"  # a name in jaxgan/losses.py
  # A name in jaxgan/penalties.py, or "" for none, and its weight.
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  config.n_critic = 1  # critic updates per round
  config.generator_batches = 1  # the generator's batch, in batches
  config.latent = "normal"  # or "uniform" in [-1, 1]
  config.latent_size = 100
  config.critic_output = "linear"  # or "sigmoid", for least_squares
  config.unroll_steps = 0  # of the critic, seen by the generator's gradient
  # Name of the critic's layer whose means the generator matches, in place of
  # its side of the loss, such as "hidden_1"; or "" for none.
  config.feature_matching = ""
  # Of the critic: 100 kernels in the paper, 0 for none.
  config.minibatch_discrimination = ConfigDict({"kernels": 0, "dims": 5})
  return config


def ot_gan_config(preset: str) -> ConfigDict:
  """Returns `base_config(preset)` with the keys of `algorithms/ot_gan.py`.

  As in `unconditional_config`, three entries are left to the config.
  """
  config = base_config(preset)
  config.algorithm = "ot_gan"
  config.latent = "uniform"  # or "normal"
  config.latent_size = 100
  config.n_generator = 3  # generator updates per round; the critic makes one
  config.transport = ConfigDict(
    {
      "epsilon": 1 / 500,
      "max_iterations": 500,
      # The code always makes 500 plain iterations. Annealing and momentum
      # reach the same plan in a third of them or fewer.
      "threshold": 1e-3,
      "annealing": (50.0, 0.9),
      "momentum": 1.5,
    }
  )
  # Images of a device whose activations are held at a time; 0: all.
  config.chunk_size = 0
  return config


def classifier_config(preset: str) -> ConfigDict:
  """Returns `base_config(preset)` with the keys of a small classifier."""
  config = base_config(preset)
  config.algorithm = "classifier"
  config.steps = 2000
  config.batch_size = 128
  config.data.flip = False  # digits and letters are not symmetric
  config.data.crop = config.data.image_size // 16
  config.classifier = ConfigDict(
    {
      "name": "lenet",
      "classes": 1000 if "stacked" in preset else 10,
      "widths": (32, 64),
      "features": 64,
    }
  )
  config.optimizers = ConfigDict(
    {
      "classifier": {
        "name": "adam",
        "learning_rate": 1e-3,
        "schedule": "linear",
      }
    }
  )
  return config


_DATA: dict[str, dict[str, Any]] = {
  "digits": {"name": "digits", "image_size": 16},
  "typeset_digits": {"name": "typeset_digits", "image_size": 16},
  "stacked_digits": {"name": "stacked_digits", "image_size": 16, "channels": 3},
  "ring": {"name": "ring"},
  "grid": {"name": "grid"},
  # 28 + 2 * 2: no pixel of a digit is resampled.
  "mnist": {"name": "mnist", "pad": 2},
  "stacked_mnist": {"name": "stacked_mnist", "channels": 3, "pad": 2},
  "fashion_mnist": {"name": "fashion_mnist", "pad": 2},
  "usps": {"name": "usps", "image_size": 16},
  "cifar10": {"name": "cifar10", "channels": 3, "flip": True},
  "celeba": {
    "name": "celeb_a",
    "image_size": 64,
    "channels": 3,
    "flip": True,
  },
  "folder": {"name": "folder", "image_size": 64, "channels": 3, "flip": True},
}

# MNIST's digits have a margin of 4 pixels; those of USPS fill the image.
_MNIST = {"name": "mnist", "channels": 1, "pad": -4}
_USPS = {"name": "usps", "channels": 1}
_PHOTOS = {"image_size": 256, "margin": 30, "flip": True}  # read at 286
_TRANSLATION: dict[str, dict[str, Any]] = {
  "digits": {
    "image_size": 16,
    "source": {"name": "digits", "channels": 1},
    "target": {"name": "typeset_digits", "channels": 1},
  },
  "mnist_usps": {"image_size": 16, "source": _MNIST, "target": _USPS},
  "usps_mnist": {"image_size": 16, "source": _USPS, "target": _MNIST},
  "svhn_mnist": {
    "image_size": 32,
    "source": {"name": "svhn_cropped", "split": "extra"},
    "target": {"name": "mnist", "channels": 1, "pad": 2},
  },
  "faces": {"image_size": 96, "margin": 12, "flip": True},
  "horse2zebra": {
    **_PHOTOS,
    "source": {"name": "cycle_gan/horse2zebra", "split": "trainA"},
    "target": {"name": "cycle_gan/horse2zebra", "split": "trainB"},
  },
  "folders": _PHOTOS,
  "outlines": {
    "name": "outlines",
    "image_size": 16,
    "source": {"name": "digits", "channels": 1},
    "target": {"name": "digits", "channels": 1},
  },
  "facades": {**_PHOTOS, "name": "pairs", "source_side": "right"},
  "pairs": {**_PHOTOS, "name": "pairs"},
}


def check(config: ConfigDict, devices: int) -> None:
  """Refuses values that no run could work with.

  Args:
    config: see `base_config`.
    devices: that share a batch.

  Raises:
    InputError: naming the key and a value that would do.
  """
  for key in (
    "steps", "batch_size", "log_every", "eval_samples", "nonfinite_limit"
  ):  # fmt: skip
    if config[key] < 1:
      raise InputError(f"{key}={config[key]}: give at least 1")
  for key, zero in (
    ("sample_every", "only at the end"),
    ("checkpoint_every", "only at the end"),
    ("eval_every", "never"),
  ):
    if config[key] < 0:
      raise InputError(f"{key}={config[key]}: give 0 ({zero}) or more")
  if not 0 <= config.seed < 2**32:
    raise InputError(f"seed={config.seed}: give a value from 0 to 2^32 - 1")
  if not 0 <= config.ema_decay < 1:
    raise InputError(f"ema_decay={config.ema_decay}: give a value in [0, 1)")
  if config.wandb not in ("", "offline", "online"):
    raise InputError(
      f"wandb={config.wandb!r}: choose 'offline', 'online' or '' for none"
    )
  if config.dtype not in ("float32", "bfloat16"):
    raise InputError(f"dtype={config.dtype!r}: choose 'float32' or 'bfloat16'")
  if config.nonfinite not in ("stop", "skip", "rollback"):
    raise InputError(
      f"nonfinite={config.nonfinite!r}: choose 'stop', 'skip' or 'rollback'"
    )
  if config.batch_size % devices:
    below = config.batch_size // devices * devices
    raise InputError(
      f"batch_size={config.batch_size} is not a multiple of the {devices} "
      f"devices: give {below or devices} or {below + devices}"
    )


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """Keys, but the run-time ones, in which a workdir's config differs.

  `steps` counts where an optimizer's learning rate follows a schedule.
  """
  runtime = set(RUNTIME_KEYS)
  if any(
    optimizer.get("schedule", "constant") != "constant"
    for optimizer in new.optimizers.values()
  ):
    runtime.remove("steps")
  old, new = flatten(old), flatten(new)
  return [
    f"{key} ({old.get(key, 'unset')} -> {new.get(key, 'unset')})"
    for key in sorted({**old, **new})
    if key not in runtime and old.get(key) != new.get(key)
  ]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """The values of a config, all at one level, by keys such as "data.name"."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, (ConfigDict, dict)):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = list(value) if isinstance(value, tuple) else value
  return flat
