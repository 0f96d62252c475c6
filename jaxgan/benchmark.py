"""Times a config: `python -m jaxgan.benchmark --config=configs/dcgan.py`."""

import json
import pathlib

import jax
from absl import flags

from jaxgan import cli
from jaxgan.applications import step_timing

_CONFIG = cli.config_flag()
_JSON = flags.DEFINE_string("json", None, "File to write the figures to.")


def main() -> None:
  """Prints what a training step costs beside what the machine can do."""
  jax.config.update("jax_enable_compilation_cache", False)
  if _JSON.value:
    pathlib.Path(_JSON.value).touch()  # an error now, not after measuring
  figures = step_timing.measure(_CONFIG.value)
  for name, value in figures.items():
    text = f"{value:.4g}" if isinstance(value, float) else value
    print(f"{name:26}{text}")
  if _JSON.value:
    pathlib.Path(_JSON.value).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
  cli.main(main)
