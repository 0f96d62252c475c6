"""Losses and penalties are found by name, with constants of the config."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import load_config, shrink
from helpers.games import alone

from jaxgan import algorithms, models, names
from jaxgan.algorithms import create_train_state, gan
from jaxgan.errors import GameError, InputError
from jaxgan.objectives import adversarial, losses, penalties

REAL, FAKE = jnp.array([0.5, -2.0, 3.0]), jnp.array([1.5, 0.0, -1.0])


def objective(**values):
  config = shrink(load_config("mixture", "ring_nsgan"))
  for key, value in values.items():
    config[key].update(value)
  critic = models.create("Critic", config, "critic")
  return adversarial.create(config, critic)


def test_constants_of_the_config_reach_the_loss():
  loss = objective(loss={"name": "least_squares", "a": -1.0, "c": 0.0}).loss
  expected = 0.5 * (np.square(REAL - 1).mean() + np.square(FAKE + 1).mean())
  np.testing.assert_allclose(loss.critic(REAL, FAKE), expected, rtol=1e-6)
  expected = 0.5 * np.square(FAKE).mean()
  np.testing.assert_allclose(loss.generator(REAL, FAKE), expected, rtol=1e-6)


def slope(critic, real, fake, rng, target=1.0):
  """E (|grad D(G)| - target)^2: a penalty that a researcher might add."""
  grads = jax.grad(lambda x: critic(x).sum())(fake)
  return jnp.square(jnp.linalg.norm(grads, axis=1) - target).mean()


def test_a_new_penalty_is_one_function(monkeypatch):
  slope.__module__ = penalties.__name__
  monkeypatch.setattr(penalties, "slope", slope, raising=False)
  x = jnp.array(np.random.default_rng(0).normal(size=(4, 2)), "float32")
  values = []
  for target in (1.0, 3.0):
    config = shrink(load_config("mixture", "ring_nsgan"))
    config.penalty.update({"name": "slope", "weight": 10.0, "target": target})
    game = gan.create(config)
    state = create_train_state(game, jax.random.key(0), {})
    batch = {"image": x, "fake": x}
    loss, (_, metrics) = alone(game.critic_loss)(
      state.params, state, batch, jax.random.key(1)
    )
    values.append(metrics["penalty"])
    rest = losses.non_saturating.critic(*[critic_logits(game, state, x)] * 2)
    np.testing.assert_allclose(loss, rest + 10 * metrics["penalty"], rtol=1e-5)
  assert abs(values[0] - values[1]) > 0.1


def critic_logits(game, state, x):
  player = state.params["critic"], state.model_state["critic"]
  return game.objective.critic_logits(*player, x)


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"loss": {"name": "hing"}}, "loss.name='hing': choose one of .*'hinge'"),
    ({"loss": {"name": "relu"}}, "loss.name='relu'"),  # imported there
    ({"loss": {"name": "AdversarialLoss"}}, "loss.name='AdversarialLoss'"),
    (
      {"loss": {"alpha": 2.0}},
      "loss.alpha: of constants, loss.name='non_saturating' has none",
    ),
    (
      {"loss": {"name": "least_squares", "d": 2.0}},
      "loss.d: of constants, loss.name='least_squares' has only a, b, c",
    ),
    ({"penalty": {"name": "pmean", "weight": 1.0}}, "penalty.name='pmean'"),
    (
      {"penalty": {"name": "r1", "weight": 1.0, "x": 1}},
      "penalty.x: of constants, penalty.name='r1' has none",
    ),
  ],
)
def test_unknown_names_and_constants(values, message):
  with pytest.raises(InputError, match=message):
    objective(**values)


def test_a_network_is_called_by_its_entry_of_the_config():
  for entry, message in (
    ({"hidden": (0,)}, r"critic_1.hidden=\(0,\): give 1 or more"),
    ({"norm": "foo"}, r"critic_1.norm='foo': choose one of"),
    ({"activation": "foo"}, r"critic_1.activation='foo': choose one of"),
    ({"name": "vgg"}, r"critic_1.name='vgg': no Critic in"),
    ({"widht": 3}, r"critic_1.name='mlp' has no 'widht', but hidden"),
  ):
    config = shrink(load_config("mixture", "ring_nsgan"))
    config.critic_1 = config.critic
    config.critic_1.update(entry)
    with pytest.raises(InputError, match=message):
      network = models.create("Critic", config, "critic_1")
      models.init(network, jax.random.key(0), jnp.zeros((1, 2)))


OWN = """
import jax.numpy as jnp
from jaxgan.algorithms import gan
from jaxgan.models.mlp import Critic as Own
from jaxgan.objectives.losses import minimax

