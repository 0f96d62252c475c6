"""Image files of noise."""

import numpy as np
from PIL import Image


def write_images(folder, count, size=(20, 20), mode="RGB"):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  for i in range(count):
    shape = (size[1], size[0], len(mode))
    pixels = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels.squeeze(), mode=None).save(folder / f"{i:03d}.png")
