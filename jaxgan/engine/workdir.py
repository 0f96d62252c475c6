"""The folder of a run: locked while it trains, its files written whole."""

import contextlib
import pathlib
import traceback
from collections.abc import Iterator
from functools import partial

import filelock

from jaxgan.engine.processes import Process, run_on_first
from jaxgan.errors import InputError


@contextlib.contextmanager
def locked(workdir: pathlib.Path, process: Process) -> Iterator[None]:
  """Creates a run's folder and locks it: two runs would write the same files.

  Of several processes, all call it, and the first alone uses the folder.

  Args:
    workdir: the folder; made if missing.
    process: this one.

  Raises:
    InputError: in all processes, where the folder is in use, cannot be written
      or holds files of others.
  """
  with contextlib.ExitStack() as stack:
    run_on_first(process, partial(_claim, workdir, stack))
    yield


def write_atomically(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a file such that a crash leaves the old or the new one whole."""
  temporary = path.with_name(f"{path.name}.tmp")
  try:
    data = content.encode() if isinstance(content, str) else content
    temporary.write_bytes(data)
    temporary.replace(path)
  except OSError:
    temporary.unlink(missing_ok=True)
    raise


def write_error(workdir: pathlib.Path, exception: BaseException) -> None:
  """Writes the traceback of an unforeseen error to `<workdir>/error.log`.

  Nothing, where the folder holds no run or cannot be written.
  """
  if _is_run(workdir):
    text = "".join(traceback.format_exception(exception))
    with contextlib.suppress(OSError):
      write_atomically(workdir / "error.log", text)


def _is_run(folder: pathlib.Path) -> bool:
  return any((folder / x).exists() for x in ("config.json", "checkpoints"))


def _claim(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
  """Makes and locks the folder until `stack` closes."""
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    # A run that resumes cuts its files back, and must not touch others.
    if any(workdir.iterdir()) and not _is_run(workdir):
      raise InputError(
        f"{workdir} holds files, but no run: give another --workdir"
      )
    (workdir / "config.json").touch()
    with contextlib.suppress(NotImplementedError):  # no locks on this system
      stack.enter_context(filelock.FileLock(workdir / ".lock", timeout=0))
  except filelock.Timeout as e:
    raise InputError(
      f"{workdir} is in use: another run writes to it; wait for it, or give "
      "another --workdir"
    ) from e
  except OSError as e:
    raise InputError(f"workdir {workdir} cannot be used: {e.strerror}") from e
