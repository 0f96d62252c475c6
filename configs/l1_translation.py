"""One-sided translation with an L1 term, without pairs.

  python -m jaxgan.main --config=configs/l1_translation.py

One generator of seven convolutions and one PatchGAN, in place of CycleGAN's
two of each; see `jaxgan/algorithms/l1_translation.py`. There is no canonical
code: the loss is SimGAN's (Shrivastava et al. 2017,
https://arxiv.org/abs/1612.07828), the optimizer's values are CycleGAN's. MNIST
-> USPS takes 5 minutes on two CPU cores; 90.8 % of the digits keep their label,
by a classifier of USPS. All losses: docs/results/translation.md.

A preset is `<data>` or `<data>_<loss>`. Data: see `jaxgan/data/presets.py`.
Losses: "minimax", "non_saturating" (the default), "least_squares" and
"wasserstein".
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.l1_translation import default_config
from jaxgan.data import presets

LOSSES = ("minimax", "non_saturating", "least_squares", "wasserstein")
# Every loss goes with all data; two are listed. The domains of svhn_mnist have
# different numbers of channels.
PRESETS = (
  *(x for x in presets.TRANSLATIONS if x != "svhn_mnist"),
  *(f"{x}_{loss}" for x in ("mnist_usps", "horse2zebra") for loss in LOSSES),
)


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  loss = "non_saturating"
  for name in LOSSES:
    if preset.endswith(f"_{name}"):
      preset, loss = preset.removesuffix(f"_{name}"), name
  config = default_config(preset)
  config.loss.name = loss
  config.weights.l1 = 0.2
  config.generator = ConfigDict(
    {"name": "small_translator", "width": 32, "norm": "none"}
  )
  config.critic = ConfigDict(
    {"name": "patchgan", "width": 64, "layers": 3, "norm": "instance"}
  )
  adam = {"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "b2": 0.999}
  config.steps = 2000
  if config.data.image_size < 32:
    # Digits, in minutes on two CPU cores: patches of 16x16, a higher rate, and
    # averaged weights. A critic of two layers wins within 500 steps.
    config.critic.update(width=32, layers=1)
    adam["learning_rate"] = 1e-3
    config.ema_decay = 0.995
  elif preset == "faces":
    # For two CPU cores. The small generator cannot make heads of faces, and the
    # critic wins within 900 steps; so this is CycleGAN's. With weights of 0.2
    # and 3 it makes one head of all faces, with 10 from 7000 steps on.
    config.generator = ConfigDict(
      {"name": "cyclegan", "width": 32, "blocks": 6, "norm": "instance"}
    )
    config.critic.width = 32
    config.weights.l1 = 10.0
    config.ema_decay = 0.995
    config.batch_size = 4
    config.steps = 4000  # a quarter of an hour
  if loss == "wasserstein":
    # As WGAN-GP, where a Wasserstein critic needs a bounded slope.
    config.penalty = ConfigDict({"name": "wgan_gp", "weight": 10.0})
    config.n_critic = 5
    adam |= {"b1": 0.0, "b2": 0.9}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  return config
