"""The pool of generated images, against a plain list."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.game import AXIS
from jaxgan.objectives import image_pool

SHAPE = (2, 3, 1)


def numbered(first, count):
  """Images that tell which they are."""
  numbers = np.arange(first, first + count, dtype="f4")
  return np.broadcast_to(numbers[:, None, None, None], (count, *SHAPE))


def draws(rng, count, size):
  """What a pool of `size` draws for `count` images."""
  swaps = jax.random.bernoulli(rng, 0.5, (count,))
  places = jax.random.randint(jax.random.fold_in(rng, 1), (count,), 0, size)
  return np.array(swaps), np.array(places)


def by_list(pool, images, swaps, places, size):
  """The rule as the code of CycleGAN has it."""
  shown = []
  for image, swap, place in zip(images, swaps, places, strict=True):
    if len(pool) < size:
      pool.append(image)
      shown.append(image)
    elif swap:
      shown.append(pool[place])
      pool[place] = image
    else:
      shown.append(image)
  return np.stack(shown)


@partial(jax.jit, static_argnums=3)
def ask(state, images, rng, devices=1):
  """The pool's answer to a global batch, and all devices' copies of it."""
  split = images.reshape(devices, -1, *images.shape[1:])
  shown, states = jax.vmap(
    lambda images: image_pool.query(state, images, rng), axis_name=AXIS
  )(split)
  return shown.reshape(images.shape), states


def first(states):
  return jax.tree.map(lambda x: x[0], states)


@pytest.mark.parametrize(("size", "batch"), [(5, 4), (3, 4), (8, 2), (1, 2)])
def test_the_rule(size, batch):
  state, expected = image_pool.create(size, SHAPE), []
  for i in range(8):
    images, rng = numbered(i * batch, batch), jax.random.key(i)
    shown, states = ask(state, images, rng)
    state = first(states)
    np.testing.assert_array_equal(
      shown, by_list(expected, images, *draws(rng, batch, size), size)
    )
    assert state.count == len(expected)
    np.testing.assert_array_equal(state.images[: len(expected)], expected)
    assert not state.images[len(expected) :].any()
  assert state.count == size


def test_it_fills_first():
  state, size = image_pool.create(6, SHAPE), 6
  for i in range(3):
    images = numbered(1 + 2 * i, 2)
    shown, states = ask(state, images, jax.random.key(i))
    state = first(states)
    np.testing.assert_array_equal(shown, images)
    assert state.count == 2 * i + 2
  np.testing.assert_array_equal(state.images, numbered(1, size))


def test_half_of_what_it_shows_is_old():
  size, batch, rounds = 50, 64, 32
  state = first(
    ask(image_pool.create(size, SHAPE), numbered(0, 64), jax.random.key(99))[1]
  )
  kept, ages = {*np.array(state.images[:, 0, 0, 0])}, []
  assert state.count == size
  for i in range(rounds):
    start = 64 + i * batch
    shown, states = ask(state, numbered(start, batch), jax.random.key(i))
    state = first(states)
    numbers = np.array(shown[:, 0, 0, 0])
    # New, at its own place, or one that was in the pool before; each of those
    # leaves it when it is shown.
    for place, number in enumerate(numbers):
      if number == start + place:
        continue
      assert number in kept | set(range(start, start + place))
      ages.append(start + place - number)
    kept = {*np.array(state.images[:, 0, 0, 0])}
    assert len(kept) == size
    assert len(np.unique(numbers)) == batch
  total = rounds * batch
  assert abs(len(ages) - total / 2) < 4 * (total / 4) ** 0.5
  # An image stays until its place is drawn: for 50 swaps, which are 100 images.
  np.testing.assert_allclose(np.mean(ages), 100, rtol=0.15)


@pytest.mark.parametrize("devices", [2, 4])
def test_devices_do_not_change_it(devices):
  states = [image_pool.create(6, SHAPE)] * 2
  for i in range(5):
    images, rng = numbered(4 * i, 4), jax.random.key(i)
    shown, one = ask(states[0], images, rng)
    found, many = ask(states[1], images, rng, devices)
    np.testing.assert_array_equal(found, shown)
    for device in range(devices):
      jax.tree.map(
        lambda x, y, device=device: np.testing.assert_array_equal(
          x[device], y[0]
        ),
        many,
        one,
      )
    states = [first(one), first(many)]
  assert states[0].count == 6


def test_real_devices():
  state = image_pool.create(3, SHAPE)
  images, rng = numbered(0, 8), jax.random.key(3)
  shown, states = ask(state, images, rng)
  query = jax.pmap(
    image_pool.query, axis_name=AXIS, in_axes=(None, 0, None),
    devices=jax.devices()[:4],
  )  # fmt: skip
  found, theirs = query(state, images.reshape(4, 2, *SHAPE), rng)
  np.testing.assert_array_equal(found.reshape(shown.shape), shown)
  assert (np.array(found).reshape(shown.shape) != images).any()
  for own, one in zip(theirs, states, strict=True):
    np.testing.assert_array_equal(own, jnp.repeat(one, 4, 0))


def test_no_pool():
  state, images = image_pool.create(0, SHAPE), numbered(0, 4)
  shown, after = image_pool.query(state, images, jax.random.key(0))
  assert shown is images
  assert after is state
  assert state.images.shape == (0, *SHAPE)
