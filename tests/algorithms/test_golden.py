"""The first two steps of each game, against values recorded before.

Where a change means to alter what is computed, record anew and say why:
`JAXGAN_RECORD_GOLDEN=1 python -m pytest tests/algorithms/test_golden.py -n 0`.
"""

import json
import os
import pathlib

import jax
import numpy as np
import pytest
from helpers.configs import load_config, shrink

from jaxgan import train

PATH = pathlib.Path(__file__).with_name("golden.json")
CASES = {
  "wgan_gp": ("wgan_gp", None, {}),
  "nsgan": ("nsgan", None, {}),
  "dcgan": ("dcgan", None, {}),
  "sngan": ("sngan", None, {"generator_batches": 2}),
  "r3gan": ("r3gan", None, {}),
  "unrolled": ("mixture", "ring_unrolled_2", {}),
  "feature_matching": ("mixture", "ring_feature_matching", {}),
  "minibatch_discrimination": (
    "mixture",
    "ring_minibatch_discrimination",
    {},
  ),
  # At the config's 1e-3, a rounding can cost ten iterations more, which moves
  # the second step by 2e-4.
  "ot_gan": (
    "ot_gan",
    None,
    {"transport": {"threshold": 1e-4, "max_iterations": 5000}},
  ),
  "cyclegan": ("cyclegan", None, {"pool_size": 8}),
  "pix2pix": ("pix2pix", None, {}),
  "l1_translation": ("l1_translation", None, {}),
  "dtn": ("dtn", None, {}),
  "classifier": ("classifier", None, {}),
}


def values(name: str, workdir: pathlib.Path) -> dict[str, float]:
  """Losses, norms and a projection of each player's new parameters."""
  config_name, preset, changes = CASES[name]
  config = shrink(load_config(config_name, preset))
  config.update(changes)
  config.steps, config.log_every, config.eval_every = 2, 1, 0
  for optimizer in config.optimizers.values():
    # Adam's first updates are signs: rounding would decide some of them.
    with optimizer.unlocked():
      for key in set(optimizer) - {"learning_rate", "clip_weights"}:
        del optimizer[key]
      optimizer.name = "sgd"
      optimizer.learning_rate = 0.01
  state = train(config, workdir, jax.devices()[:1]).state
  found = {}
  for line in (workdir / "metrics.jsonl").read_text().splitlines():
    row = json.loads(line)
    step = row.pop("step")
    for key, value in row.items():
      if not key.endswith("_per_second"):
        found[f"{key} of step {step}"] = value
  for player, params in state.params.items():
    rng = np.random.default_rng(0)
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(params)]
    found[f"{player} projected"] = sum(
      float((x * rng.standard_normal(x.shape)).sum()) for x in leaves
    )
  return found


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[] if name == "wgan_gp" else pytest.mark.slow)
    for name in CASES
  ],
)
def test_first_steps(name, tmp_path):
  found = values(name, tmp_path / "run")
  if os.environ.get("JAXGAN_RECORD_GOLDEN"):
    known = json.loads(PATH.read_text()) if PATH.exists() else {}
    known[name] = found
    PATH.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
  expected = json.loads(PATH.read_text())[name]
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    if "marginal_error" in key:  # the rest of an iteration that ends anywhere
      continue
    np.testing.assert_allclose(
      found[key], value, rtol=2e-5, atol=1e-5, err_msg=f"{name}: {key}"
    )
