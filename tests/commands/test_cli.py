import subprocess
import sys

INTERRUPTED = """
import atexit
from jaxgan import cli

def command():
  raise KeyboardInterrupt("stopped, and nothing is lost")

atexit.register(print, "taken down")
cli.main(command)
"""


def test_an_interrupt_is_one_line_and_ends_at_once():
  result = subprocess.run(
    [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True
  )
  assert result.returncode == 130
  assert result.stderr == "error: stopped, and nothing is lost\n"
  assert not result.stdout  # taken down in a compilation, it would crash
