"""Samples in batches, on one device or several."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config, shrink

from jaxgan import algorithms
from jaxgan.data.pixels import to_uint8
from jaxgan.engine import devices
from jaxgan.evaluation import (
  sampling,
)

pytestmark = pytest.mark.slow


def test_samples_do_not_depend_on_their_batch(monkeypatch):
  config = shrink(load_config("dcgan"))
  algorithm = algorithms.create(config)
  params, model_state = algorithm.init(jax.random.key(0), {})
  images = {}
  for size in (16, 24):
    monkeypatch.setattr(sampling, "BATCH_SIZE", size)
    sample = sampling.sampler(algorithm, seed=3)
    batches = list(map(np.asarray, sample((params, model_state), 40)))
    assert sum(map(len, batches)) == 40
    images[size] = np.concatenate(batches)
  assert images[16].dtype == np.uint8
  difference = images[16].astype(int) - images[24]
  assert np.abs(difference).max() <= 1  # rounded after sums in another order
  # With the batch's own statistics, the batch matters.
  sample = sampling.sampler(algorithm, 3, batch_statistics=True)
  other = np.concatenate(list(sample((params, model_state), 40)))
  assert np.abs(other.astype(int) - images[24]).mean() > 0.5
  seeds = sampling.sampler(algorithm, seed=4)
  assert (np.asarray(next(seeds((params, model_state), 8))) != other[:8]).any()


def test_batch_statistics_are_of_all_devices():
  # Eight simulated devices against the whole batch on one.
  config = shrink(load_config("dcgan"))
  algorithm = algorithms.create(config)
  params, model_state = algorithm.init(jax.random.key(0), {})
  inputs = sampling.draw_inputs(algorithm, 0, np.arange(16))
  variables = devices.replicate((params, model_state))
  found = sampling.generator(algorithm, True)(variables, inputs)
  alone = jax.vmap(
    lambda inputs: algorithm.sample(params, model_state, inputs, True),
    axis_name="batch",
  )({"latent": inputs["latent"][None]})["generated"][0]
  difference = np.asarray(found, int) - np.asarray(to_uint8(alone), int)
  assert np.abs(difference).max() <= 1


class Labelled(NamedTuple):
  """A game whose samples have the grey level of a label."""

  directions = ()

  def inputs(self, keys):
    latent = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    return {"latent": latent, "label": jnp.arange(len(keys)) % 3 - 1}

  def sample(self, params, model_state, batch, train=False):
    assert batch["latent"].shape == (len(batch["label"]), 3)
    return {"generated": batch["label"][:, None, None, None] / 1.0}


def test_samples_are_made_from_all_inputs():
  (images,) = sampling.sampler(Labelled(), seed=0)(({}, {}), 9)
  np.testing.assert_array_equal(np.ravel(images), [0, 128, 255] * 3)


def test_quantization_rounds():
  grey = np.array([-1.1, -1, -0.999, 0, 0.5, 1, 1.2]).reshape(7, 1, 1, 1)
  found = np.asarray(to_uint8(jnp.asarray(grey)))
  np.testing.assert_array_equal(found.ravel(), [0, 0, 0, 128, 191, 255, 255])
