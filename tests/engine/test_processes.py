import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers.configs import load_config, small
from helpers.environment import CONFIGS, DEVICES, ONE_DEVICE, ROOT
from helpers.runs import rows
from helpers.session import once

from jaxgan import train
from jaxgan.engine import checkpoint
from jaxgan.engine.processes import ALONE, broadcast, connect, run_on_first
from jaxgan.errors import InputError
from jaxgan.evaluation import restored

# One of each algorithm; JAXGAN_LAYOUTS=all takes all.
NAMES = [path.stem for path in CONFIGS]
if os.environ.get("JAXGAN_LAYOUTS") != "all":
  NAMES = list({load_config(n).algorithm: n for n in NAMES}.values())


def free_port():
  with socket.socket() as s:
    s.bind(("", 0))
    return s.getsockname()[1]


def run_workers(tasks, folder, count=2, devices=4):
  """Trains what the tasks say in processes of their own."""
  path = folder / "tasks.json"
  path.write_text(
    json.dumps(
      [
        {
          "config": json.loads(config.to_json()),
          "workdir": str(workdir),
          "devices": of_each,
          **dict.fromkeys(flags, True),
        }
        for config, workdir, of_each, *flags in tasks
      ]
    )
  )
  xla_flags = f"{ONE_DEVICE} {DEVICES}{devices}"
  address = f"127.0.0.1:{free_port()}"
  workers, logs = [], []
  for i in range(count):
    logs.append(folder / f"{i}.log")
    with logs[i].open("w") as log:
      arguments = address, str(count), str(i), str(path)
      workers.append(
        subprocess.Popen(
          [
            sys.executable,
            ROOT / "tests" / "helpers" / "worker.py",
            *arguments,
          ],
          stdout=log,
          stderr=subprocess.STDOUT,
          env=os.environ
          | {
            "XLA_FLAGS": xla_flags,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(folder / "cache"),
          },
        )
      )
  try:
    for worker, log in zip(workers, logs, strict=True):
      assert worker.wait(500) == 0, log.read_text()[-3000:]
  finally:
    for worker in workers:
      worker.kill()
      worker.wait()


def assert_alike(found, expected):
  for a, b in zip(found, expected, strict=True):
    assert a.keys() == b.keys()
    for key in a.keys() - {"steps_per_second"}:
      assert a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-4), key


@pytest.fixture(scope="session")
def two_processes(request):
  """The runs of two processes of two devices, all from one start of them."""
  names = [
    item.callspec.params["name"]
    for item in request.session.items
    if item.originalname == "test_layouts_agree"
  ]

  def run(folder):
    folder.mkdir()
    run_workers([(small(n), folder / n, 2) for n in names], folder)

  return once("two_processes", run)


@pytest.mark.processes
@pytest.mark.parametrize("name", NAMES)
def test_layouts_agree(name, two_processes, trained):
  """Two processes of two devices, and one of four."""
  several, expected = two_processes / name, trained(name)
  assert_alike(rows(several), rows(expected))
  written, known = (
    {p.name for p in folder.iterdir() if "events" not in p.name}
    for folder in (several, expected)
  )
  assert written == known


@pytest.mark.processes
def test_one_device_agrees(trained, tmp_path):
  """With each algorithm, that is tested without a process of its own."""
  train(small("wgan_gp"), tmp_path / "run", jax.devices()[:1])
  assert_alike(rows(tmp_path / "run"), rows(trained("wgan_gp")))


@pytest.mark.processes
def test_a_checkpoint_fits_other_layouts(tmp_path):
  config = small("gan", steps=3, checkpoint_every=1)
  whole, saved, other = (
    tmp_path / name for name in ("1", "2x4_to_1", "1_to_2x4")
  )
  one = jax.devices()[:1]
  train(config, whole, one)
  train(small("gan"), other, one)
  apart = tmp_path / "apart"
  tasks = [
    (small("gan"), saved, 4),
    (config, other, 4),
    (small("gan"), apart, 4, "seeds"),
    (small("gan"), apart, 4, "classifier"),
  ]
  run_workers(tasks, tmp_path)
  logs = [(tmp_path / f"{index}.log").read_text() for index in range(2)]
  for log in logs:
    assert "have different configs" in log
  assert not apart.exists()
  # The first trained a classifier to evaluate with, and both have it.
  assert [log.count("training a classifier") for log in logs] == [1, 0]
  (trained,) = (tmp_path / "cache").glob("jaxgan/classifiers/*/config.json")
  digest = checkpoint.digest(restored.load(trained.parent).state)
  assert all(f"classifier {digest}" in log for log in logs)
  assert_alike(rows(other), rows(whole))
  found, expected = (restored.load(path, 2).state for path in (saved, whole))
  for a, b in zip(
    jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True
  ):
    np.testing.assert_allclose(a, b, atol=1e-4)
  train(config, saved, one)
  assert_alike(rows(saved), rows(whole))


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("here", 2, 0), "host:port"),
    ((":80", 2, 0), "host:port"),
    (("here:99999", 2, 0), "host:port"),
    (("here:80", None, 0), "--processes"),
    (("here:80", 2, None), "--process"),
    (("here:80", 2, 2), "number them from 0"),
    (("nowhere.invalid:80", 2, 1), "'nowhere.invalid:80': "),
    ((None, 2, 0), "--coordinator"),
  ],
)
def test_impossible_clusters_are_refused(arguments, message):
  with pytest.raises(InputError, match=message):
    connect(*arguments)


def test_a_port_in_use_is_refused():
  with socket.socket() as s:
    s.bind(("", 0))
    s.listen()
    port = s.getsockname()[1]
    with pytest.raises(InputError, match="in use"):
      connect(f"127.0.0.1:{port}", 2, 0)


def test_alone_a_process_agrees_with_itself():
  assert run_on_first(ALONE, lambda: {"a": 1}) == {"a": 1}
  tree = {"w": np.float32(-0.0)}
  assert broadcast(ALONE, tree) is tree
