"""Times a step of DTN on faces with f of its images kept, and computed anew.

  python benchmarks/frozen_features.py --features=runs/facenet \
    --faces=FACES/train --avatars=AVATARS/train

FACES and AVATARS are folders of a few hundred images: f of all is computed
first. Prints the seconds of a step, and whether both end in the same state to
the bit.
"""

import importlib.util
import json
import pathlib
import sys
import tempfile

import jax
from absl import app, flags

import jaxgan
from jaxgan.engine import checkpoint, startup

_FEATURES = flags.DEFINE_string("features", None, "Run of FaceNet.")
_FACES = flags.DEFINE_string("faces", None, "Folder of photographs.")
_AVATARS = flags.DEFINE_string("avatars", None, "Folder of avatars.")
_SIDE = flags.DEFINE_integer("side", 160, "Pixels of the images that f sees.")
_STEPS = flags.DEFINE_integer("steps", 10, "Steps.")
ROOT = pathlib.Path(__file__).parents[1]


def main(_: list[str]) -> None:
  """Prints the times of both."""
  startup.set_up()
  spec = importlib.util.spec_from_file_location("dtn", ROOT / "configs/dtn.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config("faces")
  config.features.update(workdir=_FEATURES.value, image_size=_SIDE.value)
  config.data.source.path, config.data.target.path = (
    _FACES.value,
    _AVATARS.value,
  )
  config.update(
    steps=_STEPS.value, log_every=2, sample_every=0, checkpoint_every=0
  )
  seconds, digests = {}, set()
  for name in ("kept", "anew"):
    if name == "anew":
      loop = sys.modules["jaxgan.train"]
      loop.embed_once = lambda config, game, source, state: source
    with tempfile.TemporaryDirectory() as workdir:
      state = jaxgan.train(config, workdir).state
      text = pathlib.Path(workdir, "metrics.jsonl").read_text()
    rates = [json.loads(x)["steps_per_second"] for x in text.splitlines()]
    seconds[name] = 1 / max(rates)
    digests.add(checkpoint.digest(jax.device_get(state)))
  same = "yes" if len(digests) == 1 else "no"
  print(
    f"f at {_SIDE.value} pixels, batch {config.batch_size}: a step takes "
    f"{seconds['kept']:.2f} s with f kept, {seconds['anew']:.2f} s with f "
    f"computed anew; the same to the bit: {same}"
  )


if __name__ == "__main__":
  app.run(main)
