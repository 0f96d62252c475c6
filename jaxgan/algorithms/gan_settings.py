"""The keys of `gan.py` in a config, and combinations that cannot work."""

from ml_collections import ConfigDict

from jaxgan.algorithms import from_latents
from jaxgan.checks import at_least
from jaxgan.errors import InputError


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game, with neutral values.

  A config sets those that its paper gives, and adds `generator`, `critic` and
  `optimizers`.

  Args:
    preset: see `jaxgan.data.presets.images`.
  """
  config = from_latents.default_config("gan", preset)
  # A name in jaxgan/objectives/losses.py, and constants if it has any.
  config.loss = ConfigDict({"name": "non_saturating"})
  # A name in jaxgan/objectives/penalties.py, or "" for none, its weight, and
  # constants if it has any.
  config.penalty = ConfigDict({"name": "", "weight": 0.0})
  config.n_critic = 1  # critic updates per step
  config.generator_batches = 1  # the generator's batch, in batches
  config.critic_output = "linear"  # or "sigmoid", for least_squares
  # Critic updates that the generator's gradient looks ahead.
  config.unroll_steps = 0
  # Name of the critic's layer whose means the generator matches, in place of
  # its side of the loss, such as "hidden_1"; or "" for none.
  config.feature_matching = ""
  # Of the critic: 100 kernels in the paper, 0 for none.
  config.minibatch_discrimination = ConfigDict({"kernels": 0, "dims": 5})
  return config


def check(config: ConfigDict) -> None:
  """Refuses combinations that cannot work, or are known to do harm.

  Raises:
    InputError: with a remedy.
  """
  kernels = config.minibatch_discrimination.kernels
  for key, least in (
    ("n_critic", 1),
    ("generator_batches", 1),
    ("unroll_steps", 0),
  ):
    at_least(key, config[key], least)
  at_least("minibatch_discrimination.kernels", kernels, 0)
  dims = config.minibatch_discrimination.dims
  at_least("minibatch_discrimination.dims", dims, 1)
  if config.penalty.name and kernels:
    raise InputError(
      "minibatch discrimination with a gradient penalty: the penalty is on "
      "the gradient of each example, which it ties to the others; set "
      "minibatch_discrimination.kernels=0, or penalty.name=''"
    )
  if kernels and config.batch_size < 2:
    raise InputError(
      "minibatch discrimination compares the examples of a batch: set "
      "batch_size to 2 or more"
    )
  if config.critic_output == "sigmoid" and config.loss.name != "least_squares":
    raise InputError(
      f"critic_output='sigmoid' with loss.name={config.loss.name!r}, which "
      "takes logits without bound: set critic_output='linear'"
    )
  if config.generator_batches != 1:
    for used, reason in (
      (
        config.loss.name == "relativistic",
        "the relativistic loss compares equal numbers of real and generated "
        "images",
      ),
      (kernels, "minibatch discrimination counts neighbours in a batch"),
      (
        config.unroll_steps,
        "unrolling updates the critic with equal numbers of real and "
        "generated images",
      ),
    ):
      if used:
        raise InputError(f"{reason}: set generator_batches=1")
