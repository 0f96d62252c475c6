"""Checks an imported FaceNet on photographs of faces.

  python benchmarks/facenet.py --features=runs/facenet --faces=FACES/test \
    --avatars=AVATARS/test --weights=FILE

FACES is a folder of photographs, one of each person or nearly so. Of each, two
pictures are made: mirrored at random, cut by up to a tenth, brighter or darker
by up to a fifth. The area under the curve tells how well the cosine of their
features separates pairs of one photograph from pairs of two.

With --avatars, a folder of drawings, it prints how FaceNet sees these beside
photographs: the lengths of the mean features, the mean cosine of a photograph
and an avatar, and how often the avatar that is most similar to a photograph is
more similar to it than to any other. The latter also of features less the mean
of their set.

With --weights, the file that the run was imported from, PyTorch's network
(`pip install facenet-pytorch`) makes the features too, and the largest
difference is printed.
"""

import numpy as np
import peer_facenet
from absl import app, flags, logging
from PIL import Image, ImageEnhance
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from jaxgan.data.folders import paths
from jaxgan.data.presets import images as data_config
from jaxgan.evaluation import feature_nets, sampling, statistics
from jaxgan.interop import weights

_FEATURES = flags.DEFINE_string("features", None, "Run of FaceNet.")
_FACES = flags.DEFINE_string("faces", None, "Folder of photographs.")
_WEIGHTS = flags.DEFINE_string("weights", None, "File of weights, or none.")
_AVATARS = flags.DEFINE_string("avatars", None, "Folder of drawings, or none.")
_COUNT = flags.DEFINE_integer("count", 500, "Photographs.")
SIDE = 160


def variant(image: Image.Image, rng: np.random.Generator) -> Image.Image:
  """Returns the image mirrored, cut and of another brightness, at random."""
  if rng.random() < 0.5:
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
  left, top, right, bottom = rng.uniform(0, 0.1, 4) * image.width
  box = left, top, image.width - right, image.height - bottom
  image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)
  return ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))


def compare_sets(photographs: np.ndarray, avatars: np.ndarray) -> None:
  """Prints how features `[N, D]` and `[M, D]` of two sets differ."""
  lengths = [np.linalg.norm(x.mean(0)) for x in (photographs, avatars)]
  print(
    f"length of the mean features of photographs {lengths[0]:.2f}, of "
    f"{len(avatars)} avatars {lengths[1]:.2f}; mean cosine of one and the "
    f"other {(photographs @ avatars.T).mean():.3f}"
  )
  centred = [normalize(x - x.mean(0)) for x in (photographs, avatars)]
  for label, (a, b) in {
    "as they are": (photographs, avatars),
    "less their mean": centred,
  }.items():
    cosines = a @ b.T
    found = cosines[:, cosines.argmax(1)].argmax(0) == np.arange(len(a))
    print(f"features {label}: {found.mean():.1%} are found by their avatar")


def of_pytorch(file: str, images: np.ndarray) -> np.ndarray:
  """Returns the features of uint8 images by the published module."""
  import torch

  net = peer_facenet.create().eval()
  entries = {k: torch.tensor(x).float() for k, x in weights.read(file).items()}
  net.load_state_dict(entries, strict=False)
  x = torch.tensor((images.transpose(0, 3, 1, 2) - np.float32(127.5)) / 128)
  with torch.no_grad():
    return np.concatenate([net(part).numpy() for part in x.split(32)])


def main(_: list[str]) -> None:
  """Prints the area under the curve, and the difference from PyTorch's."""
  logging.set_verbosity(logging.ERROR)
  rng = np.random.default_rng(0)
  files = paths(_FACES.value)[: _COUNT.value]
  pairs = np.stack(
    [
      [np.asarray(variant(image, rng)) for _ in range(2)]
      for image in (Image.open(file).convert("RGB") for file in files)
    ]
  )
  images = pairs.reshape(-1, SIDE, SIDE, 3)
  net = feature_nets.create(data_config("folder"), _FEATURES.value)

  def embed(images: np.ndarray) -> np.ndarray:
    batches = ({"image": part} for part in sampling.batches(images))
    return statistics.collect(net, batches, len(images), "features").features

  features = embed(images)
  cosines = features[::2] @ features[1::2].T
  same = np.eye(len(cosines), dtype=bool)
  area = roc_auc_score(same.ravel(), cosines.ravel())
  print(
    f"{len(files)} photographs: area under the curve {area:.5f}; mean cosine "
    f"of pairs of one {cosines[same].mean():.3f}, of two "
    f"{cosines[~same].mean():.3f}"
  )
  if _AVATARS.value:
    files = map(Image.open, paths(_AVATARS.value))
    resized = [x.convert("RGB").resize((SIDE, SIDE)) for x in files]
    compare_sets(features[::2], embed(np.stack(resized)))
  if _WEIGHTS.value:
    theirs = of_pytorch(_WEIGHTS.value, images[:64])
    error = np.abs(features[:64] - theirs).max()
    print(
      f"largest difference from PyTorch's, of features of length 1: {error:.1e}"
    )


if __name__ == "__main__":
  app.run(main)
