"""Domain Transfer Network: Taigman et al. 2017, https://arxiv.org/abs/1611.02200.

  python -m jaxgan.main --config=configs/dtn.py

G = g(f(x)), of a frozen feature net f and a generator g, against a critic with
three classes; see `jaxgan/algorithms/dtn.py`. Presets: "digits" (built in),
"mnist_usps", "usps_mnist", "svhn_mnist" (the paper's) and "faces", each with
the data of that name, see `jaxgan/data/presets.py`. For digits, f is
a classifier of the source, which is trained first, once. For faces it is
FaceNet, made by `python -m jaxgan.import_torch --features=FILE --workdir=DIR`
and given by --config.features.workdir=DIR. Default: 81.7 % of the handwritten
digits keep their label, in a minute and a half; MNIST -> USPS 96.3 %, USPS ->
MNIST 95.8 %; see the README.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.dtn import default_config
from jaxgan.checks import one_of

PRESETS = ("digits", "mnist_usps", "usps_mnist", "svhn_mnist", "faces")


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  one_of("preset", preset, PRESETS)
  config = default_config(preset)
  network = {"name": "dcgan", "width": 32, "norm": "batch", "kernel_size": 4}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  adam = {"name": "adam", "learning_rate": 3e-4, "b1": 0.5, "b2": 0.999}
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  # The paper has no average; at these budgets it helps.
  config.ema_decay = 0.995
  config.batch_size = 64
  config.steps = 2000
  if preset == "digits":
    # The classifier of a few handwritten digits knows only 62 % of the typeset
    # ones, so images count for less by what it thinks of them.
    config.weights.update(constancy=5.0, identity=5.0, total_variation=1.0)
    config.n_critic = 3  # with one update, noise about the digits stays
    for optimizer in config.optimizers.values():
      optimizer.learning_rate = 1e-3
  elif preset == "svhn_mnist":
    config.features.network.update(widths=(64, 128, 256), features=128)
    config.generator.width = config.critic.width = 128
    config.batch_size = 100
    config.steps = 20_000
  elif preset == "faces":
    config.weights.update(constancy=100.0, identity=1.0, total_variation=0.05)
    # Of length 1, FaceNet's features differ in their angle alone.
    config.features.update(image_size=160, channels=3, distance="cosine")
    config.features.network = ConfigDict({"name": "facenet", "classes": 8631})
    config.generator.width = config.critic.width = 64
    config.batch_size = 32
    config.steps = 50_000
  return config
