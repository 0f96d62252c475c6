"""Runs a command: `jaxgan train --config=wgan_gp` is `python -m jaxgan.main`.

Every other command has the name of its module.
"""

import ast
import pathlib
import runpy
import sys

_MODULES = {"train": "main"}  # jaxgan.train is the loop


def main() -> None:
  """Runs the command of the first argument with the others."""
  name, *arguments = sys.argv[1:] or ["--help"]
  commands = _commands()
  if name in ("--help", "-h", "help"):
    width = max(map(len, commands))
    print("jaxgan COMMAND [--FLAG=VALUE ...]; its flags: jaxgan COMMAND --help")
    for command, summary in commands.items():
      print(f"  {command:{width}}  {summary}")
    return
  if name not in commands:
    sys.exit(f"error: no command {name!r}: choose one of {', '.join(commands)}")
  sys.argv[1:] = arguments
  sys.path.insert(0, "")  # as `python -m` does: for modules of the user
  module = f"jaxgan.{_MODULES.get(name, name)}"
  runpy.run_module(module, run_name="__main__", alter_sys=True)


def _commands() -> dict[str, str]:
  """Returns the commands, and what the first lines of their modules say."""
  summaries = {}
  for file in sorted(pathlib.Path(__file__).parent.glob("[!_]*.py")):
    source = file.read_text()
    if '\nif __name__ == "__main__":' in source:
      text = ast.get_docstring(ast.parse(source)) or ""
      summaries[file.stem] = text.split(":")[0]
  names = {module: name for name, module in _MODULES.items()}
  return {names.get(x, x): summary for x, summary in summaries.items()}


if __name__ == "__main__":
  main()
