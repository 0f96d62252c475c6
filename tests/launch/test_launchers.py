"""The files of launch/, with stand-ins for what starts machines."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from helpers.environment import ONE_DEVICE, ROOT
from helpers.runs import RUN, digest, log_of, steps, wait_for

pytestmark = pytest.mark.processes

LAUNCH = ROOT / "launch"
SCRIPTS = [*LAUNCH.glob("*.sh"), LAUNCH / "slurm.sbatch"]
FLAGS = ("--config=configs/gan.py", "--workdir=runs/run", "--a=it's $HOME")

# Instead of the training: goes on from where it was, as the plan says.
TRAINER = """#!/usr/bin/env bash
trap 'echo saved; exit 75' TERM
printf '%s\\n' "$@" >arguments
mkdir -p runs/run
echo "started at $(cat runs/run/progress 2>/dev/null)"
exec 9>"$FAKE_CLOUD/lock" && flock 9
status=$(head -n 1 "$FAKE_CLOUD/ends") && sed -i 1d "$FAKE_CLOUD/ends"
exec 9>&-
sleep 0.3 && echo more >>runs/run/progress
[ "$status" ] || while true; do sleep 0.1; done
echo "ends with $status"
[ "$status" != killed ] || kill -KILL $$
exit "$status"
"""
STAND_INS = {
  "gcsfuse": 'rmdir "$3" && ln -s "$FAKE_CLOUD/$2" "$3"',
  "mountpoint": '[ -L "$2" ]',
  "curl": "touch ~/install_uv.sh",
  "sudo": "exit 9",
}


def executable(path, text):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)


@pytest.fixture
def cloud(tmp_path):
  """A folder of machines, and how the script is started on them."""

  class Cloud:
    folder = tmp_path / "cloud"

    def start(self, *arguments, ends=(), **plan):
      """`ends`: the statuses of the trainers; "" goes on until it is told."""
      (self.folder / "plan.json").write_text(json.dumps(plan))
      (self.folder / "ends").write_text("".join(f"{e}\n" for e in ends))
      with (self.folder / "output").open("w") as output:
        return subprocess.Popen(
          [LAUNCH / "tpu_vm.sh", *arguments],
          stdout=output,
          stderr=subprocess.STDOUT,
          env=self.environment,
          start_new_session=True,
        )

    def end(self, process):
      """Returns its status and what it has written."""
      output = self.folder / "output"
      with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(60), output.read_text()
      os.killpg(process.pid, signal.SIGKILL)
      pytest.fail(f"it goes on: {output.read_text()}")

    def train(self, ends, **plan):
      return self.end(self.start("tpu", *FLAGS, ends=ends, **plan))

    def calls(self):
      lines = (self.folder / "calls").read_text().splitlines()
      return [json.loads(line) for line in lines]

    def verbs(self):
      return [call[3] for call in self.calls() if call[3] != "describe"]

    def progress(self):
      file = self.folder / "bucket" / "run" / "progress"
      return file.read_text().split() if file.exists() else []

  made, programs = Cloud(), tmp_path / "programs"
  (made.folder / "bucket").mkdir(parents=True)
  executable(
    programs / "gcloud",
    f"#!/bin/sh\nexec {sys.executable} "
    f'{ROOT}/tests/helpers/fake_gcloud.py "$@"\n',
  )
  for name, body in STAND_INS.items():
    executable(programs / name, f"#!/usr/bin/env bash\n{body}\n")
  # As what the installer makes; it makes an environment of the trainer.
  executable(programs / "trainer", TRAINER)
  executable(
    programs / "uv",
    "#!/usr/bin/env bash\n"
    'if [ "$1" = venv ]; then mkdir -p ~/venv/bin\n'
    f"  cp {programs}/trainer ~/venv/bin/python\n"
    'else echo "$@" >~/installed; fi\n',
  )
  executable(
    programs / "sh",
    "#!/usr/bin/env bash\n"
    f'mkdir -p "$UV_INSTALL_DIR" && cp {programs}/uv "$UV_INSTALL_DIR"\n',
  )
  made.environment = os.environ | {
    "PATH": f"{programs}:{os.environ['PATH']}",
    "FAKE_CLOUD": str(made.folder),
    "ZONE": "somewhere",
    "BUCKET": "bucket",
    "PAUSE": "0",
  }
  yield made
  for pid in made.folder.glob("*/jaxgan.pid"):
    with contextlib.suppress(ProcessLookupError):
      os.killpg(os.getpgid(int(pid.read_text())), signal.SIGKILL)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
  result = subprocess.run(
    ["shellcheck", script], capture_output=True, text=True
  )
  assert result.returncode == 0, result.stdout


MADE = ["create", "scp", "ssh", "ssh"]


def test_tpu_trains_and_is_deleted(cloud):
  status, output = cloud.train(["0", "0"])
  assert status == 0, output
  assert cloud.verbs() == [*MADE, "delete"]
  create = next(call for call in cloud.calls() if call[3] == "create")
  assert {"--spot", "--zone=somewhere", "--node-id=tpu"} < set(create)
  assert cloud.progress() == ["more"] * 2
  assert "the run is complete" in output


def test_tpu_gets_the_flags_as_they_are(cloud):
  process = cloud.start("tpu", *FLAGS, ends=["", ""])
  worker = cloud.folder / "worker_1"
  wait_for(lambda: len(cloud.progress()) == 2, process)
  arguments = (worker / "jaxgan" / "arguments").read_text().splitlines()
  assert arguments == ["-m", "jaxgan.main", "--coordinator=auto", *FLAGS]
  assert (worker / "installed").read_text().split()[-2:] == ["jax[tpu]", "."]
  for name in (
    "setup.py",
    "pyproject.toml",
    "configs/gan.py",
    "jaxgan/main.py",
  ):
    assert (worker / "jaxgan" / name).exists()
  process.terminate()
  status, output = cloud.end(process)
  assert status == 75, output
  assert output.count("saved") == 2
  assert cloud.verbs()[-1] == "delete"


def test_tpu_is_waited_for(cloud):
  states = ["WAITING_FOR_RESOURCES", "PROVISIONING"]
  status, output = cloud.train(["0", "0"], states=states, create={"fail": 2})
  assert status == 0, output
  assert cloud.verbs() == ["create", "create", *MADE, "delete"]
  assert "failure 2 in a row: tries again" in output


def test_tpu_is_taken_away(cloud):
  status, output = cloud.train(["", "", "0", "0"], taken=1)
  assert status == 0, output
  assert cloud.verbs() == [*MADE, "delete", *MADE, "delete"]
  assert "tpu is SUSPENDED" in output
  assert "started at more" in output  # from what the first TPU had saved


@pytest.mark.parametrize("verb", ["describe", "scp", "ssh", "delete"])
def test_tpu_calls_fail(cloud, verb):
  status, output = cloud.train(["0", "0"], **{verb: {"fail": 1}})
  assert status == 0, output
  if verb == "delete":
    assert "delete it: launch/tpu_vm.sh --delete tpu" in output
  else:
    assert "out of order" in output


@pytest.mark.parametrize("end", ["75", "76", "killed"])
def test_tpu_loses_a_process(cloud, end):
  status, output = cloud.train(["76", end, "0", "0"])
  assert status == 0, output
  assert cloud.verbs() == [*MADE, "scp", "ssh", "ssh", "delete"]
  assert len(cloud.progress()) == 4


@pytest.mark.parametrize("end", ["1", "2"])
def test_tpu_run_with_an_error_is_not_repeated(cloud, end):
  status, output = cloud.train([end, end])
  assert status == 1
  assert cloud.verbs() == [*MADE, "delete"]
  assert "ended with the error above" in output


def test_tpu_gives_up(cloud):
  cloud.environment |= {"RESTARTS": "2"}
  status, output = cloud.train([], create={"fail": 9})
  assert status == 1
  assert cloud.verbs() == ["create"] * 3
  assert "gave up after 2 failures in a row" in output


def test_tpu_that_always_fails_is_replaced(cloud):
  status, output = cloud.train(["76"] * 10 + ["0", "0"])
  assert status == 0, output
  assert cloud.verbs().count("create") == 2


def test_tpu_is_followed_by_the_next(cloud):
  cloud.environment |= {"KEEP": "1"}
  first = cloud.start("tpu", *FLAGS, ends=["", ""])
  wait_for(lambda: len(cloud.progress()) == 2, first)
  os.killpg(first.pid, signal.SIGKILL)
  first.wait()
  second = cloud.start("tpu", *FLAGS)
  wait_for(lambda: cloud.verbs().count("ssh") == 4, second)
  time.sleep(0.5)
  second.terminate()
  status, output = cloud.end(second)
  assert status == 75
  assert len(cloud.progress()) == 2  # none was started again
  assert output.count("started at") == 2
  assert "is kept, and costs" in output
  assert "delete" not in cloud.verbs()


def test_tpu_dry_run_calls_nothing(cloud):
  process = cloud.start("--dry-run", "tpu", *FLAGS)
  status, output = cloud.end(process)
  assert status == 0
  assert not (cloud.folder / "calls").exists()
  verbs = re.findall(r"^gcloud compute tpus [a-z-]+ (\w+) ", output, re.M)
  assert verbs == ["create", "describe", "scp", "ssh", "ssh", "delete"]


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((), "give a name"),
    (("Tpu", *FLAGS), "give a name"),
    (("tpu",), "give --config=FILE"),
    (("tpu", "--config=x"), "give --workdir=runs/RUN"),
    (("tpu", "--config=x", "--workdir=/tmp/x"), "give --workdir=runs/RUN"),
  ],
)
def test_tpu_bad_arguments(cloud, arguments, message):
  process = cloud.start(*arguments)
  status, output = cloud.end(process)
  assert status == 1
  assert output.startswith("error: ") and message in output
  assert output.count("\n") == 1


@pytest.fixture
def slurm(tmp_path):
  """Runs the job script with a stand-in for srun that ends as it is told."""
  log = tmp_path / "log"
  executable(
    tmp_path / "srun", f'#!/bin/sh\necho "srun $*" >>{log}\nexit "$END"\n'
  )
  executable(tmp_path / "scontrol", f'#!/bin/sh\necho "scontrol $*" >>{log}\n')

  def submit(*arguments, **environment):
    log.write_text("")
    result = subprocess.run(
      ["bash", LAUNCH / "slurm.sbatch", *arguments],
      capture_output=True,
      text=True,
      env={"PATH": f"{tmp_path}:{os.environ['PATH']}"} | environment,
    )
    return result, log.read_text().splitlines()

  return submit


@pytest.mark.parametrize("end", ["0", "1", "2", "75", "76", "137"])
def test_slurm_queues_again_when_that_helps(slurm, end):
  result, calls = slurm("--a=b c", SLURM_JOB_ID="7", END=end)
  assert calls[0].endswith("-m jaxgan.main --coordinator=auto --a=b c")
  again = end not in ("0", "1", "2")
  assert calls[1:] == (["scontrol requeue 7"] if again else [])
  assert result.returncode == (0 if again else int(end))


def test_slurm_gives_up(slurm):
  result, calls = slurm(
    "--a", SLURM_JOB_ID="7", END="76", SLURM_RESTART_COUNT="100"
  )
  assert result.returncode == 76
  assert len(calls) == 1
  assert "no restarts are left" in result.stderr


def test_slurm_bad_and_dry(slurm):
  result, calls = slurm("--a")
  assert (result.returncode, calls) == (1, [])
  assert result.stderr == "error: submit this by sbatch\n"
  result, _ = slurm(SLURM_JOB_ID="7")
  assert result.returncode == 1
  result, calls = slurm("--dry-run", "--a")
  assert (result.returncode, calls) == (0, [])
  assert result.stdout.startswith("srun ")


def test_slurm_is_told_in_time():
  text = (LAUNCH / "slurm.sbatch").read_text()
  assert "#SBATCH --requeue\n" in text
  assert "#SBATCH --signal=TERM@120\n" in text


def test_skypilot_numbers_the_processes(tmp_path):
  text = (LAUNCH / "skypilot.yaml").read_text()
  task = yaml.safe_load(text)
  assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75, 76]
  executable(tmp_path / "venv/bin/python", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
  result = subprocess.run(
    ["bash", "-euc", task["run"]],
    capture_output=True,
    text=True,
    env={
      "PATH": os.environ["PATH"],
      "HOME": str(tmp_path),
      "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
      "SKYPILOT_NUM_NODES": "2",
      "SKYPILOT_NODE_RANK": "1",
      "FLAGS": "--config=x --workdir=/runs/x",
    },
  )
  assert result.stdout.split() == [
    "-m", "jaxgan.main", "--coordinator=10.0.0.1:8476", "--processes=2",
    "--process=1", "--config=x", "--workdir=/runs/x",
  ]  # fmt: skip


def test_the_container_copies_what_there_is():
  text = (LAUNCH / "Dockerfile").read_text()
  sources = re.findall(r"^COPY (.+) \S+$", text, re.M)
  names = " ".join(sources).split()
  assert "jaxgan" in names and "configs" in names
  sent = (LAUNCH / "Dockerfile.dockerignore").read_text().split()
  for name in names:
    assert (ROOT / name).exists()
    assert f"!{name}" in sent


def test_local_shows_what_it_would_do():
  result = subprocess.run(
    [LAUNCH / "local.sh", "--dry-run", "2", "--config=x", "--a=b c"],
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHON": "python"},
  )
  lines = result.stdout.splitlines()
  assert lines == [
    f"JAX_LOCAL_DEVICE_IDS={i} python -m jaxgan.main "
    f"--coordinator=127.0.0.1:PORT --processes=2 --process={i} --config=x "
    "--a=b c"
    for i in range(2)
  ]


def test_local_without_a_python():
  result = subprocess.run(
    [LAUNCH / "local.sh", "2", "--config=x"],
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHON": "nowhere"},
  )
  assert result.returncode == 1
  assert result.stderr == "error: PYTHON=nowhere is not found\n"


@pytest.mark.parametrize("arguments", [(), ("0", "-x"), ("two",), ("2",)])
def test_local_bad_arguments(arguments):
  result = subprocess.run(
    [LAUNCH / "local.sh", *arguments], capture_output=True, text=True
  )
  assert result.returncode == 1
  assert result.stderr.startswith("error: give the ")
  assert result.stderr.count("\n") == 1


def test_local_processes_are_lost_and_told_to_end(tmp_path):
  """Two processes: after all of it, the state is that of a quiet run."""
  quiet, run = tmp_path / "quiet", tmp_path / "run"

  def start(workdir):
    arguments = (
      f"--workdir={workdir}",
      *RUN,
      "--config.steps=300",
      "--config.checkpoint_every=10",
    )
    with (tmp_path / f"{workdir.name}.log").open("a") as log:
      return subprocess.Popen(
        [LAUNCH / "local.sh", "2", *arguments],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=os.environ
        | {
          "XLA_FLAGS": ONE_DEVICE,
          "PYTHON": sys.executable,
          "LOGS": str(tmp_path),
        },
      )

  def process(index):
    pattern = f"--process={index} --workdir={run} "
    found = subprocess.run(
      ["pgrep", "--full", "--newest", "--", pattern],
      capture_output=True,
      text=True,
    )
    return int(found.stdout)

  def again(launcher, text):
    """Waits for what the launcher says, and for a checkpoint after it."""
    wait_for(lambda: text in log_of(run), launcher)
    before = steps(run)
    wait_for(lambda: steps(run) not in ([], before), launcher)
    assert launcher.poll() is None, log_of(run)

  assert start(quiet).wait(300) == 0, log_of(quiet)
  launcher = start(run)
  again(launcher, "")
  os.kill(process(1), signal.SIGKILL)
  again(launcher, "starting all again (1)")
  os.kill(process(0), signal.SIGKILL)
  again(launcher, "starting all again (2)")
  # Told to one, it is heard by both; the launcher starts both again.
  os.kill(process(1), signal.SIGTERM)
  again(launcher, "starting all again (3)")
  began = time.monotonic()
  launcher.terminate()
  assert launcher.wait(30) == 75, log_of(run)
  print(f"saved and ended in {time.monotonic() - began:.1f} s")
  assert start(run).wait(300) == 0, log_of(run)
  assert digest(run) == digest(quiet)
  assert not (run / "damaged").exists()
