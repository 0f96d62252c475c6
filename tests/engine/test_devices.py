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
