#!/usr/bin/env bash
# Trains on N processes of this machine, with one GPU each where it has GPUs.
#
#   launch/local.sh [--dry-run] N --config=configs/gan.py [FLAG...]
#
# The terminal shows what process 0 prints; what the others print is in
# $LOGS/process_<i>.log, by default in a new folder. If a process is lost, or
# told to end, all are started again, and resume: at most $RESTARTS times in a
# row, by default 10, not counting after a quarter of an hour of work. SIGTERM
# to this script saves and ends with status 75.
set -euo pipefail

fail() {
  echo "error: $*" >&2
  exit 1
}

dry=
if [ "${1-}" = --dry-run ]; then
  dry=1
  shift
fi
count=${1-}
[[ $count =~ ^[1-9][0-9]*$ ]] || fail "give the number of processes first"
shift
[ $# -gt 0 ] || fail "give the flags of jaxgan.main, such as --config=FILE"
python=${PYTHON:-python}
# The same run gives the same numbers on GPUs, too.
export XLA_FLAGS="--xla_gpu_deterministic_ops=true ${XLA_FLAGS-}"

command_of() {
  command=(
    "$python" -m jaxgan.main "--coordinator=127.0.0.1:$2"
    "--processes=$count" "--process=$1" "${@:3}"
  )
}

if [ "$dry" ]; then
  for ((i = 0; i < count; i++)); do
    command_of "$i" PORT "$@"
    echo "JAX_LOCAL_DEVICE_IDS=$i ${command[*]}"
  done
  exit
fi

command -v "$python" >/dev/null || fail "PYTHON=$python is not found"
LOGS=${LOGS:-$(mktemp -d)}
mkdir -p "$LOGS" || fail "LOGS=$LOGS cannot be made"
pids=()
told=
tell() {
  told=1
  kill -TERM "${pids[@]}" 2>/dev/null || true
}
trap tell TERM INT
# Whatever happens here, no process is left behind.
trap 'kill -KILL "${pids[@]}" 2>/dev/null || true' EXIT

start() {
  local port i
  port=$("$python" -c 'import socket
with socket.socket() as s:
  s.bind(("", 0))
  print(s.getsockname()[1])')
  pids=()
  for ((i = 0; i < count; i++)); do
    command_of "$i" "$port" "$@"
    if [ "$i" -eq 0 ]; then
      JAX_LOCAL_DEVICE_IDS=$i "${command[@]}" &
    else
      JAX_LOCAL_DEVICE_IDS=$i "${command[@]}" >"$LOGS/process_$i.log" 2>&1 &
    fi
    pids+=($!)
  done
}

# Waits for all, and sets `status` to that of the first that failed, but for
# those that only lost another. The others then have half a minute, as all have
# that are told to end.
await() {
  local i left waited=0 one
  status=0
  left=("${!pids[@]}")
  while [ ${#left[@]} -gt 0 ]; do
    for i in "${left[@]}"; do
      kill -0 "${pids[i]}" 2>/dev/null && continue
      one=0
      wait "${pids[i]}" || one=$?
      unset "left[i]"
      if [[ $status == 0 || $status == 76 ]] && [ "$one" -ne 0 ]; then
        status=$one
        echo "process $i ended with status $one" >&2
        [ "$i" -eq 0 ] || tail -n 1 "$LOGS/process_$i.log" >&2
      fi
    done
    [ "$status$told" = 0 ] || waited=$((waited + 1))
    [ "$waited" -ne 150 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.2 || true
  done
}

failures=0
while true; do
  began=$SECONDS
  start "$@"
  await "$@"
  case $status in
    0 | 1 | 2) exit "$status" ;; # done, or for the user to mend
  esac
  [ -z "$told" ] || exit "$status"
  [ $((SECONDS - began)) -lt 900 ] || failures=0
  failures=$((failures + 1))
  [ "$failures" -le "${RESTARTS:-10}" ] ||
    fail "$((failures - 1)) restarts did not help; logs are in $LOGS"
  echo "starting all again ($failures)" >&2
done
