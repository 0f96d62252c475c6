"""Writes a folder for a hosted Gradio Space; see `launch/space/`."""

import pathlib
import shutil
from collections.abc import Sequence

from jaxgan import data, packaged
from jaxgan.applications import demo_models
from jaxgan.applications.demo_models import Entry
from jaxgan.engine.files import new_folder
from jaxgan.errors import InputError
from jaxgan.evaluation import weights_only
from jaxgan.names import own_files

PACKAGE = packaged.PACKAGE


def export(
  entries: Sequence[Entry], folder: pathlib.Path, ema: bool = True
) -> None:
  """Writes a Gradio Space to a new folder.

  It holds `launch/space/`, this package, and of each run its (averaged)
  weights alone, with some examples; images of a folder, which may be anybody's,
  are examples only if they were chosen.

  Raises:
    InputError: where the folder holds something or is part of what is copied.
  """
  template = packaged.folder("launch/space")
  for source in (PACKAGE, template):
    if folder.resolve().is_relative_to(source.resolve()):
      raise InputError(f"{folder} lies in {source}: give another --export")
  names = [entry.workdir.resolve().name for entry in entries]
  for name in names:
    if names.count(name) > 1:
      raise InputError(f"two runs are named {name}: rename the folder of one")
  with new_folder(folder, "--export") as partial:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(template, partial, ignore=ignore, dirs_exist_ok=True)
    shutil.copytree(PACKAGE, partial / "jaxgan", ignore=ignore)
    for file in {x for entry in entries for x in own_files(entry.run.config)}:
      shutil.copy(file, partial)
    with (partial / "README.md").open("a") as card:
      for name, entry in zip(names, entries, strict=True):
        card.write(f"* `{name}`: {demo_models.describe(entry.run)}.\n")
        _write(entry, partial / "runs" / name, ema)


def _write(entry: Entry, workdir: pathlib.Path, ema: bool) -> None:
  weights_only.write(entry.run.config, entry.run.state, workdir, ema)
  for domain in (x.source for x in entry.run.game.directions):
    images = data.domain(entry.run.config.data, domain)
    chosen = entry.examples and domain == "source"
    if images.name == "folder" and not chosen:
      print(
        f"{entry.name}: images of a folder are not published, so there are no "
        f"examples of the {domain}"
        + "; give some by --examples=FOLDER"
        * (domain == "source")
      )
      continue
    examples = workdir / "examples" / domain
    examples.mkdir(parents=True)
    demo_models.save(demo_models.examples(entry, domain), examples)
