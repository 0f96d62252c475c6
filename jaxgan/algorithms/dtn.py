"""Domain Transfer Network: Taigman et al. 2017 (arXiv:1611.02200).

G(x) = g(f(x)) translates from the source to the target domain: f is a frozen
feature net, which understands both, and g a generator of target images from its
features. The critic knows three classes: G of a source image, G of a target
image, and a real target image (eq. 3). The generator minimises

  L_GANG + alpha L_CONST + beta L_TID + gamma L_TV   (eqs. 4 to 8)

whose weights are `weights.adversarial`, `constancy`, `identity` and
`total_variation`; a term of weight 0 is logged, and has no gradient. Batches
hold `source` and `target`, both `[B, H, W, C]` in [-1, 1].
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxgan import data, models
from jaxgan.algorithms import classifier
from jaxgan.algorithms.one_sided import (
  FORWARD,
  IDENTITY,
  averaged,
  check_domains,
  check_norms,
)
from jaxgan.config import shared_config
from jaxgan.data import presets
from jaxgan.errors import InputError
from jaxgan.evaluation import classifiers
from jaxgan.game import (
  Batch,
  Direction,
  Game,
  Params,
  Pretrained,
  TrainState,
)
from jaxgan.objectives import optimizers

CLASSES = ("fake_source", "fake_target", "real")  # of the critic


def total_variation(images: jax.Array) -> jax.Array:
  """The mean length of the gradient of images `[B, H, W, C]` (eq. 8, B = 1).

  The paper's sum over pixels is a mean here, as are the squared distances of
  its other terms. Where an image is flat, its gradient is 0.
  """
  down = images[:, 1:, :-1] - images[:, :-1, :-1]
  right = images[:, :-1, 1:] - images[:, :-1, :-1]
  squares = jnp.square(down) + jnp.square(right)
  flat = squares == 0
  return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squares))).mean()


def squared(a: jax.Array, b: jax.Array) -> jax.Array:
  """The mean squared difference."""
  return jnp.square(a - b).mean()


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
  """The mean of 1 - cos of the angles of features, both `[B, D]`."""
  return (1 - optax.losses.cosine_similarity(a, b, epsilon=1e-6)).mean()


_DISTANCES = {"squared": squared, "cosine": cosine}


def fitted(images: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
  """Images `[B, H, W, C]` with the height, width and channels of `shape`."""
  if images.shape[-1] > shape[-1]:  # as Pillow makes them grey
    images = images @ jnp.array([[0.299], [0.587], [0.114]], images.dtype)
  images = jnp.broadcast_to(images, (*images.shape[:3], shape[-1]))
  if images.shape[1:] != shape:
    images = jax.image.resize(images, (len(images), *shape), "linear")
  return images


def create(config: ConfigDict) -> Game:
  """Returns the game that the config describes.

  Raises:
    InputError: for values that cannot work.
  """
  _check(config)
  shapes = data.example_shapes(config.data)
  seen = _shape(config)
  net = models.create("Classifier", config.features.network, config.dtype)
  generator = models.create(
    "Generator", config.generator, config.dtype, shape=shapes["target"]
  )
  critic = models.create(
    "Critic", config.critic, config.dtype, outputs=len(CLASSES)
  )
  weights, distance = config.weights, _DISTANCES[config.features.distance]
  schedule = (("critic", config.n_critic), ("generator", config.n_generator))

  def embed(
    params: Mapping[str, Params],
    model_state: Mapping[str, Any],
    images: jax.Array,
  ) -> jax.Array:
    own = params["features"], model_state["features"]
    return models.apply(net, *own, fitted(images, seen), False)[0][0]

  def generate(
    params: Mapping[str, Params], state: TrainState, batch: Batch
  ) -> tuple[dict[str, jax.Array], jax.Array, Any]:
    """G of both domains, f of the source, and the new model state of g.

    In one pass, so that batch norm has the statistics of both, as its running
    ones are, with which images of either are translated later.
    """
    both = [
      embed(params, state.model_state, batch[key])
      for key in ("source", "target")
    ]
    made, model_state = models.apply(
      generator,
      params["generator"],
      state.model_state["generator"],
      jnp.concatenate(both),
      True,
    )
    fakes = dict(zip(CLASSES, jnp.split(made, 2), strict=False))
    return fakes, both[0], model_state

  def classify(
    params: Params, model_state: Any, images: Mapping[str, jax.Array]
  ) -> tuple[dict[str, jax.Array], Any]:
    """Logits `[B, 3]` of each entry, with batch norm each by itself."""
    apart = config.critic.norm == "batch"
    logits, model_state = models.apply_each(
      critic, params, model_state, list(images.values()), apart
    )
    return dict(zip(images, logits, strict=True)), model_state

  def init(rng: jax.Array, batch: Batch) -> tuple[dict, dict]:
    rngs = jax.random.split(rng, 3)
    images = jnp.zeros((1, *seen))
    own = models.init(net, rngs[0], images)
    features, _ = models.apply(net, *own, images, False)[0]
    found = {
      "features": own,
      "generator": models.init(generator, rngs[1], features),
      "critic": models.init(critic, rngs[2], jnp.zeros((1, *shapes["target"]))),
    }
    return tuple({k: x[i] for k, x in found.items()} for i in range(2))

  def pretrained() -> dict[str, tuple[Params, Any]]:
    own = config.features
    source = data.domain(config.data, "source")
    spec = Pretrained(own.network, seen, own.workdir, source)
    return {"features": classifiers.weights_of(spec)}

  def before(state: TrainState, batches: Batch, rng: jax.Array) -> Batch:
    # The generator's turn begins with the same computation, which the compiler
    # makes once; it leaves out those that the critic does not see.
    fakes = [
      generate(state.params, state, jax.tree.map(lambda x, i=i: x[i], batches))
      for i in range(len(batches["source"]))
    ]
    return batches | jax.tree.map(
      lambda *x: jnp.stack(x), *(x[0] for x in fakes)
    )

  def critic_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    images = {key: batch[key] for key in CLASSES[:2]}
    images["real"] = batch["target"]
    logits, model_state = classify(
      params["critic"], state.model_state["critic"], images
    )
    total, metrics = 0.0, {}
    for label, name in enumerate(CLASSES):
      own = jax.nn.log_softmax(logits[name])[..., label]
      total -= own.mean()
      metrics[name] = jnp.exp(own).mean()
    return total, (model_state, metrics)

  def generator_loss(
    params: Mapping[str, Params], state: TrainState, batch: Batch, rng
  ):
    fakes, features, model_state = generate(params, state, batch)
    logits, _ = classify(params["critic"], state.model_state["critic"], fakes)
    real = CLASSES.index("real")
    made = embed(params, state.model_state, fakes["fake_source"])
    metrics = {
      "adversarial": -sum(
        jax.nn.log_softmax(own)[..., real].mean() for own in logits.values()
      ),
      "constancy": distance(features, made),
      "identity": squared(fakes["fake_target"], batch["target"]),
      "total_variation": total_variation(jnp.concatenate(list(fakes.values()))),
    }
    # Not multiplied by 0 but left out, so that it costs no gradient.
    total = sum(weights[key] * metrics[key] for key in weights if weights[key])
    return total, (model_state, metrics)

  def sample(
    params: Mapping[str, Params],
    model_state: Mapping[str, Any],
    batch: Batch,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    shown = {}
    for start, result in (("source", FORWARD), ("target", IDENTITY)):
      if start in batch:
        x = embed(params, model_state, batch[start])
        own = params["generator"], model_state["generator"]
        made, _ = models.apply(generator, *own, x, train)
        shown |= {start: batch[start], result: made}
    return shown

  return Game(
    init=init,
    losses={"critic": critic_loss, "generator": generator_loss},
    optimizers=optimizers.of_players(config, schedule),
    schedule=schedule,
    sample=sample,
    ema=averaged(config),
    before=before,
    directions=(
      Direction("forward", "source", "target", FORWARD),
      Direction("identity", "target", "target", IDENTITY),
    ),
    pretrained=pretrained,
    embed=embed,
  )


def _shape(config: ConfigDict) -> tuple[int, int, int]:
  """Of the images that f sees."""
  own, source = config.features, data.example_shapes(config.data)["source"]
  side = (own.image_size,) * 2 if own.image_size else source[:2]
  return (*side, own.channels or source[2])


def _check(config: ConfigDict) -> None:
  check_domains(config)
  check_norms(
    config,
    generator=("batch", "layer", "none"),
    critic=("batch", "layer", "spectral", "none"),
  )
  own = config.features
  if own.distance not in _DISTANCES:
    raise InputError(
      f"features.distance={own.distance!r}: choose one of {list(_DISTANCES)}"
    )
  if own.image_size != 0 and own.image_size < 4:
    raise InputError(
      f"features.image_size={own.image_size}: give 4 or more, or 0 for the "
      "source's"
    )
  if own.channels not in (0, 1, 3):
    raise InputError(
      f"features.channels={own.channels}: give 1 or 3, or 0 for the source's"
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
      "distance": "squared",  # of features, in the constancy; or "cosine"
      "network": classifier.default_config("digits").classifier,
    }
  )
  return config
