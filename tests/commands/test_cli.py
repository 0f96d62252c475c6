import subprocess
import sys

INTERRUPTED = """
import atexit
from jaxgan import command

def main(given):
  raise KeyboardInterrupt("stopped, and nothing is lost")

atexit.register(print, "taken down")
command.run(main, lambda: None)
"""


def test_an_interrupt_is_one_line_and_ends_at_once():
  result = subprocess.run(
    [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True
  )
  assert result.returncode == 1
  assert result.stderr == "error: stopped, and nothing is lost\n"
  assert not result.stdout  # taken down in a compilation, it would crash
