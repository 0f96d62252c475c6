#!/usr/bin/env bash
# What tpu_vm.sh does on each worker of a TPU.
#
#   tpu_worker.sh set-up BUCKET PACKAGE
#   tpu_worker.sh train FLAG...
#   tpu_worker.sh stop
#
# The training does not hang on the connection: `train` starts it if it does
# not run, and follows it until it ends, with its status; 64 where the user has
# to mend something, since gcloud has 1 and 2 for itself.
set -euo pipefail
cd "$(dirname "$0")/.."

log=~/jaxgan.log
pid=~/jaxgan.pid
status=~/jaxgan.status

running() {
  [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null
}

set_up() { # bucket, package
  ! running || return 0 # what it has loaded must not change
  if ! command -v gcsfuse >/dev/null; then
    local site=https://packages.cloud.google.com/apt
    local key=/usr/share/keyrings/cloud.google.asc
    curl --fail --silent --show-error "$site/doc/apt-key.gpg" |
      sudo tee "$key" >/dev/null
    echo "deb [signed-by=$key] $site gcsfuse-$(lsb_release -cs) main" |
      sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
    # New machines update themselves, and lock what is needed here.
    sudo apt-get -qq -o DPkg::Lock::Timeout=600 update
    sudo apt-get -qq -o DPkg::Lock::Timeout=600 install --yes gcsfuse
  fi
  mkdir -p runs
  mountpoint -q runs || gcsfuse --implicit-dirs "$1" runs
  # The images have an older Python.
  if [ ! -x ~/.local/bin/uv ]; then
    curl --fail --silent --show-error --location https://astral.sh/uv/install.sh \
      --output ~/install_uv.sh
    UV_INSTALL_DIR=~/.local/bin UV_NO_MODIFY_PATH=1 sh ~/install_uv.sh --quiet
  fi
  [ -d ~/venv ] || ~/.local/bin/uv venv --quiet --python 3.12 ~/venv
  ~/.local/bin/uv pip install --quiet --python ~/venv "$2" .
}

train() {
  if ! running; then
    rm -f "$status"
    : >"$log" # there is something to follow, however late it starts
    # Prepared sets of tensorflow-datasets, where the bucket has them.
    [ ! -d runs/tfds ] || export TFDS_DATA_DIR=$PWD/runs/tfds
    # shellcheck disable=SC2016 # to be expanded by the other shell
    nohup bash -c '"${@:2}"; echo $? >"$1"' - "$status" \
      ~/venv/bin/python -m jaxgan.main --coordinator=auto "$@" \
      >>"$log" 2>&1 </dev/null &
    echo $! >"$pid"
  fi
  tail --lines=+1 --follow --pid="$(cat "$pid")" "$log"
  local ended=76 # without a word, as when the memory is full
  [ ! -s "$status" ] || ended=$(cat "$status")
  case $ended in
    1 | 2) ended=64 ;;
  esac
  return "$ended"
}

stop() {
  ! running || pkill -TERM --parent "$(cat "$pid")"
}

case ${1-} in
  set-up) set_up "${@:2}" ;;
  train) train "${@:2}" ;;
  stop) stop ;;
  *) echo "error: give set-up, train or stop" >&2 && exit 2 ;;
esac
