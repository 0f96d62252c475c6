"""Games of translation: Pix2Pix and L1 by hand, and what they all share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config
from helpers.games import (
  alone,
  close,
  critic_of,
  difference,
  first_of,
  generator_of,
  loss_of,
  pairs,
  play,
  start,
  tiny,
  with_methods,
)
from jax.nn import softplus

from jaxgan import algorithms, models
from jaxgan.algorithms import create_train_state
from jaxgan.data import presets
from jaxgan.engine import devices
from jaxgan.errors import InputError
from jaxgan.game import (
  AXIS,
  minibatches,
  sampling_variables,
)
from jaxgan.objectives import penalties
from jaxgan.train_step import make_train_step

CONFIGS = ("cyclegan", "pix2pix", "l1_translation")


# Pix2Pix.


def test_pix2pix_by_hand():
  config = tiny("pix2pix")
  algorithm, state, batches = start(config)
  batch = first_of(batches)
  generator, critic = generator_of(config), critic_of(config)
  g, c = (state.params[p] for p in ("generator", "critic"))
  g_state, c_state = (state.model_state[p] for p in ("generator", "critic"))
  source, target, noise = batch["source"], batch["target"], batch["noise"]

  fake, g_after = jax.jit(generator)(g, g_state, source, noise=noise)
  close(batch["fake"], fake)

  def of_critic(c):
    real = jnp.concatenate([source, target], 3)
    real, after = critic(c, c_state, real)
    made, after = critic(c, after, jnp.concatenate([source, fake], 3))
    # -log D(real) - log (1 - D(fake))
    return softplus(-real).mean() + softplus(made).mean(), after

  (expected, c_after), slope = jax.jit(
    alone(jax.value_and_grad(of_critic, has_aux=True))
  )(c)
  (loss, (after, metrics)), grads = loss_of(algorithm, "critic", state, batch)
  close(loss, expected)
  close(grads, slope)
  close(after, c_after)
  assert set(metrics) == {"real", "fake"}

  def of_generator(g):
    fake, _ = generator(g, g_state, source, noise=noise)
    logits, _ = critic(c, c_state, jnp.concatenate([source, fake], 3))
    terms = softplus(-logits).mean(), jnp.abs(fake - target).mean()
    return terms[0] + 100 * terms[1], terms

  (expected, terms), slope = jax.jit(
    alone(jax.value_and_grad(of_generator, has_aux=True))
  )(g)
  (loss, (after, metrics)), grads = loss_of(
    algorithm, "generator", state, batch
  )
  close(loss, expected)
  close(grads, slope, 1e-4)
  close(after, g_after)
  close(metrics, dict(zip(("adversarial", "l1"), terms, strict=True)))

  # The critic does look at the source.
  other = {**batch, "source": batch["source"][::-1]}
  assert abs(loss_of(algorithm, "critic", state, other)[0][0] - loss) > 1e-3


@pytest.mark.slow
def test_the_noise_of_a_round():
  config = tiny("pix2pix", n_critic=2)
  algorithm, state, batches = start(config, updates=2)
  (noise,) = batches["noise"].values()
  assert noise.shape[:2] == (2, 8)
  # Each example of each minibatch has its own.
  patterns = {np.array(x).tobytes() for x in noise.reshape(16, -1)}
  assert len(patterns) == 16
  generator = jax.jit(generator_of(config))
  player = state.params["generator"], state.model_state["generator"]
  for i in range(2):
    batch = jax.tree.map(lambda x, i=i: x[i], batches)
    fake, _ = generator(*player, batch["source"], noise=batch["noise"])
    close(batch["fake"], fake)
  # What the critic sees of minibatch 0 is what the generator is judged by.
  batch = first_of(batches)
  (_, (_, metrics)), _ = loss_of(algorithm, "generator", state, batch)
  seen = np.abs(batch["fake"] - batch["target"]).mean()
  np.testing.assert_allclose(metrics["l1"], seen, rtol=1e-5)
  # Another round has other noise.
  (other,) = jax.jit(alone(algorithm.prepare_step))(
    state, pairs(config, 2)(0), jax.random.key(5)
  )["noise"].values()
  assert (other != noise).any()


def test_pix2pix_without_dropout_has_no_noise():
  _, _, batches = start(tiny("pix2pix", **{"generator.dropout": False}))
  assert batches["noise"] == {}


def test_samples_of_pix2pix():
  config = tiny("pix2pix", batch_size=1)
  algorithm, state, batches = start(config)
  batch = first_of(pairs(config)(0))
  # Running statistics other than those of any image.
  state = state.replace(
    ema_model_state=jax.tree.map(lambda x: x + 1, state.ema_model_state)
  )
  variables = sampling_variables(state)
  params, model_state = (x["generator"] for x in variables)
  sample = jax.jit(algorithm.sample)
  generator = generator_of(config)
  network = models.create("Generator", config, "generator", channels=1)

  plain = sample(*variables, batch)
  found = plain[algorithm.directions[0].output]
  expected = network.apply(
    {"params": params, **model_state}, batch["source"], train=False
  )
  close(found, expected)
  np.testing.assert_array_equal(plain["source"], batch["source"])
  np.testing.assert_array_equal(plain["target"], batch["target"])

  # With latents: as in training, but each image by itself.
  keys = jax.random.split(jax.random.key(3), 8)
  latents = algorithm.inputs(keys)["latent"]
  del batch["target"]
  shown = sample(*variables, {**batch, "latent": latents})
  assert "target" not in shown
  found = shown[algorithm.directions[0].output]
  for i in (0, 5):
    noise = network.noise(keys[i : i + 1], (8, 8, 1))
    x = batch["source"][i : i + 1]
    expected, _ = jax.jit(generator)(params, model_state, x, noise=noise)
    close(found[i], expected[0], 1e-4)
  assert np.abs(found - plain[algorithm.directions[0].output]).max() > 0.01

  # Of a network trained on larger batches, with the running statistics.
  config.batch_size = 8
  sample = jax.jit(algorithms.create(config).sample)
  shown = sample(*variables, {**batch, "latent": latents})
  expected = network.apply(
    {"params": params, **model_state},
    batch["source"],
    train=False,
    noise=network.noise(keys, (8, 8, 1)),
  )
  close(shown[algorithm.directions[0].output], expected)


# One-sided, with an L1 term towards the source.

LOSSES = {
  "minimax": (
    lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    lambda fake: -softplus(fake).mean(),  # log (1 - D(fake))
  ),
  "non_saturating": (
    lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    lambda fake: softplus(-fake).mean(),
  ),
  "least_squares": (
    lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
    lambda fake: ((fake - 1) ** 2).mean() / 2,
  ),
  "wasserstein": (
    lambda real, fake: fake.mean() - real.mean(),
    lambda fake: -fake.mean(),
  ),
}


@pytest.mark.parametrize(
  ("objective", "weights"),
  [
    ("minimax", (1.0, 1.0)),
    ("non_saturating", (1.0, 0.0)),
    ("least_squares", (0.0, 3.0)),
    ("wasserstein", (0.5, 1e4)),
  ],
)
def test_l1_translation_by_hand(objective, weights):
  config = tiny(
    "l1_translation",
    f"digits_{objective}",
    **{"weights.adversarial": weights[0], "weights.l1": weights[1]},
  )
  algorithm, state, batches = start(config, config.n_critic)
  batch = first_of(batches)
  generator, critic = generator_of(config), critic_of(config)
  g, c = (state.params[p] for p in ("generator", "critic"))
  source, target, rng = batch["source"], batch["target"], jax.random.key(2)
  of_critic, of_generator = LOSSES[objective]

  def logits(c, x):
    return critic(c, {}, x)[0]

  @jax.jit
  @alone
  def by_hand():
    fake = generator(g, {}, source)[0]

    def loss(c):
      total = of_critic(logits(c, target), logits(c, fake))
      if objective == "wasserstein":
        total += 10 * penalties.wgan_gp(
          lambda x: logits(c, x), target, fake, rng
        )
      return total

    def own_loss(g):
      fake = generator(g, {}, source)[0]
      terms = {
        "adversarial": of_generator(logits(c, fake)),
        "l1": jnp.abs(fake - source).mean(),
      }
      total = weights[0] * terms["adversarial"] + weights[1] * terms["l1"]
      return total, terms

    return (
      fake,
      jax.value_and_grad(loss)(c),
      jax.value_and_grad(own_loss, has_aux=True)(g),
    )

  fake, of_c, ((expected, terms), slope) = by_hand()
  close(batch["fake"], fake)
  (loss, (after, metrics)), grads = loss_of(algorithm, "critic", state, batch)
  close(loss, of_c[0])
  close(grads, of_c[1], 1e-4)
  assert after == {}
  assert ("penalty" in metrics) == (objective == "wasserstein")
  (loss, (after, metrics)), grads = loss_of(
    algorithm, "generator", state, batch
  )
  close(loss, expected)
  close(grads, slope, 1e-4)
  close(metrics, terms)
  assert after == {}


def test_a_critic_of_five_updates():
  config = tiny("l1_translation", "digits_wasserstein", n_critic=5)
  algorithm, state, batches = start(config, 5)
  assert [(turn.player, turn.updates) for turn in algorithm.schedule] == [
    ("critic", 5),
    ("generator", 1),
  ]
  assert minibatches(algorithm) == 5
  generator = jax.jit(generator_of(config))
  for source, fake in zip(batches["source"], batches["fake"], strict=True):
    expected, _ = generator(state.params["generator"], {}, source)
    close(fake, expected)


@pytest.mark.slow
def test_a_large_weight_makes_the_identity():
  config = tiny("l1_translation", **{"weights.l1": 100.0, "steps": 60})
  for player in ("generator", "critic"):
    config.optimizers[player] = {"name": "adam", "learning_rate": 0.01}

  def greys(t):  # of one grey each, soon learned
    return {
      key: np.broadcast_to(x[:, :, :1, :1], x.shape).copy()
      for key, x in pairs(config)(t).items()
    }

  _, metrics = play(algorithms.create(config), greys, 60)
  assert metrics["generator/l1"] < 0.1  # black images would have 0.5


# All of them.


def convolutions(config, change):
  """How many, or products in their place, a compiled round has."""
  algorithm = algorithms.create(config)
  algorithm = with_methods(
    algorithm, prepare_step=change(algorithm.prepare_step)
  )
  mapping = devices.create("pmap", jax.devices()[:1])
  step = mapping.map_step(make_train_step(algorithm, jax.random.key(1), 0.0))
  state = jax.eval_shape(
    lambda: create_train_state(algorithm, jax.random.key(0), {})
  )
  arguments = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype),
    (state, pairs(config, minibatches(algorithm), 4)(0)),
  )
  text = step.lower(*arguments).compile().as_text()
  return text.count(" convolution(") + text.count(" dot(")


def as_it_is(before):
  return before


def with_fakes_for_nothing(before):
  def change(state, batches, rng):
    source, target = (0.5 * batches[side] for side in ("source", "target"))
    batches = before(state, batches, rng)
    if isinstance(batches["fake"], dict):
      return {**batches, "fake": {"forward": target, "backward": source}}
    return {**batches, "fake": target}

  return change


def of_another_generator(before):
  def change(state, batches, rng):
    params = jax.tree.map(lambda x: 2 * x, state.params)
    return before(state.replace(params=params), batches, rng)

  return change


@pytest.mark.parametrize(
  ("name", "overrides"),
  [
    ("cyclegan", {}),
    ("pix2pix", {}),
    ("l1_translation", {"generator.norm": "instance"}),
  ],
)
def test_the_fakes_of_a_round_are_made_once(name, overrides):
  config = tiny(name, **overrides)
  free = convolutions(config, with_fakes_for_nothing)
  assert convolutions(config, as_it_is) == free > 0
  if name == "l1_translation":  # the count would show it
    assert convolutions(config, of_another_generator) == free + 7


GAMES = {
  "cyclegan": {"pool_size": 6},  # full in the first round
  "pix2pix": {},
  "l1_translation": {"critic.norm": "instance"},
}


@pytest.mark.parametrize("name", GAMES)
def test_devices_do_not_change_the_result(name):
  config = tiny(name, **GAMES[name])
  algorithm = algorithms.create(config)
  one, metrics = play(algorithm, pairs(config), 3)
  eight, theirs = play(algorithm, pairs(config), 3, devices=8, kind="shard_map")
  error = difference(one, eight)
  print(f"{name}: {error:.1e}")
  assert error < 1e-5
  for key, value in metrics.items():
    np.testing.assert_allclose(theirs[key], value, rtol=1e-3, atol=1e-5)
  assert difference(one, jax.device_get(start(config)[1])) > 0.01


def test_noise_belongs_to_an_example_not_to_a_device():
  config = tiny("pix2pix")
  algorithm, state, batches = start(config)
  (expected,) = batches["noise"].values()

  def noise(batch):
    return algorithm.prepare_step(state, batch, jax.random.key(1))["noise"]

  halves = jax.tree.map(
    lambda x: x.reshape(1, 2, 4, *x.shape[2:]).swapaxes(0, 1), pairs(config)(0)
  )
  (found,) = jax.jit(jax.vmap(noise, axis_name=AXIS))(halves).values()
  np.testing.assert_array_equal(np.concatenate(found, 1), expected)


# What cannot work.


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"generator.norm": "foo"}, "generator.norm='foo': choose .*'instance'"),
    ({"critic.norm": "spectral"}, "critic.norm='spectral': choose .*'batch'"),
    ({"weights.adversarial": -1.0}, "weights.adversarial=-1.0: give 0 or more"),
    ({"weights.adversarial": float("nan")}, "weights.adversarial=nan"),
    ({"loss.name": "hing"}, "loss.name='hing': choose"),
    ({"loss.name": "wasserstein"}, "bounded slope: .*penalty.name='wgan_gp'"),
    ({"data.margin": -2}, "data.margin=-2: give 0 or more"),
    ({"critic.layers": 2}, "8x8 .* sides of 12 or more, or critic.layers=1"),
    ({"generator.widht": 3}, "generator.name=.*no 'widht', but .*width"),
  ],
  ids=str,
)
def test_bad_values_are_refused(name, values, message):
  config = tiny(name, **values)
  with pytest.raises(InputError, match=message):
    algorithms.initial_state(config, algorithms.create(config))


@pytest.mark.parametrize(
  ("name", "values", "message"),
  [
    ("pix2pix", {"n_critic": 0}, "n_critic=0: give 1 or more"),
    ("l1_translation", {"n_critic": 0}, "n_critic=0: give 1 or more"),
    ("cyclegan", {"pool_size": -1}, "pool_size=-1: give 0 or more"),
    ("cyclegan", {"weights.cycle": -0.1}, "weights.cycle=-0.1"),
    ("cyclegan", {"weights.identity": -5.0}, "weights.identity=-5.0"),
    ("l1_translation", {"weights.l1": -1.0}, "weights.l1=-1.0"),
    (
      "cyclegan",
      {"data.source.channels": 3},
      "data.source.channels and data.target.channels differ: the identity "
      ".* set weights.identity=0.0",
    ),
    (
      "l1_translation",
      {"data.target.channels": 3},
      "data.source.channels and data.target.channels differ: the L1 term .* "
      "give both the same",
    ),
    (
      "pix2pix",
      {"generator.downs": 5},
      "8x8 .* sides of 12 or more, or a generator with fewer halvings",
    ),
  ],
  ids=str,
)
def test_bad_values_of_one_algorithm(name, values, message):
  config = tiny(name, **values)
  with pytest.raises(InputError, match=message):
    algorithms.initial_state(config, algorithms.create(config))


def test_pix2pix_translates_between_channels():
  config = tiny("pix2pix", **{"data.source.channels": 3})

  def losses():
    algorithm, state, batches = start(config)
    values = [
      loss_of(algorithm, player, state, first_of(batches))[0][0]
      for player in ("critic", "generator")
    ]
    return batches["fake"], values

  fakes, values = jax.eval_shape(losses)
  assert fakes.shape == (1, 8, 8, 8, 1)
  assert [x.shape for x in values] == [(), ()]


def test_pairs_and_sets_are_not_confused():
  config = load_config("pix2pix")
  for preset in ("digits", "horse2zebra", "folders"):
    config.data = presets.translation(preset)
    with pytest.raises(InputError, match="'outlines' .* configs/cyclegan.py"):
      algorithms.create(config)
  # The others take pairs as sets.
  for name in ("cyclegan", "l1_translation"):
    algorithms.create(tiny(name, "outlines"))


def test_faces_have_a_budget_of_their_own():
  steps = [
    load_config("l1_translation", preset).steps
    for preset in ("digits", "mnist_usps_wasserstein", "folders", "faces")
  ]
  assert steps == [2000, 2000, 2000, 4000]


@pytest.mark.parametrize("name", CONFIGS)
def test_single_images_are_refused(name):
  config = tiny(name)
  config.data = presets.images("digits")
  with pytest.raises(InputError, match=f"{name} translates images: choose a p"):
    algorithms.create(config)


@pytest.mark.parametrize("name", ["nsgan", "ot_gan", "classifier"])
def test_other_algorithms_refuse_translations(name):
  config = load_config(name)
  config.data = presets.translation("digits")
  with pytest.raises(InputError, match="takes single images, not pairs"):
    algorithms.create(config)
