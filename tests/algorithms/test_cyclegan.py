"""CycleGAN's terms, pool and order of play, against computations by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.games import (
  alone,
  close,
  critic_of,
  first_of,
  generator_of,
  loss_of,
  pairs,
  play,
  start,
  tiny,
  turn_loss,
)

from jaxgan import algorithms
from jaxgan.game import sampling_variables

WAYS = {"forward": ("source", "target"), "backward": ("target", "source")}
BACK = {"forward": "backward", "backward": "forward"}


def generate(config, way, params, x):
  channels = config.data[WAYS[way][1]].channels
  return generator_of(config, channels)(params[way], {}, x)[0]


def judge(config, params, x):
  return critic_of(config)(params, {}, x)[0]


def generators_terms(config, params, critics, batch):
  terms = {}
  for way, (first, last) in WAYS.items():
    fake = generate(config, way, params, batch[first])
    cycle = generate(config, BACK[way], params, fake)
    terms[f"cycle_{way}"] = jnp.abs(cycle - batch[first]).mean()
    # As in the paper: E (D(G(x)) - 1)^2.
    logits = judge(config, critics[last], fake)
    terms[f"adversarial_{way}"] = ((logits - 1) ** 2).mean()
    if config.weights.identity:
      same = generate(config, way, params, batch[last])
      terms[f"identity_{way}"] = jnp.abs(same - batch[last]).mean()
  return terms


def generators_loss(config, params, critics, batch):
  """With the weights of the authors: 1, 10 and, for the identity, 5."""
  weights = {"adversarial": 1, "cycle": 10, "identity": 5}
  terms = generators_terms(config, params, critics, batch)
  return sum(
    weights[name.split("_")[0]] * value for name, value in terms.items()
  )


def critics_loss(config, params, batch, fakes):
  """The sum of both critics', in which squares have a factor of a half."""
  return sum(
    ((judge(config, params[end], batch[end]) - 1) ** 2).mean() / 2
    + (judge(config, params[end], fakes[way]) ** 2).mean() / 2
    for way, (_, end) in WAYS.items()
  )


def players(state):
  return state.params["generator"], state.params["critic"]


