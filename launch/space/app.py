"""Serves the runs beside this file; see README.md."""

import pathlib
import sys

from absl import logging

from jaxgan import demo, runtime, showcase
from jaxgan.config import InputError

if __name__ == "__main__":
  logging.set_verbosity(logging.ERROR)
  runtime.set_up()
  runs = pathlib.Path(__file__).parent / "runs"
  found = [x.parent for x in sorted(runs.glob("*/checkpoints"))]
  try:
    demo.serve(showcase.load([str(workdir) for workdir in found]))
  except InputError as e:
    sys.exit(f"error: {e}")
