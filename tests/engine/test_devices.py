"""How a function is mapped over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.engine import devices as devices_lib


def test_unknown_mapping_is_refused():
  with pytest.raises(ValueError, match="shard_map"):
    devices_lib.create("threads")


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_the_new_state_is_written_over_the_old(kind):
  size = 1 << 20

  def step(state, inputs):
    return jnp.where(inputs.sum() > 0, state + 1, state), {}

  mapping = devices_lib.create(kind, jax.devices()[:1])
  state = mapping.replicate(jnp.zeros(size))
  inputs = mapping.shard_batch(np.ones((1, 4), np.float32))
  compiled = mapping.map_step(step).lower(state, inputs).compile()
  usage = compiled.memory_analysis()
  assert usage.alias_size_in_bytes >= 4 * size > usage.temp_size_in_bytes
  assert compiled(state, inputs)[0].sum() == size


@pytest.mark.parametrize("count", [1, 3, 8])
def test_smaller_batches_are_filled_up(count):
  sizes = []

  def double(factor, x):
    sizes.append(len(x))
    return factor * x

  size = devices_lib.round_up(5)
  assert size == 8  # of eight devices
  run = devices_lib.filled(devices_lib.data_parallel(double), size)
  x = np.arange(2.0 * count).reshape(count, 2)
  np.testing.assert_array_equal(run(devices_lib.replicate(2.0), x), 2 * x)
  assert set(sizes) == {1}  # of each device
