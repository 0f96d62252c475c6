"""Pix2Pix: Isola et al. 2017 (arXiv:1611.07004).

Of pairs of aligned images. The critic sees an image beside its source (eq. 1),
and the generator is drawn to the target by the L1 distance (eqs. 3 and 4).
Its noise is that of dropout, which stays on when it is used, as do, after
training with batches of one, the statistics of the batch (section 3.3).
"""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgan import models
from jaxgan.algorithms.one_sided import (
  OneSided,
  create_one_sided,
  translation_config,
  with_source_and_target,
)
from jaxgan.errors import InputError
from jaxgan.game import Batch, ModelState, Params, TrainState, example_keys


@dataclasses.dataclass(frozen=True, eq=False)
class Pix2Pix(OneSided):
  """A one-sided translator of pairs, with noise."""

  l1_target = "target"

  def critic_input(self, batch: Batch, images: jax.Array) -> jax.Array:
    """Returns images beside their sources, `[B, H, W, 2 C]`."""
    return jnp.concatenate([batch["source"], images], axis=-1)

  def prepare_step(self, state: TrainState, batches: Batch, rng) -> Batch:
    """Adds `noise`, the units that dropout keeps, and `fake`."""
    rngs = jax.random.split(rng, len(batches["source"]))
    noise = [
      self.generator.noise(example_keys(key, len(x)), x.shape[1:])
      for key, x in zip(rngs, batches["source"], strict=True)
    ]
    noise = jax.tree.map(lambda *x: jnp.stack(x), *noise)
    return super().prepare_step(state, {**batches, "noise": noise}, rng)

  def inputs(self, keys: jax.Array) -> Batch:
    """Returns `latent`, from which the noise of an image is drawn."""
    return {"latent": jax.random.key_data(keys)}

  def sample(
    self, params: Params, model_state: ModelState, batch: Batch, train=False
  ) -> dict[str, jax.Array]:
    """Returns source, translation, and target if there is one.

    With a latent, the noise is on, and batch norm has the statistics of the
    image alone if it was trained on batches of one, else the running ones.
    Without, there is no noise, and these.
    """
    if "latent" not in batch:
      return super().sample(params, model_state, batch, train)
    player = params["generator"], model_state["generator"]
    generator = self.generator.clone(axis=None)

    def translate(x: jax.Array, latent: jax.Array) -> jax.Array:
      keys = jax.random.wrap_key_data(latent[None])
      noise = self.generator.noise(keys, x.shape)
      images, _ = models.apply(
        generator, *player, x[None], noise, train=self.config.batch_size == 1
      )
      return images[0]

    images = jax.vmap(translate)(batch["source"], batch["latent"])
    return with_source_and_target(batch, images)


def create(config: ConfigDict) -> Pix2Pix:
  """Returns the game that a config describes; refuses what cannot work."""
  if config.data.name == "unpaired":
    raise InputError(
      "pix2pix learns from pairs: choose a preset of such, as 'outlines' or "
      "'pairs', or configs/cyclegan.py"
    )
  game = create_one_sided(config, Pix2Pix)
  if not hasattr(game.generator, "noise"):
    raise InputError(
      f"generator.name={config.generator.name!r} makes no noise, which Pix2Pix "
      "needs: give 'unet'"
    )
  return game


def default_config(preset: str) -> ConfigDict:
  """Returns the keys of this game; see `one_sided.translation_config`."""
  config = translation_config("pix2pix", preset)
  config.n_critic = 1  # critic updates per step
  config.weights = ConfigDict({"adversarial": 1.0, "l1": 1.0})
  return config
