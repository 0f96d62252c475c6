"""Translates images: `python -m jaxgan.translate --workdir=DIR ...`."""

import pathlib

from absl import flags

from jaxgan import cli
from jaxgan.applications import translator
from jaxgan.errors import InputError

_WORKDIR = cli.workdir_flag()
_STEP = cli.step_flag()
_SEED = cli.seed_flag(help="Seed of the noise of Pix2Pix.")
_EMA = cli.ema_flag()
_INPUT = flags.DEFINE_string("input", None, "An image, or a folder of them.")
_OUTPUT = cli.output_flag(help="File or folder to write translations to.")
_DIRECTION = flags.DEFINE_string(
  "direction",
  "forward",
  "Direction: 'forward'; 'backward', from target to source; or DTN's "
  "'identity', from target to target.",
)
_DETERMINISTIC = flags.DEFINE_bool(
  "deterministic",
  False,
  "Leave Pix2Pix's noise out, and use running statistics of batch norm.",
)
_NATIVE = flags.DEFINE_bool(
  "native",
  False,
  "Translate images at their size, not at the scale of the training images.",
)


def main() -> None:
  """Translates the images of the flags."""
  for flag in (_INPUT, _OUTPUT):
    if not flag.value:
      raise InputError(f"give --{flag.name}, an image or a folder")
  files = translator.match_files(
    pathlib.Path(_INPUT.value), pathlib.Path(_OUTPUT.value)
  )
  run = cli.restore(_WORKDIR.value, _STEP.value)
  options = _SEED.value, _EMA.value, _DETERMINISTIC.value, _NATIVE.value
  translate = translator.create(run, _DIRECTION.value, *options)
  channels = translator.channels(run, _DIRECTION.value)
  errors = translator.translate_files(translate, channels, files)
  if len(files) > len(errors):
    print(f"wrote {_OUTPUT.value}")
  if len(files) > 1 and errors:
    count = f"{len(errors)} of {len(files)} images were not translated: "
    raise InputError(count + "; ".join(errors[:3]))
  if errors:
    raise InputError(errors[0])


if __name__ == "__main__":
  cli.main(main)
