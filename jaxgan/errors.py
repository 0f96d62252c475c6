"""."""


class SaveError(OSError):
  """A checkpoint could not be written; those before it are whole."""


class Preempted(Exception):
  """The run was told to end before it was complete, and is saved."""


class NonFiniteError(ArithmeticError):
  """A loss or gradient was not finite, and the run stops before using it."""


class InputError(ValueError):
  """What the user gave cannot work; the message is one line and says why."""


def first_line(error: Exception) -> str:
  """The first line of an error's message, for use in an `InputError`."""
  return str(error).strip().splitlines()[0] if str(error) else repr(error)
