"""What one run of pytest makes once, for all of its workers."""

import os
import pathlib
import tempfile

import filelock

# The workers inherit the variable.
SESSION = pathlib.Path(
  os.environ.get("JAXGAN_TESTS") or tempfile.mkdtemp(prefix="jaxgan-tests-")
)
os.environ["JAXGAN_TESTS"] = str(SESSION)


def once(name, make):
  """Returns the folder that `make(folder)` fills; other processes wait."""
  folder = SESSION / name
  done = folder.with_name(f"{folder.name}.done")
  folder.parent.mkdir(parents=True, exist_ok=True)
  with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
    if not done.exists():
      make(folder)
      done.touch()
  return folder
