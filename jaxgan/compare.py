"""Sets runs side by side: `python -m jaxgan.compare DIR DIR ...`."""

import pathlib

from jaxgan import cli
from jaxgan.applications import report
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError

_OUTPUT = cli.output_flag(
  help="Page to write, or with .png its curves.", default="comparison.html"
)


def main(*folders: str) -> None:
  """Compares the runs in the folders."""
  if not folders:
    raise InputError("give the folders of runs")
  output = pathlib.Path(_OUTPUT.value)
  if output.suffix not in (".html", ".png"):
    raise InputError(f"output={output}: give a name that ends in .html or .png")
  entries = report.read_all(folders)
  write = report.curves if output.suffix == ".png" else report.page
  content = write(entries)
  output.parent.mkdir(parents=True, exist_ok=True)
  write_atomically(output, content)
  for title, table in report.tables(entries):
    print(f"{title}:\n\n{report.markdown(table)}\n")
  print(f"wrote {output}")


if __name__ == "__main__":
  cli.main(main, arguments=True)
