#!/usr/bin/env bash
# Trains every objective on MNIST, and two on Fashion-MNIST, at equal cost,
# then evaluates, draws and compares them. The steps of a run are those that
# take 5 minutes by `python -m jaxgan.benchmark` on two idle CPU cores.
#
#   TFDS_DATA_DIR=... benchmarks/quality.sh [FOLDER]
#
# Finished runs are not repeated, interrupted ones resume.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-runs/quality}

train() {  # config:preset, steps, further overrides
  python -m jaxgan.main --config="configs/${1/:/.py:}" \
    --workdir="$runs/${1/:/_}" --config.steps="$2" "${@:3}"
}

half=(--config.generator.width=32 --config.critic.width=32)
gp=("${half[@]}" --config.generator.kernel_size=4 --config.critic.kernel_size=4
  --config.optimizers.generator.learning_rate=1e-3
  --config.optimizers.critic.learning_rate=1e-3)
# At the published rate, 5e-5, WGAN gives blobs after 800 steps.
clip=("${half[@]}" --config.optimizers.generator.learning_rate=2e-4
  --config.optimizers.critic.learning_rate=2e-4)

train gan:mnist 8500
train nsgan:mnist 8500
train dcgan:mnist 3200 "${half[@]}"
train lsgan:mnist 3200 "${half[@]}"
train wgan:mnist 800 "${clip[@]}"
train wgan_gp:mnist 760 "${gp[@]}"
train sngan:mnist 3200 "${half[@]}"
train r3gan:mnist 1600 "${half[@]}"
train ot_gan:mnist 230
train dcgan:fashion_mnist 3200 "${half[@]}"
train wgan_gp:fashion_mnist 760 "${gp[@]}"

for run in "$runs"/*/; do
  python -m jaxgan.evaluate --workdir="$run"
  python -m jaxgan.sample --workdir="$run" --kind=grid --count=36 \
    --output="$runs/$(basename "$run").png"
done
python -m jaxgan.compare "$runs"/*/ --output="$runs/comparison.html"
