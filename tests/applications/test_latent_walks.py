"""Ways between samples."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgan.applications import latent_walks
from jaxgan.evaluation.restored import RestoredRun


class Labelled:
  """A game whose samples are the first entry of the latent, and the label."""

  directions = ()

  def inputs(self, keys):
    latent = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    return {"latent": latent, "label": jnp.arange(len(keys)) % 4}

  def sample(self, params, model_state, batch, train=False):
    columns = batch["latent"][:, 0], batch["label"] / 4
    return {"generated": jnp.stack(columns, 1)[:, None, None]}


def test_only_the_latent_moves():
  run = RestoredRun(ConfigDict({"latent": "uniform"}), Labelled(), None)
  rows = latent_walks.interpolations(run, ({}, {}), 0, 3, 5)
  assert rows.shape == (3, 5, 1, 1, 2)
  latent, label = np.moveaxis(rows.reshape(3, 5, 2).astype(int), -1, 0)
  np.testing.assert_array_equal(label, [[128] * 5, [191] * 5, [128] * 5])
  assert (np.ptp(latent, axis=1) > 0).all()
  walks = latent_walks.walks(run, ({}, {}), 0, 3, 4)
  latent, label = np.moveaxis(walks.reshape(16, 12, 2).astype(int), -1, 0)
  expected = np.rint((np.arange(16) * 3 % 4 / 4 + 1) * 127.5)
  np.testing.assert_array_equal(label, np.repeat(expected[:, None], 12, 1))
  assert (np.ptp(latent, axis=1) > 0).all()
