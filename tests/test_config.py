import json
from functools import partial

import jax
import numpy as np
import pytest
from helpers.configs import load_config, presets_of
from helpers.environment import CONFIGS
from ml_collections import ConfigDict

from jaxgan import algorithms, data
from jaxgan import config as config_lib
from jaxgan.algorithms import create_train_state, gan
from jaxgan.errors import InputError

NAMES = [path.stem for path in CONFIGS]


def changed(name, preset=None, **values):
  config = load_config(name, preset)
  config.update_from_flattened_dict(values)
  return config


@pytest.mark.parametrize(
  ("name", "values", "remedy"),
  [
    ("wgan_gp", {"critic.norm": "batch"}, "critic.norm to 'layer' or 'none'"),
    (
      "wgan",
      {"penalty.name": "wgan_gp", "penalty.weight": 1.0, "critic.norm": "none"},
      "clip_weights=0.0",
    ),
    ("wgan", {"optimizers.critic.clip_weights": 0.0}, "penalty.name='wgan_gp'"),
    ("wgan", {"critic_output": "sigmoid"}, "critic_output='linear'"),
    ("dcgan", {"critic_output": "sigmoid"}, "critic_output='linear'"),
    ("dcgan", {"critic_output": "tanh"}, "'sigmoid'"),
    ("r3gan", {"generator_batches": 2}, "generator_batches=1"),
    ("wgan_gp", {"generator.width": 0}, "generator.width=0: give"),
    (
      "gan",
      {"critic.hidden": (16, -1)},
      "critic.hidden=.16, -1.: give 1 or more",
    ),
    ("dcgan", {"loss.name": "minmax"}, "minimax"),
    ("dcgan", {"penalty.name": "wgan-gp"}, "wgan_gp"),
    ("dcgan", {"penalty.weight": 1.0}, "a name and a weight"),
    ("wgan_gp", {"penalty.weight": -1.0}, "a name and a weight"),
    ("wgan", {"optimizers.critic.clip_weights": -1.0}, "or more"),
    ("dcgan", {"optimizers.critic.learning_rate": 0.0}, "more than 0"),
    ("dcgan", {"latent": "gaussian"}, "normal"),
    ("dcgan", {"latent_size": 0}, "give 1 or more"),
    ("dcgan", {"n_critic": 0}, "give 1 or more"),
    ("dcgan", {"generator.norm": "foo"}, "generator.norm='foo': .*'batch'"),
    ("dcgan", {"critic.norm": "spectral"}, "critic.norm=.*'batch'"),
    (
      "dcgan",
      {"critic.name": "vgg"},
      "no Critic in jaxgan/models/vgg.py",
    ),
    ("dcgan", {"critic.name": "mlp"}, "width"),
    ("wgan_gp", {"minibatch_discrimination.kernels": 3}, "kernels=0"),
    (
      "sngan",
      {"minibatch_discrimination.kernels": 3, "loss.name": "wasserstein"},
      "does not bound",
    ),
    ("dcgan", {"minibatch_discrimination.kernels": -1}, "give 0 or more"),
    ("dcgan", {"minibatch_discrimination.dims": 0}, "give 1 or more"),
    (
      "dcgan",
      {"minibatch_discrimination.kernels": 3, "batch_size": 1},
      "2 or more",
    ),
    (
      "dcgan",
      {"minibatch_discrimination.kernels": 3, "generator_batches": 2},
      "generator_batches=1",
    ),
    ("dcgan", {"unroll_steps": -1}, "give 0 or more"),
    ("dcgan", {"unroll_steps": 1, "generator_batches": 2}, "batches=1"),
  ],
)
def test_harmful_combinations_are_refused(name, values, remedy):
  with pytest.raises(InputError, match=remedy.replace("(", r"\(")):
    config = changed(name, **values)
    algorithms.initial_state(config, algorithms.create(config))


def test_a_sigmoid_suits_least_squares():
  gan.create(changed("lsgan", critic_output="sigmoid"))


