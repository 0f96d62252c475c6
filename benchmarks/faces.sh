#!/usr/bin/env bash
# On two CPU cores, faces of 64x64 by DCGAN, WGAN and WGAN-GP, avatars by DCGAN,
# avatars of faces by DTN, CycleGAN and the one-sided L1 model, facades of
# 128x128 by Pix2Pix and CycleGAN, and CIFAR-10 (TFDS_DATA_DIR says where that
# is) by DCGAN and WGAN-GP. Then it evaluates the faces in the features of
# FaceNet, the others in those of a classifier of CIFAR-10, as an FID of few
# facades needs few features; draws and compares.
#
#   benchmarks/faces.sh FACES AVATARS FACENET FACADES [FOLDER]
#
# FACES and AVATARS hold the folders train and test, as does FACADES, the CMP
# set; FACENET is a file of FaceNet's weights. Finished runs are not repeated,
# interrupted ones resume.
set -euo pipefail
cd "$(dirname "$0")/.."
faces=$1 avatars=$2 weights=$3 facades=$4 runs=${5:-runs/faces}
facenet="${runs%/}_facenet" cifar10="${runs%/}_cifar10"

for folder in "$faces" "$avatars" "$facades"; do
  [[ -d $folder/train && -d $folder/test ]] || {
    echo "$folder holds no folders train and test" >&2
    exit 1
  }
done

test -d "$facenet" ||
  python -m jaxgan.import_torch --features="$weights" --workdir="$facenet"

train() {  # name, config:preset, further overrides
  python -m jaxgan.main --config="configs/${2/:/.py:}" --workdir="$runs/$1" \
    "${@:3}"
}

evaluate() {  # name; more samples than FaceNet's 512 features
  python -m jaxgan.evaluate --workdir="$runs/$1" --features="$facenet" \
    --samples=905
}

sample() {  # name, config:preset, folder of images
  train "$1" "$2" --config.data.path="$3"
  evaluate "$1"
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
  evaluate "$1"
}

cifar10() {  # name, config:preset, further overrides
  train "$@"
  python -m jaxgan.evaluate --workdir="$runs/$1" --features="$cifar10"
  python -m jaxgan.sample --workdir="$runs/$1" --output="$runs/$1.png"
}

build() {  # name, config:preset, further overrides
  # Half the published width, 128x128, read at 143x143.
  train "$@" --config.data.path="$facades/train" \
    --config.data.image_size=128 --config.data.margin=15 \
    --config.generator.width=32 --config.critic.width=32
  python -m jaxgan.evaluate --workdir="$runs/$1" --features="$cifar10"
}

sample dcgan_faces dcgan:faces "$faces/train"
sample wgan_faces wgan:faces "$faces/train"
sample wgan_gp_faces wgan_gp:faces "$faces/train"
python -m jaxgan.compare "$runs"/wgan*_faces --output="$runs/curves.png"
sample dcgan_avatars dcgan:faces "$avatars/train"
translate dtn dtn:faces --config.features.workdir="$facenet"
translate cyclegan cyclegan:faces
translate l1_translation l1_translation:faces --config.steps=10000
python -m jaxgan.main --config=configs/classifier.py:cifar10 \
  --workdir="$cifar10"
cifar10 dcgan_cifar10 dcgan:cifar10 --config.steps=4775
narrow="(32, 32, 32, 32)"
cifar10 wgan_gp_cifar10 wgan_gp:cifar10 --config.steps=1200 \
  --config.generator.widths="$narrow" --config.critic.widths="$narrow"
build pix2pix pix2pix:facades --config.generator.downs=7 --config.steps=12000
build cyclegan_facades cyclegan:facades --config.generator.blocks=6 \
  --config.steps=1600

python -m jaxgan.compare "$runs"/*/ --output="$runs/comparison.html"
