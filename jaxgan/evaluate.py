"""Evaluates a trained run: `python -m jaxgan.evaluate --workdir=DIR`."""

from absl import flags

from jaxgan import cli
from jaxgan.engine.workdir import write_atomically

_WORKDIR = cli.workdir_flag()
_STEP = cli.step_flag()
_SEED = cli.seed_flag()
_EMA = cli.ema_flag()
_FEATURES = cli.features_flag()
_DATA_PATH = cli.data_path_flag()
_SAMPLES = flags.DEFINE_integer(
  "samples",
  None,
  "Number of samples; by default that of held-out images, at most 10000; or "
  "2500 points.",
  lower_bound=1,
)
_REAL = flags.DEFINE_integer(
  "real", 0, "Training images to compare with; 0 for all.", lower_bound=0
)
_BATCH_STATISTICS = flags.DEFINE_bool(
  "batch_statistics",
  False,
  "Normalise by the statistics of each batch, not by the running ones.",
)


def main() -> None:
  """Evaluates a run, prints its metrics and writes `evaluation.json`."""
  run = cli.restore(_WORKDIR.value, _STEP.value, _DATA_PATH.value)
  found = run.evaluate(
    ema=_EMA.value,
    count=_SAMPLES.value,
    seed=_SEED.value,
    batch_statistics=_BATCH_STATISTICS.value,
    features=_FEATURES.value,
    max_real=_REAL.value,
  )
  print(found)
  write_atomically(run.workdir / "evaluation.json", found.to_json())


if __name__ == "__main__":
  cli.main(main)
