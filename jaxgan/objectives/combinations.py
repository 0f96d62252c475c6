"""Combinations of a loss, a penalty and a critic that cannot work."""

from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan.errors import InputError


def check(
  config: ConfigDict, critic: nn.Module, couples_examples: bool = False
) -> None:
  """Refuses objectives that cannot work, or are known to do harm.

  For `couples_examples` see `adversarial.create`.

  Raises:
    InputError: with a remedy.
  """
  penalty = config.penalty
  clipping = config.optimizers.critic.get("clip_weights", 0.0)
  if (penalty.weight > 0) != bool(penalty.name):
    raise InputError(
      f"penalty.weight={penalty.weight} with penalty.name={penalty.name!r}: "
      "give a name and a weight above 0, or neither"
    )
  if penalty.name and getattr(critic, "norm", "none") == "batch":
    raise InputError(
      "critic.norm='batch' with a gradient penalty: the penalty is on the "
      "gradient of each example, which batch norm ties to the others; set "
      "critic.norm to 'layer' or 'none', or for translation to 'instance' or "
      "'none'"
    )
  if penalty.name and clipping:
    raise InputError(
      "weight clipping with a gradient penalty: both bound the critic's "
      "slope; set optimizers.critic.clip_weights=0.0 or penalty.name=''"
    )
  spectral = getattr(critic, "spectral_norm", False) and not couples_examples
  bounded = clipping or penalty.name or spectral
  if config.loss.name == "wasserstein" and not bounded:
    others = (
      "; spectral norm does not bound minibatch discrimination"
      if couples_examples
      else ", penalty.name='wgan_gp' with penalty.weight=10, or "
      "critic.spectral_norm=True"
    )
    raise InputError(
      "loss.name='wasserstein' needs a critic of bounded slope: set "
      f"optimizers.critic.clip_weights=0.01{others}"
    )
