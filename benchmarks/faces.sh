#!/usr/bin/env bash
# Faces of 64x64 by DCGAN, WGAN and WGAN-GP, avatars by DCGAN, and avatars of
# faces by DTN, CycleGAN and the one-sided L1 model, on two CPU cores. Then it
# evaluates them in the features of FaceNet, draws and compares.
#
#   benchmarks/faces.sh FACES AVATARS FACENET [FOLDER]
#
# FACES and AVATARS hold the folders train and test, FACENET is a file of
# FaceNet's weights. Finished runs are not repeated, interrupted ones resume.
set -euo pipefail
cd "$(dirname "$0")/.."
faces=$1 avatars=$2 weights=$3 runs=${4:-runs/faces}
facenet="${runs%/}_facenet"

test -d "$facenet" ||
  python -m jaxgan.import_torch --features="$weights" --workdir="$facenet"

train() {  # name, config:preset, further overrides
  python -m jaxgan.main --config="configs/${2/:/.py:}" --workdir="$runs/$1" \
    "${@:3}"
  # More than the 512 features, of which a covariance is.
  python -m jaxgan.evaluate --workdir="$runs/$1" --features="$facenet" \
    --samples=905
}

sample() {  # name, config:preset, folder of images
  train "$1" "$2" --config.data.path="$3"
  for kind in grid interpolation neighbours; do
    python -m jaxgan.sample --workdir="$runs/$1" --kind="$kind" \
      --features="$facenet" --output="$runs/${1}_$kind.png"
  done
  python -m jaxgan.sample --workdir="$runs/$1" --kind=walk \
    --output="$runs/${1}_walk.gif"
}

translate() {  # name, config:preset, further overrides
  train "$@" --config.data.source.path="$faces/train" \
    --config.data.target.path="$avatars/train"
}

sample dcgan_faces dcgan:faces "$faces/train"
sample wgan_faces wgan:faces "$faces/train"
sample wgan_gp_faces wgan_gp:faces "$faces/train"
sample dcgan_avatars dcgan:faces "$avatars/train"
translate dtn dtn:faces --config.features.workdir="$facenet"
translate cyclegan cyclegan:faces
translate l1_translation l1_translation:faces

python -m jaxgan.compare "$runs"/*/ --output="$runs/comparison.html"
