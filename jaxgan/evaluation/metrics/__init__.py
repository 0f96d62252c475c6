"""Metrics of samples, as pure functions; `tables` lists them by name."""


class Undefined(ValueError):
  """A metric has no value here, such as for want of images."""
