"""Logs for Weights & Biases, read back from where it keeps them offline."""

import json
import struct
import sys

import pytest
from helpers.configs import load_config, shrink
from helpers.environment import ROOT
from helpers.runs import command

from jaxgan import train
from jaxgan.engine import logs
from jaxgan.errors import InputError

BLOCK = 1 << 15


def records(path):
  """The records of a `.wandb` file: a log in blocks, as LevelDB's."""
  internal = pytest.importorskip("wandb.proto.wandb_internal_pb2")
  data, at, parts = path.read_bytes(), 7, b""
  while at + 7 <= len(data):
    left = BLOCK - at % BLOCK
    if left < 7:
      at += left
      continue
    _, length, kind = struct.unpack_from("<IHB", data, at)
    parts += data[at + 7 : at + 7 + length]
    at += 7 + length
    if kind in (1, 4):  # whole, or the last part
      record = internal.Record()
      record.ParseFromString(parts)
      parts = b""
      yield record


def run_offline(folder, steps):
  result = command(
    "main", f"--config={ROOT}/configs/nsgan.py", "--workdir=run",
    "--config.wandb=offline", f"--config.steps={steps}", "--config.log_every=2",
    "--config.sample_every=4", "--config.batch_size=16", "--config.seed=3",
    "--config.generator.hidden=(8,)", "--config.critic.hidden=(8,)",
    cwd=folder,
  )  # fmt: skip
  assert result.returncode == 0, result.stderr


@pytest.mark.oracle
def test_wandb_offline_holds_all_that_the_other_logs_hold(tmp_path):
  pytest.importorskip("wandb")
  workdir = tmp_path / "run"
  run_offline(tmp_path, 4)
  run_offline(tmp_path, 8)  # goes on
  files = sorted((workdir / "wandb").glob("offline-run-*/*.wandb"))
  assert len(files) == 2
  logged, configs, ids, pictures = {}, [], set(), {}
  for file in files:
    for record in records(file):
      kind = record.WhichOneof("record_type")
      if kind == "run":
        ids.add(record.run.run_id)
        assert record.run.project == "jaxgan"
        assert record.run.display_name == "run"
        configs.append(
          {x.key: json.loads(x.value_json) for x in record.run.config.update}
        )
      elif kind == "history":
        row = {
          ".".join(x.nested_key) or x.key: json.loads(x.value_json)
          for x in record.history.item
        }
        step = row["_step"]
        logged[step] = {k: x for k, x in row.items() if k[0] not in "_"}
        if "samples.path" in row:
          pictures[step] = file.parent / "files" / row["samples.path"]
  assert len(ids) == 1  # of one run, in two parts
  stored = json.loads((workdir / "config.json").read_text())
  for key, value in stored.items():
    assert configs[-1][key] == value
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  rows = {row.pop("step"): row for row in map(json.loads, lines)}
  assert list(rows) == [2, 4, 6, 8]
  for step, row in rows.items():
    scalars = {k: x for k, x in logged[step].items() if "samples" not in k}
    assert scalars == pytest.approx(row)
  assert set(pictures) == {4, 8}
  for step, path in pictures.items():
    # It writes them anew, from the pixels.
    from PIL import Image, ImageChops

    own = Image.open(workdir / "samples" / f"{step:08d}.png")
    assert not ImageChops.difference(own, Image.open(path)).getbbox()


def small(**values):
  config = shrink(load_config("nsgan"))
  config.steps = 1
  config.update_from_flattened_dict(values)
  return config


@pytest.mark.slow
def test_by_default_nothing_of_it_is_imported_or_written(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail
  train(small(), tmp_path)
  assert not (tmp_path / "wandb").exists()


def test_a_missing_package_is_named_before_anything_is_written(
  tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, "wandb", None)
  workdir = tmp_path / "run"
  with pytest.raises(InputError, match=r"pip install 'jaxgan\[wandb\]'"):
    train(small(wandb="offline"), workdir)
  assert not workdir.exists()
  # Nor is a folder of that name in sys.path the package.
  monkeypatch.delitem(sys.modules, "wandb")
  (tmp_path / "wandb").mkdir()
  monkeypatch.setattr(sys, "path", [str(tmp_path)])
  with pytest.raises(InputError, match=r"pip install 'jaxgan\[wandb\]'"):
    logs.import_wandb(small(wandb="online"))
  monkeypatch.delitem(sys.modules, "wandb", raising=False)


def test_only_two_modes_are_known(tmp_path):
  with pytest.raises(InputError, match="wandb='yes': choose one of"):
    train(small(wandb="yes"), tmp_path)


@pytest.mark.oracle
def test_without_a_login_online_is_refused(tmp_path, monkeypatch):
  pytest.importorskip("wandb")
  for key in ("WANDB_API_KEY", "WANDB_MODE"):
    monkeypatch.delenv(key, raising=False)
  for key in ("HOME", "NETRC", "WANDB_CONFIG_DIR"):
    monkeypatch.setenv(key, str(tmp_path / "nobody"))
  monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
  result = command(
    "main", f"--config={ROOT}/configs/nsgan.py", "--workdir=run",
    "--config.wandb=online", "--config.steps=1", cwd=tmp_path,
  )  # fmt: skip
  assert result.returncode == 1
  (line,) = (x for x in result.stderr.splitlines() if x.startswith("error"))
  assert "wandb='online'" in line
