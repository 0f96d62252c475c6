"""Serves the runs beside this file; see README.md."""

import pathlib
import sys

from jaxgan.applications import demo_models, demo_page
from jaxgan.engine import startup
from jaxgan.errors import InputError

if __name__ == "__main__":
  startup.set_up()
  runs = pathlib.Path(__file__).parent / "runs"
  workdirs = [x.parent for x in sorted(runs.glob("*/run.json"))]
  try:
    demo_page.serve(demo_models.load([str(workdir) for workdir in workdirs]))
  except InputError as e:
    sys.exit(f"error: {e}")
