"""Faces in photographs, for networks that know cut-out faces."""

import functools
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from jaxgan.errors import InputError

_SIDE = 400  # pixels of the longer side in which a face is looked for
_SMALLEST = 40  # pixels of a face there
# The detector's box ends at chin and brow; faces to train with are cut so that
# it is this share of their side.
_SHARE = 0.95


def cut_face(
  image: Image.Image, size: tuple[int, int]
) -> tuple[Image.Image, str]:
  """Returns the face of an image, or its centre, and a message to the user.

  An image of `size`, as the run has been trained with, is a face already.
  """
  if image.size == size:
    return image, ""
  if face := find_face(image):
    return face, ""
  side = min(image.size)
  centre = ImageOps.fit(image, (side, side))
  return centre, "No face was found: the centre is cut."


def find_face(image: Image.Image) -> Image.Image | None:
  """Returns the square around the largest frontal face, or None.

  The detector is a cascade of local binary patterns, of scikit-image.

  Raises:
    InputError: where scikit-image is missing.
  """
  small = image.convert("RGB")
  small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
  faces = _detector().detect_multi_scale(
    np.asarray(small), 1.2, 1, (_SMALLEST, _SMALLEST), small.size[::-1]
  )
  if not faces:
    return None
  face = max(faces, key=lambda x: x["width"])
  scale = image.width / small.width
  half = face["width"] / _SHARE / 2
  x, y = (
    face[start] + face[length] / 2
    for start, length in (("c", "width"), ("r", "height"))
  )
  # No further than the image goes.
  half = min(half, x, y, small.width - x, small.height - y)
  box = (round(scale * v) for v in (x - half, y - half, x + half, y + half))
  return image.crop(tuple(box))


@functools.cache
def _detector() -> Any:
  try:
    from skimage import data
    from skimage.feature import Cascade
  except ImportError as e:
    raise InputError(
      "finding faces needs scikit-image: pip install 'jaxgan[demo]'"
    ) from e
  return Cascade(data.lbp_frontal_face_cascade_filename())
