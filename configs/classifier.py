"""A classifier, whose features and labels serve the metrics of samples.

  python -m jaxgan.main --config=configs/classifier.py:mnist

An evaluation that needs one trains it with these values, for the data of the
evaluated run (`jaxgan/evaluation/classifiers.py`). MNIST takes two minutes on
two CPU cores; the accuracy on its test images is 99.37 %. Those of the other
sets are in docs/guides/evaluation.md.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.classifier import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  return default_config(preset)
