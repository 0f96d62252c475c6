"""Writes a run's weights alone: `python -m jaxgan.export --workdir=DIR`."""

import pathlib

from absl import flags

from jaxgan import cli
from jaxgan.errors import InputError
from jaxgan.evaluation import weights_only

_WORKDIR = cli.workdir_flag()
_STEP = cli.step_flag()
_EMA = cli.ema_flag()
_OUTPUT = cli.output_flag(help="New folder, for the other commands' --workdir.")
_LEAVE_OUT = flags.DEFINE_multi_string(
  "leave_out",
  [],
  "Frozen player to leave out, such as DTN's 'features', whose run is then "
  "looked for in the new folder, in a folder of that name.",
)


def main() -> None:
  """Writes the weights of the run of the flags."""
  if not _OUTPUT.value:
    raise InputError("give --output, a new folder")
  run = cli.restore(_WORKDIR.value, _STEP.value)
  folder = pathlib.Path(_OUTPUT.value)
  weights_only.write(
    run.config, run.state, folder, _EMA.value, _LEAVE_OUT.value
  )
  size = sum(x.stat().st_size for x in folder.iterdir())
  print(f"wrote {folder}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
  cli.main(main)
