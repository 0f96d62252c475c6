"""The operation count against closed forms, and the figures of a config."""

import sys

import jax
import jax.numpy as jnp
import pytest
from conftest import ROOT, load_config, shrink

from jaxgan import benchmark
from jaxgan.models import layers

X, W = jnp.ones((2, 8, 8, 3)), jnp.ones((4, 4, 3, 5))
ONE = 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3)  # of one convolution of X by W


def conv(x, w):
  return layers.conv(x, w, (2, 2), ((1, 1), (1, 1)))


def test_flops_of_products_and_loops():
  a, b = jnp.ones((3, 7, 5)), jnp.ones((3, 5, 4))
  assert benchmark.count_flops(jnp.matmul, a, b) == 2 * 3 * 7 * 5 * 4

  def loop(x):
    return jax.lax.scan(lambda x, _: (x @ x, None), x, length=6)[0]

  assert benchmark.count_flops(loop, jnp.ones((4, 4))) == 6 * 2 * 4**3


def test_flops_of_a_convolution_and_its_gradients():
  assert benchmark.count_flops(conv, X, W) == ONE
  # The convolution itself, and one as large for each gradient that is used.
  loss = lambda x, w: jnp.sin(conv(x, w)).sum()  # noqa: E731
  assert benchmark.count_flops(jax.grad(loss), X, W) == 2 * ONE
  both = jax.grad(loss, argnums=(0, 1))
  assert benchmark.count_flops(both, X, W) == 3 * ONE


def test_what_no_result_needs_is_not_counted():
  assert benchmark.count_flops(lambda x, w: (conv(x, w), x)[1], X, W) == 0


def test_figures(monkeypatch):
  monkeypatch.setattr(benchmark, "REPEATS", 2)
  monkeypatch.setattr(benchmark, "peak", lambda dtype: 1e9)
  config = shrink(load_config("nsgan", "ring"))
  figures = benchmark.measure(config, seconds=0.01)
  rate = figures["rounds_per_second"]
  assert rate * figures["milliseconds_per_round"] == pytest.approx(1000)
  assert figures["images_per_second"] == pytest.approx(16 * rate)
  assert figures["gflops_per_second"] > 0
  assert figures["memory_mib"] > 0


def test_the_pytorch_peer_has_the_same_networks(monkeypatch):
  pytest.importorskip("torch")
  monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
  import peer
  import speed

  from jaxgan.train import create_algorithm

  for name in speed.ROUNDS:
    config = speed.load(name, {})
    algorithm = create_algorithm(config)
    params, _ = jax.eval_shape(
      lambda algorithm=algorithm: algorithm.init(jax.random.key(0), {})
    )
    count = sum(x.size for x in jax.tree.leaves(params))
    assert peer.prepare(config, False, "cpu").parameters == count, name
  assert sys.modules["peer"]


def test_the_pytorch_peer_plays():
  pytest.importorskip("torch")
  sys.path.insert(0, str(ROOT / "benchmarks"))
  import peer

  config = shrink(load_config("wgan_gp", "mnist"))
  played = peer.prepare(config, False, "cpu")
  played.play(1)
