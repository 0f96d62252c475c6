"""A classifier, whose features and labels serve the metrics of samples.

  python -m jaxgan.main --config=configs/classifier.py:mnist

The metrics train one by themselves where they need it (`jaxgan/features.py`),
with these values, for the data of the run that is evaluated. Two minutes on two
CPU cores for MNIST, of whose test images it knows 99.37 %; of the other sets',
see the README.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.classifier import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  return default_config(preset)
