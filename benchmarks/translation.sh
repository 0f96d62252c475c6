#!/usr/bin/env bash
# MNIST -> USPS by the one-sided L1 model, with each objective and over a range
# of weights of its L1 term, by CycleGAN with the same networks and by DTN; USPS ->
# MNIST by the first and the last. Then it evaluates and compares.
#
#   TFDS_DATA_DIR=... benchmarks/translation.sh USPS [FOLDER]
#
# USPS holds zip.train.gz and zip.test.gz. Finished runs are not repeated,
# interrupted ones resume.
set -euo pipefail
cd "$(dirname "$0")/.."
usps=$1 runs=${2:-runs/translation}

train() {  # name, config:preset, further overrides
  python -m jaxgan.main --config="configs/${2/:/.py:}" --workdir="$runs/$1" \
    "${@:3}"
  python -m jaxgan.evaluate --workdir="$runs/$1"
}

digits() {
  train "$@" --config.data.target.path="$usps"
}

back() {
  train "$@" --config.data.source.path="$usps"
}

digits non_saturating l1_translation:mnist_usps
digits minimax l1_translation:mnist_usps_minimax
digits least_squares l1_translation:mnist_usps_least_squares
# With five updates of its critic to a step.
digits wasserstein l1_translation:mnist_usps_wasserstein --config.steps=500
for weight in 0.0 5.0 50.0; do
  digits "weight_$weight" l1_translation:mnist_usps --config.weights.l1="$weight"
done
digits cyclegan cyclegan:mnist_usps
digits dtn dtn:mnist_usps
back dtn_back dtn:usps_mnist
back non_saturating_back l1_translation:usps_mnist
# With the margin of MNIST's digits.
digits margin l1_translation:mnist_usps --config.data.source.pad=0

python -m jaxgan.compare "$runs"/*/ --output="$runs/comparison.html"
