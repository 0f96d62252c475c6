"""Faces are found where they are, and nothing is where none is."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jaxgan.applications import face_finder
from jaxgan.errors import InputError

skimage_data = pytest.importorskip("skimage.data")

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def astronaut():
  """A photograph in the public domain that comes with scikit-image."""
  return Image.fromarray(skimage_data.astronaut())


def test_a_face_is_found(astronaut):
  face = face_finder.find_face(astronaut)
  # Between brow and chin, by eye: the square of 110 pixels about (223, 118).
  assert face.width == face.height
  assert 90 < face.width < 150
  expected = astronaut.crop((163, 58, 283, 178)).resize((32, 32))
  found = np.asarray(face.resize((32, 32)), float)
  difference = abs(found - np.asarray(expected, float)).mean()
  elsewhere = astronaut.crop((300, 300, 420, 420)).resize((32, 32))
  assert difference < abs(found - np.asarray(elsewhere, float)).mean() / 2


@pytest.mark.parametrize("scale", [0.7, 3])
def test_at_any_scale_and_place(astronaut, scale):
  face = face_finder.find_face(astronaut)
  width = round(512 * scale)
  image = Image.new("RGB", (2 * width, width), "grey")
  image.paste(astronaut.resize((width, width)), (width // 2, 0))
  found = face_finder.find_face(image)
  assert abs(found.width / scale / face.width - 1) < 0.2
  pixels = [
    np.asarray(x.convert("L").resize((12, 12))).ravel() for x in (found, face)
  ]
  assert np.corrcoef(*pixels)[0, 1] > 0.7


def test_what_the_page_takes(astronaut):
  face = face_finder.find_face(astronaut)
  cut, message = face_finder.cut_face(astronaut, (64, 64))
  assert (cut.tobytes(), message) == (face.tobytes(), "")
  # A face of the run's size stays as it is.
  small = face.resize((64, 64))
  assert face_finder.cut_face(small, (64, 64)) == (small, "")
  empty = Image.new("RGB", (300, 200))
  ImageDraw.Draw(empty).line((0, 0, 300, 200), "white", 9)
  cut, message = face_finder.cut_face(empty, (64, 64))
  assert cut.tobytes() == empty.crop((50, 0, 250, 200)).tobytes()
  assert "No face was found" in message


def test_no_face_is_none():
  image = Image.new("RGB", (300, 200), "white")
  ImageDraw.Draw(image).line((0, 0, 300, 200), "black", 9)
  assert face_finder.find_face(image) is None
  assert face_finder.find_face(Image.new("L", (5, 5))) is None


def test_a_missing_package_is_named(monkeypatch):
  face_finder._detector.cache_clear()
  monkeypatch.setitem(sys.modules, "skimage.feature", None)
  with pytest.raises(InputError, match=r"pip install 'jaxgan\[demo\]'"):
    face_finder.find_face(Image.new("RGB", (99, 99)))
