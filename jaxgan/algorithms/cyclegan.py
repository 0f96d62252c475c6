"""CycleGAN: Zhu et al. 2017 (arXiv:1703.10593).

Two generators, which are one player, translate between two sets of images
without pairs, and two critics, the other player, judge them (eqs. 1 to 3 and,
for the identity term, section 5.2). The generators move first; the critics see
what the generators made before that move, through a pool of older images.
Batches hold `source` and `target`, both `[B, H, W, C]` in [-1, 1].
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.algorithms.one_sided import check_translation, translation_config
from jaxgan.errors import InputError
from jaxgan.game import (
  Batch,
  Direction,
  Game,
  ModelState,
  Params,
  TrainState,
  Turn,
)
from jaxgan.objectives import adversarial, image_pool, optimizers

# A generator is named after its direction, a critic after the domain whose
# images it tells from generated ones.
DIRECTIONS = tuple(
  Direction(name, a, b, f"{a} -> {b}", cycle=f"{a} -> {b} -> {a}")
  for name, a, b in (
    ("forward", "source", "target"),
    ("backward", "target", "source"),
  )
)
INVERSE = {"forward": "backward", "backward": "forward"}


@dataclasses.dataclass(frozen=True, eq=False)
class CycleGAN(Game):
  """Two generators against two critics."""

  generators: Mapping[str, nn.Module]  # by name of direction
  objective: adversarial.Objective  # of both critics, which are alike

  directions = DIRECTIONS

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (
      Turn("generator", self.generator_loss),
      Turn("critic", self.critic_loss),
    )

  def init(self, rng: jax.Array, batch: Batch) -> tuple[Params, ModelState]:
    shapes = data.example_shapes(self.config.data)
    params: dict[str, dict] = {"generator": {}, "critic": {}}
    model_state: dict[str, dict] = {"generator": {}, "critic": {"pool": {}}}
    keys = iter(jax.random.split(rng, 4))
    for name, source, target, *_ in DIRECTIONS:
      for player, key, network, domain in (
        ("generator", name, self.generators[name], source),
        ("critic", target, self.objective.critic, target),
      ):
        x = jnp.zeros((1, *shapes[domain]))
        params[player][key], model_state[player][key] = models.init(
          network, next(keys), x
        )
      model_state["critic"]["pool"][target] = image_pool.create(
        self.config.pool_size, shapes[target]
      )
    return params, model_state

  def translate(
    self,
    name: str,
    params: Params,
    states: dict[str, Any],
    x: jax.Array,
  ) -> jax.Array:
    """Returns translations in training; the new state goes into `states`."""
    y, states[name] = models.apply(
      self.generators[name], params[name], states[name], x, train=True
    )
    return y

  def translate_all(
    self, params: Params, states: dict[str, Any], batch: Batch
  ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Returns translations of sources and, for the identity, of targets."""
    fakes, identities = {}, {}
    for name, source, target, *_ in DIRECTIONS:
      if not self.config.weights.identity:
        fakes[name] = self.translate(name, params, states, batch[source])
      elif self.generators[name].norm == "batch":
        fakes[name] = self.translate(name, params, states, batch[source])
        identities[name] = self.translate(name, params, states, batch[target])
      else:  # no norm couples examples: both in one pass
        both = jnp.concatenate([batch[source], batch[target]])
        both = self.translate(name, params, states, both)
        fakes[name], identities[name] = jnp.split(both, 2)
    return fakes, identities

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Adds `fake`, the translations by direction, for the critics."""
    # The generators' turn begins with the same computation, which the compiler
    # makes once.
    states = dict(state.model_state["generator"])
    batch = {key: batches[key][0] for key in ("source", "target")}
    fakes, _ = self.translate_all(state.params["generator"], states, batch)
    return {**batches, "fake": {name: x[None] for name, x in fakes.items()}}

  def generator_loss(
    self, params: Params, state: TrainState, batch: Batch, rng
  ):
    """Returns the sum over both directions of the weighted terms."""
    states = dict(state.model_state["generator"])
    generators = params["generator"]
    fakes, identities = self.translate_all(generators, states, batch)
    total, metrics = 0.0, {}
    for name, source, target, *_ in DIRECTIONS:
      cycle = self.translate(INVERSE[name], generators, states, fakes[name])
      terms = {
        "adversarial": self.objective.generator_loss(
          params["critic"][target],
          state.model_state["critic"][target],
          batch[target],
          fakes[name],
        ),
        "cycle": jnp.abs(cycle - batch[source]).mean(),
      }
      if identities:
        terms["identity"] = jnp.abs(identities[name] - batch[target]).mean()
      for term, value in terms.items():
        total += self.config.weights[term] * value
        metrics[f"{term}_{name}"] = value
    return total, (states, metrics)

  def critic_loss(self, params: Params, state: TrainState, batch: Batch, rng):
    """Returns the sum of both critics' sides of the objective."""
    states = dict(state.model_state["critic"])
    states["pool"] = dict(states["pool"])
    total, metrics = 0.0, {}
    for i, (name, _, target, *_) in enumerate(DIRECTIONS):
      pool_rng, loss_rng = jax.random.split(jax.random.fold_in(rng, i))
      fake, states["pool"][target] = image_pool.query(
        states["pool"][target], batch["fake"][name], pool_rng
      )
      loss, (states[target], values) = self.objective.critic_loss(
        params["critic"][target], states[target], batch[target], fake, loss_rng
      )
      total += loss
      metrics |= {f"{key}_{target}": value for key, value in values.items()}
    return total, (states, metrics)

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns each domain in the batch, translated, and translated back."""

    def translate(name: str, x: jax.Array) -> jax.Array:
      player = params["generator"][name], model_state["generator"][name]
      return models.apply(self.generators[name], *player, x, train=train)[0]

    images = {}
    for name, source, _, output, cycle in DIRECTIONS:
      if source in batch:
        fake = translate(name, batch[source])
        images |= {source: batch[source], output: fake}
        images[cycle] = translate(INVERSE[name], fake)
    return images


def create(config: ConfigDict) -> CycleGAN:
  """Returns the game that a config describes; refuses what cannot work."""
  check_translation(config)
  shapes = data.example_shapes(config.data)
  if config.weights.identity and shapes["source"][-1] != shapes["target"][-1]:
    raise InputError(
      "data.source.channels and data.target.channels differ: the identity "
      "term needs both the same; give them so, or set weights.identity=0.0"
    )
  critic = models.create("Critic", config, "critic")
  return CycleGAN(
    config,
    optimizers.of_players(config, {"generator": 1, "critic": 1}),
    {
      x.name: models.create(
        "Generator", config, "generator", channels=shapes[x.target][-1]
      )
      for x in DIRECTIONS
    },
    adversarial.create(config, critic),
  )


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game; see `one_sided.translation_config`."""
  config = translation_config("cyclegan", preset)
  config.weights = ConfigDict(
    {"adversarial": 1.0, "cycle": 1.0, "identity": 1.0}
  )
  # Earlier fakes that critics may see in place of new ones; 0: none.
  config.pool_size = 0
  return config
