"""Packages what lies beside `jaxgan/` and `jaxgan/packaged.py` finds."""

from setuptools import find_packages, setup

BESIDE = {"jaxgan.configs": "configs", "jaxgan.launch.space": "launch/space"}

setup(
  packages=[*find_packages(include=["jaxgan*"]), *BESIDE],
  package_dir=BESIDE,
  package_data={"jaxgan": ["py.typed"], "jaxgan.launch.space": ["*"]},
)
