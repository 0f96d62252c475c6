"""Serves the runs beside this file; see README.md."""

import pathlib

from absl import logging

from jaxgan import demo, runtime

if __name__ == "__main__":
  logging.set_verbosity(logging.ERROR)
  runtime.set_up()
  runs = pathlib.Path(__file__).parent / "runs"
  demo.serve(demo.load([str(path) for path in sorted(runs.iterdir())]))
