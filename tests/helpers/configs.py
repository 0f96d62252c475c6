"""Configs of tiny runs."""

import pathlib
import runpy
from typing import Any

from helpers.environment import ROOT
from helpers.session import once
from ml_collections import ConfigDict

from jaxgan.data import presets
from jaxgan.train import train


def load_config(name: str, preset: str | None = None) -> ConfigDict:
  """Returns the config of a preset of `configs/<name>.py`."""
  get_config = _module(name)["get_config"]
  return get_config(preset) if preset else get_config()


def presets_of(name: str) -> tuple[str, ...]:
  """Returns the presets that `configs/<name>.py` lists."""
  return _module(name)["PRESETS"]


def _module(name: str) -> dict[str, Any]:
  return runpy.run_path(str(ROOT / "configs" / f"{name}.py"))


def shrink(config: ConfigDict) -> ConfigDict:
  """Makes networks and batch tiny, in place."""
  config.batch_size = 16
  for player in config.optimizers:
    network = config.get(player, {})  # some players have no entry of their name
    for key, size in (("width", 4), ("blocks", 1)):
      if key in network:
        network[key] = size
    if "hidden" in network:
      network.hidden = (16,) * len(network.hidden)
    if "widths" in network:
      network.widths = (8,) * len(network.widths)
  if "latent_size" in config:
    config.latent_size = 8
  if "features" in config:  # whatever the data, of digits
    network = shrink(load_config("classifier")).classifier
    config.features.update(
      workdir=str(feature_net()), image_size=16, channels=1, network=network
    )
  for updates in {"n_critic", "n_generator"} & set(config):
    config[updates] = min(config[updates], 2)  # unrolled: costs compilation
  return config


def feature_net() -> pathlib.Path:
  """Returns the folder of a classifier that has learned for one step."""
  return once("feature_net", _train_feature_net)


def _train_feature_net(folder: pathlib.Path) -> None:
  config = shrink(load_config("classifier"))
  config.steps = 1
  train(config, folder)


def data_config(preset: str = "folder", **values) -> ConfigDict:
  """Returns the `data` of a preset, with other values."""
  config = presets.images(preset)
  config.update(values)
  return config


def small(name, preset=None, **values):
  config = shrink(load_config(name, preset))
  config.update_from_flattened_dict(
    {"steps": 2, "log_every": 1, "eval_every": 0} | values
  )
  return config.lock()
