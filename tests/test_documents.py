"""README and docs: links, commands and configs that they name exist."""

import functools
import importlib
import json
import re

import pytest
from helpers.documents import (
  PAGES,
  blocks,
  commands,
  inline_commands,
  text_of,
)
from helpers.environment import ROOT
from helpers.runs import command
from ml_collections import ConfigDict

from jaxgan import config_files


def keys(config, prefix=""):
  """All keys of a config, such as "data" and "data.path"."""
  for key, value in config.items():
    yield prefix + key
    if isinstance(value, ConfigDict):
      yield from keys(value, f"{prefix}{key}.")


@functools.cache
def flags_of(name, folder):
  result = command(name, "--helpfull", cwd=folder)
  return set(re.findall(r"--(?:\[no\])?(\w+)", result.stdout))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("help")


def test_the_readme_is_short():
  assert (ROOT / "README.md").stat().st_size <= 8192


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
  text = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
  links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
  for link in (x or y for x, y in links):
    if not re.match(r"https?:|#", link):
      path, _, anchor = link.partition("#")
      assert (ROOT / page.parent / path).exists(), link
      assert not anchor, f"{link}: link to pages, whose headings may change"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_are_short(page):
  for _, line in blocks(page):
    free = line.startswith(("|", "![")) or "](" in line
    assert len(line) <= 84 or free, line


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_have_the_flags_and_configs_they_name(page, folder):
  for name, arguments in (*commands(page), *inline_commands(page)):
    config = next((x for x in arguments if x.startswith("--config=")), "")
    config = config.removeprefix("--config=")
    known = config_files.load(config) if config.strip(".") else None
    for argument in arguments:
      flag, _, value = argument.partition("=")
      if flag.startswith("--config.") and known:
        assert flag.removeprefix("--config.") in keys(known), argument
      elif flag.startswith("--") and not flag.startswith("--config."):
        name_of_flag = flag.removeprefix("--")
        allowed = flags_of(name, folder)
        assert name_of_flag.removeprefix("no") in allowed or (
          name_of_flag in allowed
        ), argument


@pytest.fixture
def tables(monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT / "docs"))
  return importlib.import_module("tables")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_tables_are_those_of_their_files(page, tables):
  assert tables.filled(text_of(page)) == text_of(page), (
    "python docs/tables.py fills them"
  )


def test_every_command_has_its_flags_in_the_reference():
  found = re.findall(
    r"<!-- flags: (\w+)", text_of("docs/reference/commands.md")
  )
  files = (ROOT / "jaxgan").glob("[!_]*.py")
  assert set(found) == {
    path.stem for path in files if "\n  cli.main(" in path.read_text()
  }


def test_a_table_of_figures(tables, tmp_path, monkeypatch):
  runs = [
    {"run": "a_0", "seconds": 90, "steps": 3000, "FID": 1.23456, "x": "by eye"},
    {"run": "a_1", "seconds": 90, "steps": 3000, "FID": 2.0, "x": None},
    {"run": "b", "steps": 12345, "FID": 0.00012345},
  ]
  other = [{"run": "a_2", "FID": 1.0}, {"run": "c", "KID": 0.0}]
  groups = [{"protocol": {}, "runs": runs}, {"runs": other}]
  (tmp_path / "x.json").write_text(json.dumps(groups))
  monkeypatch.setattr(tables, "DOCS", tmp_path)
  spec = "<!-- figures: x.json\nrows:{}\ncolumns: {} -->\n{}<!-- end -->"

  def rows(*of):
    text = tables.filled(spec.format(*of, "old"))
    assert "old" not in text
    return re.findall(r"^\|.*", text, re.MULTILINE)

  assert rows("a_[01] = all; b", "seconds = time; FID; steps; x") == [
    "|  | time | FID | steps | x |",
    "| --- | --- | --- | --- | --- |",
    "| all | 2 min | 1.62 (1.23 to 2.00) | 3,000 | by eye |",
    "| b |  | 0.000123 | 12,345 |  |",
  ]
  assert rows("c", "KID")[-1] == "| c | 0 |"
  by_metric = rows("FID", "b = B;\n  a_0")
  assert by_metric[::2] == ["|  | B | a_0 |", "| FID | 0.000123 | 1.23 |"]
  for wrong, message in (
    (("FID; KID", "b; c; d"), "'d'"),
    (("FID; IS", "b"), "'IS'"),
    (("b", "FID; IS"), "'IS'"),
    (("a_*", "FID"), "groups that do not compare"),
  ):
    with pytest.raises(LookupError, match=message):
      rows(*wrong)
  # A table without an end does not swallow the next.
  text = spec.format("b", "FID", "old").removesuffix("<!-- end -->")
  assert tables.filled(text + text) == text + text