@pytest.mark.parametrize(
  ("values", "remedy"),
  [
    ({"steps": 0}, "give 1 or more"),
    ({"batch_size": 0}, "give 1 or more"),
    ({"batch_size": 12}, "give 8 or 16$"),  # of 8 devices
    ({"batch_size": 4}, "give 8$"),
    ({"log_every": 0}, "give 1 or more"),
    ({"checkpoint_every": -1}, r"give 0 \(only at the end\) or more"),
    ({"eval_every": -1}, r"give 0 \(never\) or more"),
    ({"eval_samples": 0}, "give 1 or more"),
    ({"seed": 2**32}, r"give a value from 0 to 2\^32 - 1"),
    ({"ema_decay": 1.0}, r"give a value in \[0, 1\)"),
    ({"dtype": "float16"}, r"one of \['float32', 'bfloat16'\]"),
    ({"wandb": "yes"}, r"one of \['', 'offline', 'online'\]"),
    ({"nonfinite": "go"}, r"one of \['stop', 'skip', 'rollback'\]"),
  ],
)
def test_impossible_values_are_refused(values, remedy):
  with pytest.raises(InputError, match=remedy):
    config_lib.check(changed("dcgan", **values), 8)


def test_differences():
  old = load_config("dcgan")
  assert not config_lib.differences(
    old,
    changed(
      "dcgan",
      **{
        "steps": 7,
        "log_every": 3,
        "parallel": "shard_map",
      },
    ),
  )
  assert config_lib.differences(
    old, changed("dcgan", **{"seed": 1, "optimizers.critic.b1": 0.0})
  ) == ["optimizers.critic.b1 (0.5 -> 0.0)", "seed (0 -> 1)"]


def test_steps_count_where_they_set_the_learning_rate():
  old = load_config("wgan_gp", "cifar10")
  new = changed("wgan_gp", "cifar10", steps=7)
  assert config_lib.differences(old, new) == [
    "steps (100000 -> 7, over which a learning rate follows its schedule)"
  ]


def test_configs_survive_json():
  for path in CONFIGS:
    config = load_config(path.stem)
    again = ConfigDict(json.loads(config.to_json()))
    assert not config_lib.differences(again, config)
    assert not config_lib.differences(config, again)


@pytest.mark.parametrize("name", NAMES)
def test_players_do_not_share_settings(name):
  config = load_config(name)
  for settings in (config.optimizers, config):
    players = [player for player in config.optimizers if player in settings]
    for player in players:
      settings[player].name = player
    assert [settings[player].name for player in players] == players


# Presets.


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "preset"),
  [
    # Whether a classifier fits depends on the labels, which are not here.
    (name, preset)
    for name in NAMES
    if name != "classifier"
    for preset in presets_of(name)
  ],
)
def test_a_preset_fits_its_networks(name, preset):
  config = load_config(name, preset)
  if "blocks" in config.get("generator", {}):
    config.generator.blocks = 1  # more of them are alike
  game = algorithms.create(config)
  shapes = data.example_shapes(config.data)
  batch = {
    key: np.zeros((4, *shape), "float32") for key, shape in shapes.items()
  }
  state = jax.eval_shape(
    partial(create_train_state, game), jax.random.key(0), batch
  )
  if game.inputs:
    keys = jax.random.split(jax.random.key(0), 4)
    batch |= jax.eval_shape(game.inputs, keys)
  images = jax.eval_shape(game.sample, state.params, state.model_state, batch)
  if "image" in shapes:
    assert images["generated"].shape == (4, *shapes["image"])
  for direction in game.directions:
    expected = (4, *shapes[direction.target])
    assert images[direction.output].shape == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_first_preset_is_the_default(name):
  first = load_config(name, presets_of(name)[0])
  assert not config_lib.differences(load_config(name), first)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mixture"])
def test_an_unknown_preset_is_told_the_known(name):
  known = presets_of(name)[1]
  with pytest.raises(
    InputError, match=f"preset='minst': choose one .*'{known}'"
  ):
    load_config(name, "minst")


@pytest.mark.parametrize(
  "preset", ["ring", "ring_", "ring_vae", "ring_half_gan", "ring_unrolled_x"]
)
def test_presets_that_are_no_mixture(preset):
  with pytest.raises(InputError, match="unrolled_<steps>"):
    load_config("mixture", preset)


@pytest.mark.parametrize(("share", "parts"), [("half", 2), ("quarter", 4)])
def test_the_critics_share(share, parts):
  config = load_config("mixture", f"stacked_digits_{share}_gan")
  assert config.critic.width * parts == config.generator.width
