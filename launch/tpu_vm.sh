#!/usr/bin/env bash
# Trains on a Cloud TPU, whatever becomes of its machines: asks for the TPU,
# installs jaxgan on all its workers, trains, asks again when it was taken
# away, goes on from the last checkpoint, and deletes it at the end.
#
#   launch/tpu_vm.sh [--dry-run] NAME --config=FILE --workdir=runs/RUN [FLAG...]
#   launch/tpu_vm.sh [--dry-run] --delete NAME
#
# runs/ is the bucket, on every worker. Ended and started again, the script
# follows the training where it is. SIGINT or SIGTERM to it has the run saved
# and the TPU deleted, and ends with status 75.
#
#   BUCKET   of hierarchical namespace, which makes its renames atomic
#   ZONE     of the TPU, as us-west4-a
#   TYPE     of the TPU, by default v5litepod-8
#   VERSION  of its software, by default v2-alpha-tpuv5-lite
#   SPOT     1 (default) takes what is left over, at a lower price; 0 does not
#   PACKAGE  what is installed beside jaxgan, by default jax[tpu]
#   KEEP     1 leaves the TPU at the end, and it costs on; by default 0
#   RESTARTS failures in a row after which it gives up, by default 100
#   PAUSE    seconds between two looks at the TPU, by default 20
set -euo pipefail

fail() {
  echo "error: $*" >&2
  exit 1
}

dry='' delete=''
while true; do
  case ${1-} in
    --dry-run) dry=1 ;;
    --delete) delete=1 ;;
    *) break ;;
  esac
  shift
done
name=${1-}
[[ $name =~ ^[a-z][a-z0-9-]*$ ]] ||
  fail "give a name for the TPU first: small letters, digits and -"
shift
[ -n "${ZONE-}" ] || fail "set ZONE to that of the TPU, as us-west4-a"
if [ ! "$delete" ]; then
  BUCKET=${BUCKET-}
  BUCKET=${BUCKET#gs://}
  [ -n "$BUCKET" ] || fail "set BUCKET to that of the runs"
  case " $*" in
    *" --config="*) ;;
    *) fail "give --config=FILE" ;;
  esac
  case " $*" in
    *" --workdir=runs/"*) ;;
    *) fail "give --workdir=runs/RUN: only what is in runs/ outlasts the TPU" ;;
  esac
fi
[ "$dry" ] || command -v gcloud >/dev/null ||
  fail "gcloud is not found: install the Google Cloud CLI"
here=$(cd "$(dirname "$0")/.." && pwd)

# Runs a command, or prints it. In the background, since traps would have to
# wait for one in the foreground.
act() {
  local child status
  [ ! "$dry" ] || { printf '%q ' "$@" && echo && return; }
  "$@" </dev/null &
  child=$!
  while true; do
    status=0
    wait "$child" || status=$?
    kill -0 "$child" 2>/dev/null || return "$status"
  done
}

request() { # verb, flag...
  act gcloud compute tpus queued-resources "$1" "$name" --zone="$ZONE" "${@:2}"
}

on_all() { # command
  act gcloud compute tpus tpu-vm ssh "$name" --zone="$ZONE" --worker=all \
    --quiet --command="$1"
}

create() {
  local flags=()
  [ "${SPOT:-1}" = 0 ] || flags=(--spot)
  request create --node-id="$name" --accelerator-type="${TYPE:-v5litepod-8}" \
    --runtime-version="${VERSION:-v2-alpha-tpuv5-lite}" \
    --scopes=https://www.googleapis.com/auth/cloud-platform \
    --async "${flags[@]}"
}

remove() {
  request delete --force --quiet
}

# Of the request: none, or one of the documented ones, as ACTIVE. Where it
# cannot be asked for, that is a failure.
state() {
  local text
  if text=$(request describe --format='value(state.state)' 2>&1); then
    echo "$text"
  elif [[ $text == *NOT_FOUND* || $text == *"not found"* ]]; then
    echo none
  else
    echo "$text" >&2
    return 1
  fi
}

set_up() {
  local archive
  archive=$(mktemp -d)/jaxgan.tar.gz
  act tar --create --gzip --file="$archive" --directory="$here" --exclude=.git \
    --exclude='__pycache__' jaxgan configs launch setup.py pyproject.toml \
    README.md LICENSE &&
    act gcloud compute tpus tpu-vm scp "$archive" "$name:" --zone="$ZONE" \
      --worker=all &&
    on_all "mkdir -p jaxgan && tar xzf $(basename "$archive") -C jaxgan &&
jaxgan/launch/tpu_worker.sh set-up $(printf '%q ' \
      "$BUCKET" "${PACKAGE:-jax[tpu]}")"
}

train() {
  on_all "jaxgan/launch/tpu_worker.sh train $(printf '%q ' "$@")"
}

if [ "$delete" ]; then
  remove
  exit
fi
if [ "$dry" ]; then
  create
  request describe --format='value(state.state)'
  set_up
  train "$@"
  remove
  exit
fi

told=
sleeping=
tell() {
  told=1
  echo "tells the run to save and end" >&2
  [ ! "$sleeping" ] || kill "$sleeping" 2>/dev/null || true
  on_all "jaxgan/launch/tpu_worker.sh stop" >&2 || true
}
trap tell INT TERM

# Sleeps, unless it is told to end.
rest() {
  [ ! "$told" ] || return 0
  sleep "$1" &
  sleeping=$!
  wait "$sleeping" || true
  sleeping=
}

finish() { # status, what to say
  echo "$2" >&2
  if [ "${KEEP:-0}" = 1 ]; then
    echo "$name is kept, and costs: launch/tpu_vm.sh --delete $name" >&2
  elif [ "$(state || true)" != none ]; then
    remove || echo "delete it: launch/tpu_vm.sh --delete $name" >&2
  fi
  exit "$1"
}

# One step nearer to the end of the training; fails where something did.
advance() {
  local now status
  now=$(state) || return 1
  case $now in
    none) create ;;
    ACTIVE)
      set_up && [ ! "$told" ] || return 1
      status=0
      train "$@" || status=$?
      case $status in
        0) finish 0 "the run is complete" ;;
        64) finish 1 "the run ended with the error above" ;;
      esac
      return 1
      ;;
    FAILED | SUSPENDED)
      echo "$name is $now: asks for a new one" >&2
      remove && create
      ;;
    *) rest "${PAUSE:-20}" ;; # in the queue, or on its way
  esac
}

failures=0
pause=${PAUSE:-20}
while true; do
  began=$SECONDS
  advance "$@" && failed='' || failed=1
  [ ! "$told" ] || finish 75 "told to end; the same command goes on"
  [ "$failed" ] || continue
  if [ $((SECONDS - began)) -ge 900 ]; then
    failures=0
    pause=${PAUSE:-20}
  fi
  failures=$((failures + 1))
  [ "$failures" -le "${RESTARTS:-100}" ] ||
    finish 1 "gave up after $((failures - 1)) failures in a row"
  echo "failure $failures in a row: tries again in $pause s" >&2
  # Machines may be broken that are said to be there.
  [ $((failures % 5)) -ne 0 ] || remove || true
  rest "$pause"
  pause=$((pause * 2 < 600 ? pause * 2 : 600))
done
