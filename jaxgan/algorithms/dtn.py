"""Domain Transfer Network: Taigman et al. 2017 (arXiv:1611.02200).

G(x) = g(f(x)) translates from the source to the target domain: f is a frozen
feature net, which understands both, and g a generator of target images from its
features. The critic knows three classes: G of a source image, G of a target
image, and a real target image (eq. 3). The generator minimises

  L_GANG + alpha L_CONST + beta L_TID + gamma L_TV   (eqs. 4 to 8)

whose weights are `weights.adversarial`, `constancy`, `identity` and
`total_variation`; a term of weight 0 is logged, and has no gradient. With
`features.centred`, f is taken less its mean over the domain, and with length 1.
Batches hold `source` and `target`, both `[B, H, W, C]` in [-1, 1].
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from jaxgan import data, models, xla_cpu
from jaxgan.algorithms import classifier
from jaxgan.algorithms.one_sided import FORWARD, check_translation
from jaxgan.checks import one_of
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.data.pixels import match_shape
from jaxgan.errors import InputError
from jaxgan.game import (
  Batch,
  Direction,
  Game,
  ModelState,
  Params,
  Pretrained,
  TrainState,
  Turn,
  pmean,
)
from jaxgan.models.layers.norms import unit_length
from jaxgan.objectives import optimizers

CLASSES = ("fake_source", "fake_target", "real")  # of the critic
IDENTITY = Direction("identity", "target", "target", "target -> target")


def total_variation(images: jax.Array) -> jax.Array:
  """Returns the mean length of images' gradients, `[B, H, W, C]` (eq. 8).

  B is 1, and the paper's sum over pixels is a mean here, as are the squared
  distances of its other terms. Where an image is flat, its gradient is 0.
  """
  down = images[:, 1:, :-1] - images[:, :-1, :-1]
  right = images[:, :-1, 1:] - images[:, :-1, :-1]
  squares = jnp.square(down) + jnp.square(right)
  flat = squares == 0
  return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squares))).mean()


def squared(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the mean squared difference."""
  return jnp.square(a - b).mean()


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the mean of 1 - cos of the angles of features, both `[B, D]`."""
  return (1 - optax.losses.cosine_similarity(a, b, epsilon=1e-6)).mean()


def centre(
  features: jax.Array, model_state: ModelState, domain: str
) -> jax.Array:
  """Returns features `[B, D]` less a domain's mean, with length 1.

  Where g's model state has no means, they stay as they are.
  """
  if "means" not in model_state:
    return features
  return unit_length(features - model_state["means"][domain])


_DISTANCES = {"squared": squared, "cosine": cosine}


@dataclasses.dataclass(frozen=True, eq=False)
class DTN(Game):
  """A generator from frozen features against a critic of three classes."""

  features: nn.Module  # f, which is frozen
  generator: nn.Module  # g
  critic: nn.Module

  directions = (FORWARD, IDENTITY)
  embedded = ("source", "target")

  @property
  def schedule(self) -> tuple[Turn, ...]:
    return (
      Turn("critic", self.critic_loss, self.config.n_critic),
      Turn("generator", self.generator_loss, self.config.n_generator),
    )

  @property
  def pretrained(self) -> dict[str, Pretrained]:
    features, shape = self.config.features, feature_shape(self.config)
    source = data.domain(self.config.data, "source")
    spec = Pretrained(features.network, shape, features.workdir, source)
    return {"features": spec}

  def init(self, rng: jax.Array, batch: Batch) -> tuple[Params, ModelState]:
    image = jnp.zeros((1, *data.example_shapes(self.config.data)["target"]))
    seen = jnp.zeros((1, *feature_shape(self.config)))
    (features, _), _ = jax.eval_shape(
      lambda: self.features.init_with_output(rng, seen, train=False)
    )
    networks = {
      "features": (self.features, seen),
      "generator": (self.generator, jnp.zeros(features.shape)),
      "critic": (self.critic, image),
    }
    params, model_state = models.init_players(rng, networks)
    if self.config.features.get("centred", False):  # older runs lack it
      mean = jnp.zeros(features.shape[1:])
      means = dict.fromkeys(self.embedded, mean)
      model_state["generator"] = {**model_state["generator"], "means": means}
    return params, model_state

  def embed(
    self,
    params: Params,
    model_state: ModelState,
    images: jax.Array,
  ) -> jax.Array:
    images = match_shape(images, feature_shape(self.config))
    player = params["features"], model_state["features"]
    return models.apply(self.features, *player, images, train=False)[0][0]

  def generate(
    self, params: Params, state: TrainState, batch: Batch
  ) -> tuple[dict[str, jax.Array], jax.Array, Any]:
    """Returns G of both domains, g's input of the source, and its model state.

    In one pass, so that batch norm has the statistics of both, as its running
    ones are, with which images of either are translated later.
    """
    features = {
      key: batch[known]
      if (known := f"{key}_embedding") in batch
      else self.embed(params, state.model_state, batch[key])
      for key in self.embedded
    }
    # Not fused with what follows, so to the bit those that `embed_once` keeps.
    features = xla_cpu.barrier(features)
    model_state = dict(state.model_state["generator"])
    if "means" in model_state:  # of the batches of all steps so far
      model_state["means"] = {
        key: mean + (pmean(features[key].mean(0)) - mean) / (state.step + 1)
        for key, mean in model_state["means"].items()
      }
    inputs = [centre(x, model_state, key) for key, x in features.items()]
    images, model_state = models.apply(
      self.generator,
      params["generator"],
      model_state,
      jnp.concatenate(inputs),
      train=True,
    )
    fakes = dict(zip(CLASSES, jnp.split(images, 2), strict=False))
    return fakes, inputs[0], model_state

  def classify(
    self, params: Params, model_state: Any, images: Mapping[str, jax.Array]
  ) -> tuple[dict[str, jax.Array], Any]:
    """Returns logits `[B, 3]` of each entry, with batch norm each by itself."""
    separately = getattr(self.critic, "norm", "none") == "batch"
    logits, model_state = models.apply_each(
      self.critic, params, model_state, list(images.values()), separately
    )
    return dict(zip(images, logits, strict=True)), model_state

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Adds `fake_source` and `fake_target`, which the critic sees."""
    # The generator's turn begins with the same computation, which the compiler
    # makes once; it leaves out those that the critic does not see.
    fakes = [
      self.generate(
        state.params, state, jax.tree.map(lambda x, i=i: x[i], batches)
      )[0]
      for i in range(len(batches["source"]))
    ]
    return batches | jax.tree.map(lambda *x: jnp.stack(x), *fakes)

  def critic_loss(self, params: Params, state: TrainState, batch: Batch, rng):
    """Returns the cross entropy of the three classes (eq. 3)."""
    images = {key: batch[key] for key in CLASSES[:2]}
    images["real"] = batch["target"]
    logits, model_state = self.classify(
      params["critic"], state.model_state["critic"], images
    )
    total, metrics = 0.0, {}
    for label, name in enumerate(CLASSES):
      log_probability = jax.nn.log_softmax(logits[name])[..., label]
      total -= log_probability.mean()
      metrics[name] = jnp.exp(log_probability).mean()
    return total, (model_state, metrics)

  def generator_loss(
    self, params: Params, state: TrainState, batch: Batch, rng
  ):
    """Returns the weighted sum of the four terms (eqs. 4 to 8)."""
    fakes, features, model_state = self.generate(params, state, batch)
    logits, _ = self.classify(
      params["critic"], state.model_state["critic"], fakes
    )
    real = CLASSES.index("real")
    fake_features = self.embed(params, state.model_state, fakes["fake_source"])
    fake_features = centre(fake_features, model_state, "target")
    distance = _DISTANCES[self.config.features.distance]
    metrics = {
      "adversarial": -sum(
        jax.nn.log_softmax(x)[..., real].mean() for x in logits.values()
      ),
      "constancy": distance(features, fake_features),
      "identity": squared(fakes["fake_target"], batch["target"]),
      "total_variation": total_variation(jnp.concatenate(list(fakes.values()))),
    }
    # Not multiplied by 0 but left out, so that it costs no gradient.
    weights = self.config.weights
    total = sum(weights[key] * metrics[key] for key in weights if weights[key])
    return total, (model_state, metrics)

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns the images of each domain in the batch, and G of them."""
    images = {}
    for _, source, _, output, _ in self.directions:
      if source in batch:
        features = self.embed(params, model_state, batch[source])
        features = centre(features, model_state["generator"], source)
        player = params["generator"], model_state["generator"]
        fake, _ = models.apply(self.generator, *player, features, train=train)
        images |= {source: batch[source], output: fake}
    return images


def create(config: ConfigDict) -> DTN:
  """Returns the game that a config describes; refuses what cannot work."""
  _check(config)
  shape = data.example_shapes(config.data)["target"]
  return DTN(
    config,
    optimizers.of_players(
      config, {"critic": config.n_critic, "generator": config.n_generator}
    ),
    models.create("Classifier", config, "features.network"),
    models.create("Generator", config, "generator", shape=shape),
    models.create("Critic", config, "critic", outputs=len(CLASSES)),
  )


def feature_shape(config: ConfigDict) -> tuple[int, int, int]:
  """Returns the shape `(H, W, C)` of the images that f sees."""
  features, source = config.features, data.example_shapes(config.data)["source"]
  side = features.image_size
  height, width = (side, side) if side else source[:2]
  return height, width, features.channels or source[2]


def _check(config: ConfigDict) -> None:
  check_translation(config)
  features = config.features
  one_of("features.distance", features.distance, _DISTANCES)
  if features.image_size != 0 and features.image_size < 4:
    raise InputError(
      f"features.image_size={features.image_size}: give 4 or more, or 0 for "
      "the source's"
    )
  if features.channels not in (0, 1, 3):
    raise InputError(
      f"features.channels={features.channels}: give 1 or 3, or 0 for the "
      "source's"
    )
  if not any(config.weights.values()):
    raise InputError("all weights are 0: give one above 0")


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game, with the paper's weights for digits.

  A config adds `generator`, `critic` and `optimizers`.

  Args:
    preset: see `jaxgan.data.presets.translation`.
  """
  config = shared_config("dtn", presets.translation(preset))
  config.weights = ConfigDict(
    {
      "adversarial": 1.0,
      "constancy": 15.0,  # alpha
      "identity": 15.0,  # beta
      "total_variation": 0.0,  # gamma
    }
  )
  config.n_critic = 1  # critic updates per step
  config.n_generator = 1
  # The feature net f, which stays as it is.
  config.features = ConfigDict(
    {
      # Of a run of configs/classifier.py; by default one is trained for the
      # images of the source, once.
      "workdir": "",
      "image_size": 0,  # of the images that it is for; 0: as the source's
      "channels": 0,
      # For an f that sees the domains far apart: its mean over the images of
      # each is taken away, and the rest has length 1.
      "centred": False,
      "distance": "squared",  # of features, in the constancy; or "cosine"
      "network": classifier.default_config("digits").classifier,
    }
  )
  return config
