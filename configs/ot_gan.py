"""OT-GAN: Salimans et al. 2018, https://arxiv.org/abs/1803.05573.

  python -m jaxgan.main --config=configs/ot_gan.py

The generator minimises, and the critic maximises, the distance between two
batches of images: optimal transport in features that the critic learns. The
values of the preset "cifar10" are from the paper, and from
train_with_model_saving.py of its code.
"""

from ml_collections import ConfigDict

from jaxgan.algorithms.ot_gan import default_config
from jaxgan.data import presets

PRESETS = presets.IMAGES


def get_config(preset: str = PRESETS[0]) -> ConfigDict:
  config = default_config(preset)
  network = {"name": "ot_gan", "width": 128, "kernel_size": 5}
  config.generator = ConfigDict(network)
  config.critic = ConfigDict(network)
  adam = {"name": "adam", "learning_rate": 3e-4, "b1": 0.5, "b2": 0.999}
  # The average follows each of the generator's updates in the code.
  config.ema_decay = 0.999**3
  if preset == "cifar10":
    # 18 GB on each of 8 devices; 29 GB on one with chunk_size=250.
    config.batch_size = 8000
    config.steps = 50_000
    # The code adds 1e-8 within the root, to gradients that are sums over half a
    # batch; here they are means.
    adam |= {"eps": 0.0, "eps_root": 1e-8 / 4000**2}
  else:
    # Two CPU cores cannot hold the paper's batch, and hardly its networks. The
    # digits take 5 minutes, MNIST two hours.
    config.batch_size = 128
    config.steps = 400 if "digits" in preset else 5000
    config.generator.width = config.critic.width = 16
    if "digits" not in preset:
      config.generator.kernel_size = config.critic.kernel_size = 3
    adam["learning_rate"] = 1e-3
    config.log_every = 10
    config.sample_every = 50
    config.checkpoint_every = 100
  config.optimizers = ConfigDict({"generator": adam, "critic": dict(adam)})
  return config
