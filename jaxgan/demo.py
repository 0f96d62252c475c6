"""A page to try trained runs on: `python -m jaxgan.demo --workdir=DIR ...`."""

import pathlib

from absl import flags

from jaxgan import cli
from jaxgan.applications import demo_models, demo_page, export_space

_WORKDIR = flags.DEFINE_multi_string(
  "workdir", [], "Folder of a run; once or more.", allow_override=True
)
_STEP = cli.step_flag()
_EMA = cli.ema_flag()
_HOST = flags.DEFINE_string(
  "host", None, "Address to listen on; by default of this machine alone."
)
_PORT = flags.DEFINE_integer(
  "port", None, "Port; by default the first free one from 7860.", 1, 65535
)
_EXAMPLES = flags.DEFINE_string(
  "examples",
  None,
  "Folder of examples of the source of each run that translates, of which the "
  "first eight are shown, and exported; by default held-out ones.",
)
_EXPORT = flags.DEFINE_string(
  "export", None, "New folder for a Space with these runs."
)


def main() -> None:
  """Serves or exports the runs of the flags."""
  if not _EXPORT.value:
    demo_page.import_gradio()  # before anything takes time
  entries = demo_models.load(_WORKDIR.value, _STEP.value, _EXAMPLES.value)
  if not _EXPORT.value:
    demo_page.serve(entries, _EMA.value, _HOST.value, _PORT.value)
    return
  folder = pathlib.Path(_EXPORT.value)
  export_space.export(entries, folder, _EMA.value)
  size = sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())
  print(
    f"wrote {folder}, {size / 1e6:.1f} MB; to serve it: python app.py there, "
    f"or hf upload USER/SPACE {folder} --repo-type=space"
  )


if __name__ == "__main__":
  cli.main(main)
