"""Sets runs side by side: `python -m jaxgan.compare DIR DIR ...`."""

import pathlib

from jaxgan import cli
from jaxgan.applications import report
from jaxgan.engine.workdir import write_atomically
from jaxgan.errors import InputError

_OUTPUT = cli.output_flag(help="Page to write.", default="comparison.html")


def main(*folders: str) -> None:
  """Compares the runs in the folders."""
  if not folders:
    raise InputError("give the folders of runs")
  output = pathlib.Path(_OUTPUT.value)
  if output.suffix != ".html":
    raise InputError(f"output={output}: give a name that ends in .html")
  entries = report.read_all(folders)
  output.parent.mkdir(parents=True, exist_ok=True)
  write_atomically(output, report.page(entries))
  for title, table in report.tables(entries):
    print(f"{title}:\n\n{report.markdown(table)}\n")
  print(f"wrote {output}")


if __name__ == "__main__":
  cli.main(main, arguments=True)