def test_the_generators_by_hand():
  config = tiny("cyclegan")
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  own, critics = players(state)

  @jax.jit
  def by_hand(own):
    loss = lambda own: generators_loss(config, own, critics, batch)  # noqa: E731
    terms = generators_terms(config, own, critics, batch)
    return jax.value_and_grad(loss)(own), terms

  (expected, slope), terms = by_hand(own)
  (loss, (after, metrics)), grads = loss_of(
    algorithm, "generator", state, batch
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  close(grads, slope, 1e-4)
  assert after == {"forward": {}, "backward": {}}
  for way in WAYS:  # our least squares have a factor of a half
    terms[f"adversarial_{way}"] /= 2
  assert set(metrics) == set(terms)
  for name, value in terms.items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    assert value > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
  "values",
  [
    {"identity": 0.0},
    {"cycle": 0.0},
    {"adversarial": 0.0, "identity": 0.5},
  ],
  ids=str,
)
def test_weights_of_terms(values):
  config = tiny("cyclegan")
  config.weights.update(values)
  if not config.weights.identity:  # then the sides may differ
    config.data.target.channels = 3
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  loss, (_, metrics) = jax.jit(alone(turn_loss(algorithm, "generator")))(
    state.params, state, batch, jax.random.key(0)
  )
  terms = jax.jit(lambda *x: generators_terms(config, *x))(
    *players(state), batch
  )
  weights = {**config.weights, "adversarial": config.weights.adversarial / 2}
  expected = sum(
    weights[name.split("_")[0]] * value for name, value in terms.items()
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert set(metrics) == set(terms)


@pytest.mark.slow
def test_the_critics_by_hand():
  config = tiny("cyclegan", pool_size=0)
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  own, critics = players(state)

  @jax.jit
  def by_hand(critics):
    fakes = {
      way: generate(config, way, own, batch[first])
      for way, (first, _) in WAYS.items()
    }
    loss = lambda own: critics_loss(config, own, batch, fakes)  # noqa: E731
    return fakes, jax.value_and_grad(loss)(critics)

  fakes, (expected, slope) = by_hand(critics)
  close(batch["fake"], fakes)
  (loss, (after, metrics)), grads = loss_of(algorithm, "critic", state, batch)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  close(grads, slope, 1e-4)
  assert set(after) == {"source", "target", "pool"}
  assert set(metrics) == {"real_source", "fake_source", "real_target",
                          "fake_target"}  # fmt: skip


@pytest.mark.slow
def test_the_critics_see_the_pool():
  config = tiny("cyclegan", pool_size=5)
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  rng = np.random.default_rng(7)
  pools = state.model_state["critic"]["pool"]
  assert set(pools) == {"source", "target"}
  old = {
    end: x.images + rng.normal(size=(5, 8, 8, 1)) for end, x in pools.items()
  }
  pools = {
    end: x._replace(images=old[end], count=jnp.int32(5))
    for end, x in pools.items()
  }
  own_state = {**state.model_state["critic"], "pool": pools}
  state = state.replace(model_state={**state.model_state, "critic": own_state})
  (loss, (after, _)), _ = loss_of(algorithm, "critic", state, batch)

  # What is shown is all that came, and all there was, but for what is kept.
  def numbers(images):
    return {np.array(x, "f4").tobytes(): np.array(x) for x in images}

  shown, replaced = {}, {}
  for way, (_, end) in WAYS.items():
    every = numbers(old[end]) | numbers(batch["fake"][way])
    kept = numbers(after["pool"][end].images)
    assert kept.keys() < every.keys()
    assert len(kept) == 5
    shown[way] = np.stack([every[key] for key in every.keys() - kept.keys()])
    assert len(shown[way]) == 8
    replaced[end] = [key not in kept for key in numbers(batch["fake"][way])]
    assert 0 < sum(replaced[end]) < 8
  assert replaced["source"] != replaced["target"]  # drawn for each
  expected = critics_loss(config, players(state)[1], batch, shown)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  new = critics_loss(config, players(state)[1], batch, batch["fake"])
  assert abs(new - loss) > 1e-3


def test_a_round_by_hand():
  # The generators move first, against the critics as they were; these then
  # see what the generators made before they moved. Neither moves the other.
  rate = 0.05
  config = tiny("cyclegan", pool_size=0)
  for player in ("generator", "critic"):
    config.optimizers[player].learning_rate = rate
  algorithm, before, _ = start(config)
  batch = first_of(pairs(config)(0))
  own, critics = players(before)

  @jax.jit
  def by_hand(own, critics):
    loss = lambda own: generators_loss(config, own, critics, batch)  # noqa: E731
    moved = jax.tree.map(lambda p, g: p - rate * g, own, jax.grad(loss)(own))
    answers = []
    for params in (own, moved):
      fakes = {
        way: generate(config, way, params, batch[first])
        for way, (first, _) in WAYS.items()
      }
      slope = jax.grad(
        lambda own, fakes=fakes: critics_loss(config, own, batch, fakes)
      )(critics)
      answers.append(jax.tree.map(lambda p, g: p - rate * g, critics, slope))
    return moved, *answers

  state, _ = play(algorithm, pairs(config), 1)
  moved, expected, of_new_fakes = by_hand(own, critics)
  close(state.params["generator"], moved)
  close(state.params["critic"], expected)
  with pytest.raises(AssertionError):
    close(state.params["critic"], of_new_fakes, 1e-4)


@pytest.mark.slow
def test_batch_norm_in_the_generators():
  config = tiny("cyclegan", **{"generator.norm": "batch", "pool_size": 0})
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  own, critics = players(state)
  generator = generator_of(config)

  @jax.jit
  def by_hand():
    # Each pass has the statistics of its own images alone; running ones go
    # through all passes.
    states = dict(state.model_state["generator"])
    made = {}

    def run(way, x):
      y, states[way] = generator(own[way], states[way], x)
      return y

    for way, (first, last) in WAYS.items():
      made[way] = run(way, batch[first]), run(way, batch[last])
    loss = 0.0
    for way, (first, last) in WAYS.items():
      fake, same = made[way]
      cycle = run(BACK[way], fake)
      loss += ((judge(config, critics[last], fake) - 1) ** 2).mean()
      loss += 10 * jnp.abs(cycle - batch[first]).mean()
      loss += 5 * jnp.abs(same - batch[last]).mean()
    return {way: fake for way, (fake, _) in made.items()}, loss, states

  fakes, expected, states = by_hand()
  close(batch["fake"], fakes)
  (loss, (after, _)), _ = loss_of(algorithm, "generator", state, batch)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  close(after, states)
  start_of = jax.tree.leaves(state.model_state["generator"])
  for old, new in zip(start_of, jax.tree.leaves(after), strict=True):
    assert np.abs(old - new).max() > 1e-3


def test_samples():
  config = tiny("cyclegan")
  algorithm, state, _ = start(config)
  batch = first_of(pairs(config)(0))
  sample = jax.jit(algorithm.sample)
  shown = sample(*sampling_variables(state), batch)
  own, _ = players(state)
  assert [d.name for d in algorithm.directions] == list(WAYS)
  for direction, (way, (first, _)) in zip(
    algorithm.directions, WAYS.items(), strict=True
  ):
    given, result = direction.source, direction.output
    assert given == first
    np.testing.assert_array_equal(shown[given], batch[first])
    names = list(shown)
    there, back = names[names.index(given) + 1 :][:2]
    assert (there, back) == (result, direction.cycle)
    close(shown[there], generate(config, way, own, batch[first]))
    close(shown[back], generate(config, BACK[way], own, shown[there]))
  assert len(shown) == 6
  assert algorithm.inputs is None
  del batch["target"]
  fewer = sample(*sampling_variables(state), batch)
  assert list(fewer) == list(shown)[:3]
  for name, image in fewer.items():
    np.testing.assert_allclose(image, shown[name], atol=1e-6)


def test_a_run_may_have_no_pool():
  config = tiny("cyclegan", pool_size=0)
  _, template = algorithms.initial_state(config, algorithms.create(config))
  pools = template.model_state["critic"]["pool"]
  assert {pool.images.shape[0] for pool in pools.values()} == {0}
