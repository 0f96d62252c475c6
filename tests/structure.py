"""Measures the structure of the package: `python tests/structure.py`.

With `--root FOLDER`, that of another checkout. Reads the code, imports none.
"""

import argparse
import ast
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
# What a reader passes from the flag to the gradient of a WGAN-GP.
WALK = (
  "main", "train", "train_step", "game", "gan", "adversarial", "losses",
  "penalties",
)  # fmt: skip
RENAMED = {"objective": "adversarial"}  # names of older checkouts
# Whose functions may be long: networks, and the page of the demo.
PAGES = ("jaxgan.models", "jaxgan.applications.demo_page", "jaxgan.demo")
# An `except` clause of these hides mistakes of ours.
MISTAKES = {"AttributeError", "KeyError", "TypeError"}


class Function(NamedTuple):
  """A function of a module, and where it is."""

  module: str
  name: str
  lines: int


def parse(folder: pathlib.Path) -> dict[str, ast.Module]:
  """Returns the syntax trees of a folder, by the dotted names of its files."""
  trees = {}
  for path in sorted(folder.rglob("*.py")):
    parts = path.relative_to(folder.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    trees[name] = ast.parse(path.read_text(), str(path))
  return trees


def lines(path: pathlib.Path) -> int:
  """Returns the number of lines of a file, or of all files of a folder."""
  files = path.rglob("*.py") if path.is_dir() else [path]
  return sum(len(file.read_text().splitlines()) for file in files)


def imports(tree: ast.AST, modules: set[str]) -> Iterator[str]:
  """Yields the modules among `modules` that a syntax tree imports."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
      full = [f"{node.module}.{alias.name}" for alias in node.names]
      names = [x if x in modules else node.module for x in full]
    else:
      continue
    yield from (name for name in names if name in modules)


def import_circles(trees: dict[str, ast.Module]) -> list[str]:
  """Returns the modules that import themselves, perhaps through others."""
  below = {name: set(imports(tree, set(trees))) for name, tree in trees.items()}
  in_circle = []
  for name in trees:
    reached: set[str] = set()
    waiting = list(below[name])
    while waiting:
      if (module := waiting.pop()) not in reached:
        reached.add(module)
        waiting.extend(below[module])
    if name in reached:
      in_circle.append(name)
  return in_circle


def functions(trees: dict[str, ast.Module]) -> Iterator[Function]:
  """Yields every function, methods and nested ones included."""
  for module, tree in trees.items():
    for node in ast.walk(tree):
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        length = node.end_lineno - node.lineno + 1
        yield Function(module, node.name, length)


def late_imports(trees: dict[str, ast.Module]) -> list[str]:
  """Returns where a function imports a module of the package."""
  places = set()
  for module, tree in trees.items():
    for node in ast.walk(tree):
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for imported in imports(node, set(trees)):
          places.add(f"{module}.{node.name} imports {imported}")
  return sorted(places)


def long_functions(trees: dict[str, ast.Module], limit: int) -> list[str]:
  """Returns the functions above a limit, but for networks and the page."""
  return [
    f"{module}.{name}: {length} lines"
    for module, name, length in functions(trees)
    if length > limit and not module.startswith(PAGES)
  ]


def handlers(trees: dict[str, ast.Module], errors: set[str]) -> list[str]:
  """Returns where `except` or `contextlib.suppress` catches one of `errors`.

  Where it is a function, and the line of code that is tried first.
  """
  places = []
  for module, tree in trees.items():
    for node in ast.walk(tree):
      if isinstance(node, ast.Try):
        caught = set().union(*(_names(x.type) for x in node.handlers))
      elif isinstance(node, ast.With) and _suppressed(node):
        caught = _suppressed(node)
      else:
        continue
      if caught & errors:
        tried = ast.unparse(node.body[0]).splitlines()[0]
        places.append(
          f"{module}: {', '.join(sorted(caught & errors))}: {tried}"
        )
  return sorted(places)


def _suppressed(node: ast.With) -> set[str]:
  calls = [x.context_expr for x in node.items]
  return {
    name
    for call in calls
    if isinstance(call, ast.Call) and _name(call.func) == "suppress"
    for error in call.args
    for name in _names(error)
  }


def _names(node: ast.AST | None) -> set[str]:
  if node is None:
    return {"BaseException"}
  return {_name(x) for x in getattr(node, "elts", [node])}


def _name(node: ast.AST) -> str:
  return ast.unparse(node).rpartition(".")[2]


def walk(root: pathlib.Path) -> dict[str, int]:
  """Returns the lines of the files from the flag to the gradient."""
  found = {}
  for path in sorted((root / "jaxgan").rglob("*.py")):
    name = RENAMED.get(path.stem, path.stem)
    if name in WALK and path.parent.name not in ("models", "configs"):
      found[name] = lines(path)
  return found


def table(root: pathlib.Path = ROOT) -> dict[str, int | list[str]]:
  """Returns the measures of a checkout: numbers, or lists of places."""
  package, tests = parse(root / "jaxgan"), parse(root / "tests")
  test_files = {name.rpartition(".")[2]: x for name, x in tests.items()}
  test_names = {x for x in test_files if x.startswith("test_")}
  between_tests = {
    f"{name} imports {imported}"
    for name in test_names
    for imported in imports(test_files[name], test_names)
  }
  path = walk(root)
  return {
    "files in import circles": import_circles(package),
    "imports of jaxgan inside functions": late_imports(package),
    "lines of train.py": lines(root / "jaxgan" / "train.py"),
    "lines of train_step.py": lines(root / "jaxgan" / "train_step.py"),
    "files from flag to gradient (WGAN-GP)": len(path),
    "lines from flag to gradient (WGAN-GP)": sum(path.values()),
    "functions above 80 lines": long_functions(package, 80),
    "except clauses of AttributeError, KeyError, TypeError": handlers(
      package, MISTAKES
    ),
    "except clauses of any exception": handlers(
      package, {"Exception", "BaseException"}
    ),
    "imports from one test file into another": sorted(between_tests),
    "lines of jaxgan/": lines(root / "jaxgan"),
    "lines of tests/": lines(root / "tests"),
  }


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--root", type=pathlib.Path, default=ROOT)
  parser.add_argument("--places", action="store_true", help="name them")
  arguments = parser.parse_args()
  for key, value in table(arguments.root).items():
    places = value if isinstance(value, list) else []
    print(f"{key:55} {len(value) if isinstance(value, list) else value:6}")
    for place in places if arguments.places else ():
      print(f"    {place}")


if __name__ == "__main__":
  main()
