"""Adversarial objectives: what critic and generator minimise.

Each is a pair of functions `(real_logits, fake_logits) -> scalar` of the
critic's raw outputs of any shape, without a sigmoid: `[B]`, or a map of
patches. D(x) = sigmoid(logit) is the probability that x is real.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import relu, softplus

ScalarLoss = Callable[[jax.Array, jax.Array], jax.Array]


class AdversarialLoss(NamedTuple):
  """The two sides of an objective, both to be minimised."""

  critic: ScalarLoss
  generator: ScalarLoss
  # Whether the generator's side is minus the critic's, but for a term of the
  # real logits, which depend on it only where the critic is unrolled.
  zero_sum: bool = False


def _cross_entropy(real: jax.Array, fake: jax.Array) -> jax.Array:
  # -log D(real) - log(1 - D(fake)), which cannot overflow so.
  return softplus(-real).mean() + softplus(fake).mean()


minimax = AdversarialLoss(
  critic=_cross_entropy,
  generator=lambda real, fake: -softplus(fake).mean(),
  zero_sum=True,
)
"""Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1: the generator minimises
E log(1 - D(G(z))), whose gradient vanishes where the critic is sure."""

non_saturating = AdversarialLoss(
  critic=_cross_entropy,
  generator=lambda real, fake: softplus(-fake).mean(),
)
"""Goodfellow et al. 2014, section 3: the generator maximises
E log D(G(z))."""


def least_squares(a=0.0, b=1.0, c=1.0) -> AdversarialLoss:
  """Mao et al. 2017 (arXiv:1611.04076), eq. 2; by default as in eq. 9.

  The critic gives a to generated and b to real examples; the generator wants
  its examples to be given c.
  """
  return AdversarialLoss(
    critic=lambda real, fake: (
      0.5 * (jnp.square(real - b).mean() + jnp.square(fake - a).mean())
    ),
    generator=lambda real, fake: 0.5 * jnp.square(fake - c).mean(),
  )


wasserstein = AdversarialLoss(
  critic=lambda real, fake: fake.mean() - real.mean(),
  generator=lambda real, fake: -fake.mean(),
  zero_sum=True,
)
"""Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1, as minimisations:
minus the critic's loss estimates the Wasserstein-1 distance, up to the
critic's Lipschitz constant."""

hinge = AdversarialLoss(
  critic=lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
  generator=lambda real, fake: -fake.mean(),
)
"""Lim and Ye 2017 (arXiv:1705.02894), eq. 9; Miyato et al. 2018
(arXiv:1802.05957), eqs. 16 and 17."""

relativistic = AdversarialLoss(
  critic=lambda real, fake: softplus(fake - real).mean(),
  generator=lambda real, fake: softplus(real - fake).mean(),
)
"""Jolicoeur-Martineau 2018 (arXiv:1807.00734), RpGAN; Huang et al. 2024
(arXiv:2501.05441), eq. 2: example i of the real batch against example i of
the generated one."""
