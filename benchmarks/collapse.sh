#!/usr/bin/env bash
# Trains every method of configs/mixture.py on each set with three seeds,
# evaluates them, and compares each set over the seeds.
#
#   [JOBS=2] [SETS="ring grid"] benchmarks/collapse.sh [FOLDER]
#
# JOBS runs at a time, each on a core of its own (Linux). Finished runs
# are not repeated, interrupted ones resume.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."
export runs=${1:-runs/collapse}
sets=${SETS:-ring grid stacked_digits_quarter}
if [ "${JOBS:-1}" -gt "$(nproc)" ]; then
  echo "JOBS=$JOBS: give at most $(nproc), the number of cores" >&2
  exit 1
fi

methods="gan nsgan lsgan wgan wgan_gp sngan r3gan feature_matching
minibatch_discrimination unrolled_1 unrolled_5 unrolled_10 ot_gan"

run() {  # preset, seed
  local workdir="$runs/$1_$2"
  taskset -c "$SLOT" python -m jaxgan.main --config="configs/mixture.py:$1" \
    --config.seed="$2" --workdir="$workdir"
  local samples=()
  [[ $1 != stacked* ]] || samples=(--samples=26000)  # as in published counts
  [ -s "$workdir/evaluation.json" ] ||
    taskset -c "$SLOT" python -m jaxgan.evaluate --workdir="$workdir" \
      "${samples[@]}"
}
export -f run

for seed in 0 1 2; do
  for set in $sets; do
    for method in $methods; do
      echo "${set}_$method $seed"
    done
  done
done | xargs -P "${JOBS:-1}" --process-slot-var=SLOT -L 1 \
  bash -euo pipefail -c 'run "$@"' _ || failed=1

for set in $sets; do
  trained=()
  for method in $methods; do
    trained+=("$runs/${set}_$method"_[0-2])
  done
  python -m jaxgan.compare "${trained[@]}" --output="$runs/$set.html"
done
if [ -n "${failed:-}" ]; then
  echo "some runs failed; see above" >&2
  exit 1
fi
