"""The operation count against closed forms, and the figures of a config."""

from importlib import import_module

import jax
import jax.numpy as jnp
import pytest
from helpers.configs import load_config, shrink
from helpers.environment import ROOT

from jaxgan import algorithms
from jaxgan.applications import step_timing
from jaxgan.models.layers.cpu import convolutions
from jaxgan.train_step import make_train_step

X, W = jnp.ones((2, 8, 8, 3)), jnp.ones((4, 4, 3, 5))
ONE = 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3)  # of one convolution of X by W


def conv(x, w):
  return convolutions.conv(x, w, (2, 2), ((1, 1), (1, 1)))


def test_flops_of_products_and_loops():
  a, b = jnp.ones((3, 7, 5)), jnp.ones((3, 5, 4))
  assert step_timing.count_flops(jnp.matmul, a, b) == 2 * 3 * 7 * 5 * 4

  def loop(x):
    return jax.lax.scan(lambda x, _: (x @ x, None), x, length=6)[0]

  assert step_timing.count_flops(loop, jnp.ones((4, 4))) == 6 * 2 * 4**3


def test_flops_of_a_convolution_and_its_gradients():
  assert step_timing.count_flops(conv, X, W) == ONE
  # The convolution itself, and one as large for each gradient that is used.
  loss = lambda x, w: jnp.sin(conv(x, w)).sum()  # noqa: E731
  assert step_timing.count_flops(jax.grad(loss), X, W) == 2 * ONE
  both = jax.grad(loss, argnums=(0, 1))
  assert step_timing.count_flops(both, X, W) == 3 * ONE


def test_what_no_result_needs_is_not_counted():
  assert step_timing.count_flops(lambda x, w: (conv(x, w), x)[1], X, W) == 0


@pytest.mark.slow
def test_figures(monkeypatch):
  monkeypatch.setattr(step_timing, "REPEATS", 2)
  monkeypatch.setattr(step_timing, "peak", lambda dtype: 1e9)
  config = shrink(load_config("mixture", "ring_nsgan"))
  figures = step_timing.measure(config, seconds=0.01)
  rate = figures["steps_per_second"]
  assert rate * figures["milliseconds_per_step"] == pytest.approx(1000)
  assert figures["images_per_second"] == pytest.approx(16 * rate)
  assert figures["gflops_per_second"] > 0
  assert figures["memory_mib"] > 0


def test_flops_are_those_of_all_devices():
  config = shrink(load_config("mixture", "ring_nsgan"))
  on_all = step_timing.compile_step(config).flops
  config.batch_size //= jax.device_count()
  images = jax.ShapeDtypeStruct((1, config.batch_size, 2), "float32")
  algorithm = algorithms.create(config)
  _, state = algorithms.initial_state(config, algorithm)
  step = make_train_step(algorithm, jax.random.key(1), config.ema_decay)
  on_one = step_timing.count_flops(step, state, {"image": images})
  assert on_all == jax.device_count() * on_one > 0


@pytest.fixture
def peer(monkeypatch):
  """The module `benchmarks/peer.py`."""
  pytest.importorskip("torch")
  monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
  return import_module("peer")


@pytest.mark.oracle
def test_the_pytorch_peer_has_the_same_networks(peer):
  speed = import_module("speed")
  for name in speed.ROWS:
    config = speed.load(name, {})
    _, template = algorithms.initial_state(config, algorithms.create(config))
    count = sum(x.size for x in jax.tree.leaves(template.params))
    assert peer.prepare(config, False, "cpu").parameters == count, name


@pytest.mark.oracle
def test_the_pytorch_peer_computes_as_much(peer):
  from torch.utils.flop_counter import FlopCounterMode

  config = shrink(load_config("dcgan", "mnist"))
  theirs = peer.prepare(config, False, "cpu")
  with FlopCounterMode(display=False) as counter:
    theirs.play(1)
  ours = step_timing.compile_step(config).flops
  assert counter.get_total_flops() == pytest.approx(ours, rel=0.02)


@pytest.mark.oracle
@pytest.mark.parametrize("preset", ["mnist", "cifar10"])
def test_the_pytorch_peer_plays_with_a_penalty(peer, preset):
  import torch

  def critic_after_a_step(weight):
    config = shrink(load_config("wgan_gp", preset))
    config.penalty.weight = weight
    torch.manual_seed(0)
    theirs = peer.prepare(config, False, "cpu")
    theirs.play(1)
    _, critic = theirs.networks
    return torch.cat([x.detach().flatten() for x in critic.parameters()])

  with_penalty, without = map(critic_after_a_step, (10.0, 0.0))
  assert with_penalty.isfinite().all() and not with_penalty.equal(without)


@pytest.mark.oracle
@pytest.mark.parametrize(
  "row, network", [("cyclegan64", {"blocks": 2}), ("pix2pix128", {"downs": 5})]
)
def test_the_pytorch_peers_of_translation_play(peer, row, network):
  config = import_module("speed").load(row, {"batch_size": 2})
  config.generator.update(width=4, **network)
  config.critic.width = 4
  config.data.update(image_size=32, margin=4)
  _, template = algorithms.initial_state(config, algorithms.create(config))
  assert set(template.params) == {"generator", "critic"}
  theirs = peer.prepare(config, False, "cpu")
  count = sum(x.size for x in jax.tree.leaves(template.params))
  assert theirs.parameters == count
  weights = [x for net in theirs.networks for x in net.parameters()]
  before = [x.detach().clone() for x in weights]
  theirs.play(1)
  for old, new in zip(before, weights, strict=True):
    assert new.isfinite().all() and not new.equal(old)
