"""Sets runs side by side: `python -m jaxgan.compare DIR DIR ...`."""

import pathlib

from jaxgan import cli
from jaxgan.applications import report
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError

_OUTPUT = cli.output_flag(
  help="Page to write; with .png its curves, with .json its figures.",
  default="comparison.html",
)


def main(*folders: str) -> None:
  """Compares the runs in the folders."""
  if not folders:
    raise InputError("give the folders of runs")
  output = pathlib.Path(_OUTPUT.value)
  forms = {".html": report.page, ".png": report.curves, ".json": report.figures}
  if output.suffix not in forms:
    raise InputError(
      f"output={output}: give a name that ends in {', '.join(forms)}"
    )
  entries = report.read_all(folders)
  content = forms[output.suffix](entries)
  output.parent.mkdir(parents=True, exist_ok=True)
  write_atomically(output, content)
  for title, table in report.tables(entries):
    print(f"{title}:\n\n{report.markdown(table)}\n")
  print(f"wrote {output}")


if __name__ == "__main__":
  cli.main(main, arguments=True)
