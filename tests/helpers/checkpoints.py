"""A small state and ways to damage its checkpoints."""

import jax.numpy as jnp

from jaxgan.game import TrainState


def make_state(step, scale=1.0):
  return TrainState(
    step=jnp.int32(step),
    halted=jnp.bool_(False),
    rollbacks=jnp.int32(0),
    params={"critic": {"w": scale * jnp.arange(6000.0)}},
    model_state={"critic": {}},
    opt_state={"critic": (jnp.zeros(3, jnp.bfloat16),)},
    ema_params={},
    ema_model_state={},
  )


def data_file(workdir, step):
  """The largest file of a checkpoint: where the arrays are."""
  folder = workdir / "checkpoints" / str(step)
  return max(
    (p for p in folder.rglob("*") if p.is_file()),
    key=lambda p: p.stat().st_size,
  )


def flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
