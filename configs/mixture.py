"""Mode collapse: each method on sets whose modes can be counted.

  python -m jaxgan.main --config=configs/mixture.py:ring_unrolled_5

A preset is `<set>_<method>`. Sets: `ring` (8 modes) and `grid` (25), points in
the plane; `stacked_digits` and `stacked_mnist` (1000), images. Methods: the
keys of METHODS, `feature_matching`, `unrolled_<steps>` and `ot_gan`. All have
the same networks, batches and optimizers, except where the method is about
them, and except OT-GAN on points.

The ring, its latents and its batches are from the notebook of Metz et al. 2017
(https://arxiv.org/abs/1611.02163). The networks are the paper's as far as we
know (appendix A), with ReLU where the notebook has tanh, and an orthogonal
initialisation with gain 0.8, not 1.4. The learning rate is ten times the
paper's 1e-4 and falls to 0, and an unrolled critic's updates with it; the
notebook has 1e-3 for the generator. The players move in turn, not at once. The
grid is VEEGAN's (Srivastava et al. 2017, arXiv:1705.07761). It has a wider
critic, and latents of 2 as in the code of PacGAN (arXiv:1712.04086) and of
WGAN-GP, whose toy problems also have this weight of the penalty.

Unrolling plays the minimax game, as in the paper. With feature matching the
critic has the non-saturating loss; with minibatch discrimination both players
have it.

Stacked digits have DCGAN's networks; in `stacked_digits_half_<method>` and
`..._quarter_<method>` the critic has this share of the generator's width, as in
section 3.3.3.
"""

import re

from ml_collections import ConfigDict

from jaxgan.algorithms import gan_settings, ot_gan
from jaxgan.errors import InputError

METHODS = {
  "gan": {"loss.name": "minimax"},
  "nsgan": {"loss.name": "non_saturating"},
  "lsgan": {"loss.name": "least_squares"},
  "wgan": {
    "loss.name": "wasserstein",
    "n_critic": 5,
    "optimizers.critic.clip_weights": 0.01,
  },
  "wgan_gp": {
    "loss.name": "wasserstein",
    "n_critic": 5,
    "penalty.name": "wgan_gp",
    "penalty.weight": 10.0,
    "critic.norm": "none",
  },
  "sngan": {
    "loss.name": "hinge",
    "critic.norm": "none",
    "critic.spectral_norm": True,
  },
  "r3gan": {
    "loss.name": "relativistic",
    "penalty.name": "r1_r2",
    "penalty.weight": 1.0,
    "critic.norm": "none",
  },
  "minibatch_discrimination": {"minibatch_discrimination.kernels": 100},
}
# Changes to these for points.
ON_POINTS = {
  # The sharper the modes, the steeper a critic must be. The weight for R3GAN is
  # ours, by trial.
  "wgan_gp": {"penalty.weight": 0.1},
  "r3gan": {"penalty.weight": 0.02},
  # The layer's cost grows with the square of the batch.
  "minibatch_discrimination": {
    "minibatch_discrimination.kernels": 5,
    "minibatch_discrimination.dims": 3,
  },
  # In features of length 1, a ReLU critic whose biases start at 0 depends only
  # on the direction of a point; with softplus on its distance, too, above all
  # in larger units (see the scale below). At the usual learning rate the critic
  # runs away from the generator. A step costs more than ten times as much as
  # the plain game's.
  "ot_gan": {
    "steps": 2500,
    "eval_every": 250,
    "batch_size": 128,
    "critic.outputs": 64,
    "critic.activation": "softplus",
    "optimizers.critic.learning_rate": 1e-4,
  },
}
# The default, and every method on points and on images.
PRESETS = (
  "ring_unrolled_5",
  *(
    f"{name}_{method}"
    for name in ("grid", "stacked_mnist_quarter")
    for method in (*METHODS, "feature_matching", "unrolled_5", "ot_gan")
  ),
)


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  match = re.fullmatch(
    r"(ring|grid|stacked_digits|stacked_mnist)(_half|_quarter)?_(\w+)", preset
  )
  name, share, method = match.groups() if match else (None, None, "")
  unrolled = re.fullmatch(r"unrolled_([1-9]\d?)", method)
  images = name and name.startswith("stacked")
  known = unrolled or method in (*METHODS, "feature_matching", "ot_gan")
  if not known or (share and not images):
    raise InputError(
      f"preset={preset!r}: give <set>_<method>, of ring, grid, "
      "stacked_digits or stacked_mnist (or one of these two with _half or "
      f"_quarter), and of {', '.join(METHODS)}, feature_matching, "
      "unrolled_<steps> or ot_gan"
    )

  config = (ot_gan if method == "ot_gan" else gan_settings).default_config(name)
  adam = {"name": "adam", "b1": 0.5, "b2": 0.999}
  if images:
    small = name == "stacked_digits"  # minutes on two CPU cores
    width = 32 if small else 64
    network = {
      "name": "dcgan",
      "width": width,
      "norm": "batch",
      "use_bias": True,
    }
    if method == "ot_gan":
      network = {"name": "ot_gan", "width": width // 2}
    config.steps = 3000 if small else 50_000
    adam |= {"learning_rate": 2e-4, "schedule": "constant"}
  else:
    network = {
      "name": "mlp",
      "hidden": (128, 128),
      "activation": "relu",
      "norm": "none",
      "scale": 4.0 if name == "grid" else 1.0,
      "kernel_init": "orthogonal",
    }
    config.latent = "normal"
    config.latent_size = 256 if name == "ring" else 2
    config.batch_size = 512
    config.steps = 15_000
    # The published figures are for weights that are not averaged.
    config.ema_decay = 0.0
    config.eval_every = 1000
    config.eval_samples = 1000
    adam |= {"learning_rate": 1e-3, "schedule": "linear"}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  if not images:
    config.critic.hidden = (128,) if name == "ring" else (256,)
  if share:
    config.critic.width //= {"_half": 2, "_quarter": 4}[share]

  if unrolled:
    config.loss.name = "minimax"
    config.unroll_steps = int(unrolled[1])
  elif method == "feature_matching":
    last = {"stacked_digits": 1, "stacked_mnist": 2}
    config.feature_matching = f"hidden_{last.get(name, 0)}"
  config.update_from_flattened_dict(METHODS.get(method, {}))
  if not images:
    config.update_from_flattened_dict(ON_POINTS.get(method, {}))
    if method == "ot_gan":
      config.critic.scale /= 10
  return config
