"""A `gcloud` that keeps one TPU in a folder, and fails as it is told.

In $FAKE_CLOUD: `calls` gets a line of JSON for each call; `state` is that of
the TPU; `plan.json` says how many calls of each kind fail at first, in which
states the TPU is found on its way, and when it is taken away; each worker has
a home. What is sent by ssh is run there.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

CLOUD = pathlib.Path(os.environ["FAKE_CLOUD"])
WORKERS = 2


def main(arguments: list[str]) -> int:
  with (CLOUD / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\n")
  plan = json.loads((CLOUD / "plan.json").read_text())
  assert arguments[:2] == ["compute", "tpus"]
  verb = arguments[3]
  if plan.get(verb, {}).get("fail", 0) > 0:
    plan[verb]["fail"] -= 1
    (CLOUD / "plan.json").write_text(json.dumps(plan))
    print(f"ERROR: {verb} is out of order", file=sys.stderr)
    return 1
  flags = dict(a[2:].split("=", 1) for a in arguments if "=" in a)
  homes = [CLOUD / f"worker_{i}" for i in range(WORKERS)]
  state = CLOUD / "state"
  if verb == "create":
    assert not state.exists(), "there is one"
    for home in homes:
      home.mkdir()
    state.write_text(" ".join(plan.get("states", []) + ["ACTIVE"]))
  elif verb == "describe":
    if not state.exists():
      print("ERROR: NOT_FOUND: Resource was not found.", file=sys.stderr)
      return 1
    now, *later = state.read_text().split()
    print(now)
    state.write_text(" ".join(later or [now]))
  elif verb == "delete":
    state.unlink()
    for home in homes:
      shutil.rmtree(home, ignore_errors=True)
  elif verb == "scp":
    for home in homes:
      shutil.copy(arguments[4], home)
  elif verb == "ssh":
    return ssh(flags["command"], homes, plan)
  return 0


def ssh(command: str, homes: list[pathlib.Path], plan: dict) -> int:
  sessions = [
    subprocess.Popen(
      ["bash", "-c", command],
      cwd=home,
      env=os.environ | {"HOME": str(home)},
      start_new_session=True,
    )
    for home in homes
  ]
  taken = plan.get("taken", 0) if " train " in command else 0
  if taken:
    progress = CLOUD / "bucket" / "run" / "progress"
    while not progress.exists() or progress.read_text().count("\n") < WORKERS:
      time.sleep(0.05)
    plan["taken"] -= 1
    (CLOUD / "plan.json").write_text(json.dumps(plan))
    (CLOUD / "state").write_text("SUSPENDED")
    for home in homes:
      for pid in home.glob("*.pid"):
        os.killpg(os.getpgid(int(pid.read_text())), signal.SIGKILL)
    for session in sessions:
      session.wait()
    return 255
  return next((s for s in [s.wait() for s in sessions] if s), 0)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
