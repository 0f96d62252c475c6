"""README and docs: their pages, and the commands in them."""

import re
import shlex

from helpers.environment import ROOT

PAGES = sorted(
  path.relative_to(ROOT)
  for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
  if "_build" not in path.parts
)
_COMMAND = re.compile(r"\s*(python\s+-m\s+jaxgan\.|jaxgan\s)")


def text_of(page):
  return (ROOT / page).read_text()


def blocks(page):
  """The lines of a page: `(language, line)`, None outside of code."""
  language = None
  for line in text_of(page).splitlines():
    if line.startswith("```"):
      language = line.strip("`") if language is None else None
    else:
      yield language, line


def commands(page):
  """The commands in a page's blocks without a language; see `_split`."""
  lines = "\n".join(line for language, line in blocks(page) if language == "")
  for line in lines.replace("\\\n", " ").splitlines():
    for part in re.split(r"&&|\|", re.sub(r"\s#.*|^#.*", "", line)):
      if _COMMAND.match(part):
        yield from _split(part)


def inline_commands(page):
  """The commands within sentences; see `_split`."""
  text = "\n".join(line for language, line in blocks(page) if language is None)
  for code in re.findall(r"`([^`]+)`", text):
    if _COMMAND.match(code):
      yield from _split(code)


def _split(text):
  """Yields `(module, arguments)` of a command, but of `jaxgan COMMAND`."""
  words = shlex.split(text)
  if words[0] == "python":
    yield words[2].removeprefix("jaxgan."), words[3:]
  elif words[1:] and words[1].islower():
    yield {"train": "main"}.get(words[1], words[1]), words[2:]
