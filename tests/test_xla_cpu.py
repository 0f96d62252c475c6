"""The platform of a program is that which it is built for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.configs import load_config, shrink
from jax import lax

from jaxgan import algorithms, xla_cpu
from jaxgan.engine import devices
from jaxgan.game import minibatches
from jaxgan.train_step import make_train_step


def test_the_target_is_the_innermost():
  assert xla_cpu.on_cpu()
  with xla_cpu.target("tpu"):
    assert not xla_cpu.on_cpu()
    with xla_cpu.target("cpu"):
      assert xla_cpu.on_cpu()
    with xla_cpu.target(None):
      assert not xla_cpu.on_cpu()
  assert xla_cpu.on_cpu()


def test_a_step_is_traced_for_its_platform():
  config = shrink(load_config("wgan_gp"))
  game = algorithms.create(config)
  _, template = algorithms.initial_state(config, game)
  shape = (minibatches(game), config.batch_size, 16, 16, 1)
  batch = {"image": jax.ShapeDtypeStruct(shape, "float32")}
  mapping = devices.create("shard_map", jax.devices()[:1])

  def program(platform):
    step = make_train_step(game, jax.random.key(0), 0.9, platform=platform)
    return mapping.map_step(step).lower(template, batch).as_text()

  cpu, tpu = program(None), program("tpu")
  # On a CPU, barriers keep passes apart.
  assert "optimization_barrier" in cpu
  assert "optimization_barrier" not in tpu
  # A TPU has one form of convolution, and a loop over the critic's updates.
  assert tpu.count("stablehlo.while") > cpu.count("stablehlo.while")


def test_select_keeps_what_is_the_same():
  x, y = jnp.zeros(2), jnp.ones(2)
  chosen = xla_cpu.select(jnp.bool_(True), (x, y), (x, x))
  assert chosen[0] is x
  np.testing.assert_array_equal(chosen[1], y)


def test_the_optimizers_update_is_optaxs():
  optimizer, params = optax.adam(0.1), {"w": jnp.arange(3.0)}
  state, grads = optimizer.init(params), {"w": jnp.array([1.0, -2.0, 0.0])}
  expected = optimizer.update(grads, state, params)
  jax.tree.map(
    np.testing.assert_array_equal,
    xla_cpu.optimizer_update(optimizer, grads, state, params),
    expected,
  )


@pytest.mark.parametrize("length", [1, 3])
def test_a_scan_is_written_out_on_a_cpu_alone(length):
  def program(platform):
    def scan(xs):
      with xla_cpu.target(platform):
        body = lambda carry, x: (carry + x, x)  # noqa: E731
        return lax.scan(body, 0.0, xs, unroll=xla_cpu.unroll())

    return jax.jit(scan).lower(jnp.zeros(length)).as_text()

  assert "while" not in program("cpu")
  assert "while" in program("tpu")
