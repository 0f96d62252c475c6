"""Packages what lies beside `jaxgan/` and `jaxgan/packaged.py` finds."""

from setuptools import find_packages, setup

BESIDE = ("configs", "launch/space")

setup(
  packages=[
    *find_packages(include=["jaxgan*"]),
    *(f"jaxgan.{x.replace('/', '.')}" for x in BESIDE),
  ],
  package_dir={f"jaxgan.{x.replace('/', '.')}": x for x in BESIDE},
  package_data={"jaxgan": ["py.typed"], "jaxgan.launch.space": ["*"]},
)