def half(factor=0.5):
  critic = lambda real, fake: factor * (fake - real).mean()
  return minimax._replace(critic=critic)

def flat(critic, real, fake, rng):
  return jnp.zeros(())

def create(config):
  return gan.create(config)
"""


def test_parts_of_the_user(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "own_parts.py").write_text(OWN)
  config = shrink(load_config("nsgan"))
  config.algorithm = "own_parts.create"
  config.loss = {"name": "own_parts.half", "factor": 0.25}
  config.penalty = {"name": "own_parts.flat", "weight": 1.0}
  config.critic.name = "own_parts.Own"
  game = algorithms.create(config)
  assert type(game.objective.critic).__name__ == "Critic"
  assert game.objective.loss.critic(jnp.ones(2), jnp.full(2, 3.0)) == 0.5
  assert names.own_files(config) == {tmp_path / "own_parts.py"}
  config.algorithm, config.loss.name = "gan", "../up.half"
  config.penalty.name = config.critic.name = "os.path.join"
  assert names.own_files(config) == set()


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("own_two.none", "own_two.py has no 'none'"),
    ("nowhere.x", "no nowhere.py in"),
    ("__main__.x", "no __main__.py in"),
    ("os.system", "no os.py in"),
    ("stranger.f", "no stranger.py in"),
    ("stranger.payload.f", "choose one of|no Critic in"),
    ("..x", "choose one of|no Critic in"),
    ("../own_two.f", "choose one of|no Critic in"),
    ("random.f", "Python has another module 'random': rename the file"),
  ],
)
def test_no_other_code_is_run(name, message, tmp_path, monkeypatch):
  for file in ("stranger/payload.py", "stranger/__init__.py"):  # a run's folder
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('code of a stranger')")
  monkeypatch.chdir(tmp_path)
  monkeypatch.delitem(sys.modules, "own_two", raising=False)
  (tmp_path / "own_two.py").touch()
  (tmp_path / "random.py").touch()
  for key, change in (
    ("algorithm", {"algorithm": name}),
    ("loss.name", {"loss": {"name": name}}),
    ("critic.name", {"critic.name": name}),
  ):
    config = shrink(load_config("nsgan"))
    config.update_from_flattened_dict(change)
    with pytest.raises(
      InputError, match=f"{key}='{re.escape(name)}': {message}"
    ):
      algorithms.create(config)


def test_kinds_of_the_user(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "own_three.py").write_text("def f(*_):\n  return 3\n")
  for change, error, message in (
    ({"algorithm": "own_three.f"}, GameError, "3 is no Game"),
    ({"loss": {"name": "own_three.f"}}, InputError, "is no AdversarialLoss"),
    ({"critic.name": "own_three.f"}, InputError, "is no class of Flax modules"),
  ):
    config = shrink(load_config("nsgan"))
    config.update_from_flattened_dict(change)
    with pytest.raises(error, match=message):
      algorithms.create(config)


def test_broken_code_of_the_user_is_read_again(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  file = tmp_path / "own_four.py"
  file.write_text("1 / 0")
  with pytest.raises(ZeroDivisionError):
    names.own("key", "own_four.x")
  file.write_text("x = 3")
  assert names.own("key", "own_four.x") == 3
