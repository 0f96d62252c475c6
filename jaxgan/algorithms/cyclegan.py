"""CycleGAN: Zhu et al. 2017 (arXiv:1703.10593).

Two generators, which are one player, translate between two sets of images
without pairs, and two critics, the other player, judge them (eqs. 1 to 3 and,
for the identity term, section 5.2). The generators move first; the critics see
what the generators made before that move, through a pool of older images.
Batches hold `source` and `target`, both `[B, H, W, C]` in [-1, 1].
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.algorithms.one_sided import (
  BACKWARD,
  FORWARD,
  averaged,
  check,
  create_generator,
  translation_config,
)
from jaxgan.errors import InputError
from jaxgan.game import Batch, Direction, Game, Params, TrainState
from jaxgan.objectives import adversarial as objective_lib
from jaxgan.objectives import image_pool as pool_lib
from jaxgan.objectives import optimizers

_DIRECTIONS = (
  Direction("forward", "source", "target", FORWARD, f"{FORWARD} -> source"),
  Direction("backward", "target", "source", BACKWARD, f"{BACKWARD} -> target"),
)
# By direction, what it goes from and to. A critic is named after the set whose
# images it tells from generated ones.
_WAYS = {way.name: (way.source, way.target) for way in _DIRECTIONS}
_BACK = {"forward": "backward", "backward": "forward"}


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for values that cannot work.
  """
  check(config)
  shapes = data.example_shapes(config.data)
  weights = config.weights
  if weights.identity and shapes["source"][-1] != shapes["target"][-1]:
    raise InputError(
      "data.source.channels and data.target.channels differ: the identity "
      "term needs both the same; give them so, or set weights.identity=0.0"
    )
  generators = {
    way: create_generator(config, shapes[end][-1])
    for way, (_, end) in _WAYS.items()
  }
  critic = models.create("Critic", config.critic, config.dtype)
  objective = objective_lib.create(config, critic)
  schedule = (("generator", 1), ("critic", 1))

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    params: dict[str, dict] = {"generator": {}, "critic": {}}
    model_state: dict[str, dict] = {"generator": {}, "critic": {"pool": {}}}
    keys = iter(jax.random.split(rng, 4))
    for way, (start, end) in _WAYS.items():
      for player, name, network, side in (
        ("generator", way, generators[way], start),
        ("critic", end, critic, end),
      ):
        x = jnp.zeros((1, *shapes[side]))
        params[player][name], model_state[player][name] = models.init(
          network, next(keys), x
        )
      model_state["critic"]["pool"][end] = pool_lib.create(
        config.pool_size, shapes[end]
      )
    return params, model_state

  def translations(
    params: Mapping[str, Params], states: dict[str, Any], batch: Batch
  ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """What each generator makes of its source, and of its target."""
    fakes, same = {}, {}
    for way, (start, end) in _WAYS.items():
      if not weights.identity:
        fakes[way] = run(way, params, states, batch[start])
      elif config.generator.norm == "batch":
        fakes[way] = run(way, params, states, batch[start])
        same[way] = run(way, params, states, batch[end])
      else:  # nothing is of a batch: both in one pass
        both = jnp.concatenate([batch[start], batch[end]])
        both = run(way, params, states, both)
        fakes[way], same[way] = jnp.split(both, 2)
    return fakes, same

  def run(
    way: str, params: Mapping[str, Params], states: dict[str, Any], x: jax.Array
  ) -> jax.Array:
    """Applies a generator in training; its new state goes into `states`."""
    y, states[way] = models.apply(
      generators[way], params[way], states[way], x, True
    )
    return y

  def before(state: TrainState, batches: Batch, rng: jax.Array) -> Batch:
    # The generators' turn begins with the same computation, which the compiler
    # makes once.
    states = dict(state.model_state["generator"])
    batch = {key: batches[key][0] for key in shapes}
    fakes, _ = translations(state.params["generator"], states, batch)
    return {**batches, "fake": {way: x[None] for way, x in fakes.items()}}

  def generator_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    own, states = params["generator"], dict(state.model_state["generator"])
    fakes, same = translations(own, states, batch)
    total, metrics = 0.0, {}
    for way, (start, end) in _WAYS.items():
      cycle = run(_BACK[way], own, states, fakes[way])
      terms = {
        "adversarial": objective.generator(
          params["critic"][end],
          state.model_state["critic"][end],
          batch[end],
          fakes[way],
        ),
        "cycle": jnp.abs(cycle - batch[start]).mean(),
      }
      if weights.identity:
        terms["identity"] = jnp.abs(same[way] - batch[end]).mean()
      for name, value in terms.items():
        total += weights[name] * value
        metrics[f"{name}_{way}"] = value
    return total, (states, metrics)

  def critic_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    own, states = params["critic"], dict(state.model_state["critic"])
    states["pool"] = dict(states["pool"])
    total, metrics = 0.0, {}
    for i, (way, (_, end)) in enumerate(_WAYS.items()):
      pool_rng, rng_ = jax.random.split(jax.random.fold_in(rng, i))
      fake, states["pool"][end] = pool_lib.query(
        states["pool"][end], batch["fake"][way], pool_rng
      )
      loss, (states[end], found) = objective.critic(
        own[end], states[end], batch[end], fake, rng_
      )
      total += loss
      metrics |= {f"{name}_{end}": value for name, value in found.items()}
    return total, (states, metrics)

  def sample(
    params: Mapping[str, Params],
    model_state: Mapping[str, Any],
    batch: Batch,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    def go(way: str, x: jax.Array) -> jax.Array:
      player = params["generator"][way], model_state["generator"][way]
      return models.apply(generators[way], *player, x, train)[0]

    shown = {}
    for way in _DIRECTIONS:
      if way.source in batch:
        there = go(way.name, batch[way.source])
        shown |= {way.source: batch[way.source], way.output: there}
        shown[way.cycle] = go(_BACK[way.name], there)
    return shown

  return Game(
    init=init,
    losses={"generator": generator_loss, "critic": critic_loss},
    optimizers=optimizers.of_players(config, schedule),
    schedule=schedule,
    sample=sample,
    ema=averaged(config),
    before=before,
    directions=_DIRECTIONS,
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
