import json

import pytest
from helpers.configs import load_config
from helpers.environment import CONFIGS
from ml_collections import ConfigDict

from jaxgan import config as config_lib
from jaxgan.algorithms import gan
from jaxgan.errors import InputError


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
    ("wgan_gp", {"generator.width": 0}, "generator.width=0"),
    ("gan", {"critic.hidden": (16, -1)}, "critic.hidden"),
    ("dcgan", {"loss": "minmax"}, "minimax"),
    ("dcgan", {"penalty.name": "wgan-gp"}, "wgan_gp"),
    ("dcgan", {"penalty.weight": 1.0}, "a name and a weight"),
    ("wgan_gp", {"penalty.weight": -1.0}, "a name and a weight"),
    ("wgan", {"optimizers.critic.clip_weights": -1.0}, "or more"),
    ("dcgan", {"optimizers.critic.learning_rate": 0.0}, "more than 0"),
    ("dcgan", {"latent": "gaussian"}, "normal"),
    ("dcgan", {"latent_size": 0}, "at least 1"),
    ("dcgan", {"n_critic": 0}, "at least 1"),
    ("dcgan", {"generator.norm": "spectral"}, "batch"),
    ("dcgan", {"critic.norm": "instance"}, "spectral"),
    ("dcgan", {"critic.name": "vgg"}, "vgg"),
    ("dcgan", {"critic.name": "mlp"}, "width"),
    ("wgan_gp", {"minibatch_discrimination.kernels": 3}, "kernels=0"),
    (
      "sngan",
      {"minibatch_discrimination.kernels": 3, "loss": "wasserstein"},
      "does not bound",
    ),
    ("dcgan", {"minibatch_discrimination.kernels": -1}, "at least 0"),
    ("dcgan", {"minibatch_discrimination.dims": 0}, "at least 1"),
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
    ("dcgan", {"unroll_steps": -1}, "at least 0"),
    ("dcgan", {"unroll_steps": 1, "generator_batches": 2}, "batches=1"),
  ],
)
def test_harmful_combinations_are_refused(name, values, remedy):
  with pytest.raises(InputError, match=remedy.replace("(", r"\(")):
    gan.create(changed(name, **values))


def test_a_sigmoid_suits_least_squares():
  gan.create(changed("lsgan", critic_output="sigmoid"))


@pytest.mark.parametrize(
  ("values", "remedy"),
  [
    ({"steps": 0}, "at least 1"),
    ({"batch_size": 0}, "at least 1"),
    ({"batch_size": 12}, "give 8 or 16"),  # of 8 devices
    ({"batch_size": 4}, "give 8 or 8"),
    ({"log_every": 0}, "at least 1"),
    ({"checkpoint_every": -1}, "at the end"),
    ({"eval_every": -1}, "never"),
    ({"eval_samples": 0}, "at least 1"),
    ({"seed": 2**32}, "2"),
    ({"ema_decay": 1.0}, r"\[0, 1\)"),
    ({"dtype": "float16"}, "bfloat16"),
  ],
)
def test_impossible_values_are_refused(values, remedy):
  with pytest.raises(InputError, match=remedy):
    config_lib.check(changed("dcgan", **values), 8)


def test_unknown_preset():
  with pytest.raises(InputError, match="fashion_mnist"):
    load_config("dcgan", "minst")


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
  assert config_lib.differences(old, new) == ["steps (100000 -> 7)"]


def test_configs_survive_json():
  for path in CONFIGS:
    config = load_config(path.stem)
    again = ConfigDict(json.loads(config.to_json()))
    assert not config_lib.differences(again, config)
    assert not config_lib.differences(config, again)


@pytest.mark.parametrize(
  "path",
  [path for path in CONFIGS if path.stem != "classifier"],
  ids=lambda path: path.stem,
)
def test_players_do_not_share_settings(path):
  config = load_config(path.stem)
  rate = config.optimizers.generator.learning_rate
  config.optimizers.critic.learning_rate = 0.123
  assert config.optimizers.generator.learning_rate == rate
  config.critic.norm = "none"
  config.generator.norm = "layer"
  assert config.critic.norm == "none"
