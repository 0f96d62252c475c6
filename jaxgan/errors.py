"""The errors that jaxgan raises itself, and the exit codes of its commands.

The leaf that every module may import.
"""

# The run is saved, and the same command resumes it: stopped by SIGTERM
# (EX_TEMPFAIL), because another process was lost, or by Ctrl-C. Launchers
# know these codes.
PREEMPTED = 75
LOST = 76
INTERRUPTED = 130


class InputError(ValueError):
  """The user's input cannot work; the message is one line and names a remedy.

  Input is a config, a flag, a file or an argument of a public function.
  """


class GameError(TypeError):
  """A game breaks its contract; the message names the player and the contract.

  The contract is that of `jaxgan.game.Game`.
  """


class SaveError(OSError):
  """A checkpoint cannot be written; earlier checkpoints are whole."""


class NonFiniteError(ArithmeticError):
  """A loss, gradient or update is not finite; no step has used it."""


class Preempted(BaseException):
  """SIGTERM stopped the run, which is saved.

  Like `KeyboardInterrupt`, it is not an `Exception`: it may be raised within
  any code, and no `except Exception` on its way may end it.

  Attributes:
    status: exit status of the process.
  """

  status = PREEMPTED


class Interrupted(Preempted):
  """Ctrl-C stopped the run, which is saved."""

  status = INTERRUPTED


def first_line(error: BaseException) -> str:
  """Returns the first line of an error's message, for an `InputError`."""
  return str(error).strip().splitlines()[0] if str(error) else repr(error)
