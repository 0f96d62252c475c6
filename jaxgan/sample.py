"""Draws from a trained run: `python -m jaxgan.sample --workdir=DIR ...`."""

import pathlib

from absl import flags

from jaxgan import cli
from jaxgan.applications import sample_files

_WORKDIR = cli.workdir_flag()
_STEP = cli.step_flag()
_SEED = cli.seed_flag()
_EMA = cli.ema_flag()
_FEATURES = cli.features_flag()
_DATA_PATH = cli.data_path_flag()
_KIND = flags.DEFINE_enum(
  "kind",
  "grid",
  sample_files.COUNTS,
  "Kind of file. grid: images; interpolation: rows from one image to another; "
  "walk: a GIF through several; neighbours: images beside the nearest of "
  "training; folder: numbered PNGs.",
)
_OUTPUT = cli.output_flag(help="File to write, or the folder of --kind=folder.")
_COUNT = flags.DEFINE_integer(
  "count",
  None,
  "Number of images (grid, 64; neighbours, 8; folder, 10000), rows "
  "(interpolation, 8) or stations (walk, 8).",
  lower_bound=1,
)
_FRAMES = flags.DEFINE_integer(
  "frames",
  10,
  "Images from one to the next, for interpolation and walk.",
  lower_bound=2,
)


def main() -> None:
  """Writes samples of a run."""
  sample_files.check(_KIND.value, _OUTPUT.value, _COUNT.value, _FRAMES.value)
  output = pathlib.Path(_OUTPUT.value)
  run = cli.restore(_WORKDIR.value, _STEP.value, _DATA_PATH.value)
  options = _KIND, _COUNT, _FRAMES, _SEED, _EMA, _FEATURES
  sample_files.write(run, output, *(flag.value for flag in options))
  print(f"wrote {output}")


if __name__ == "__main__":
  cli.main(main)
