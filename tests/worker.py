"""One of several processes that train: `worker.py ADDRESS COUNT INDEX TASKS`.

The file holds a list of tasks: a config, a workdir, and how many devices of
each process are used.
"""

import json
import pathlib
import sys

from ml_collections import ConfigDict

from jaxgan.processes import connect


def main(address: str, count: str, index: str, tasks: str) -> None:
  connect(address, int(count), int(index))
  import jax

  from jaxgan.train import train

  own = [[] for _ in range(int(count))]
  for device in jax.devices():
    own[device.process_index].append(device)
  for task in json.loads(pathlib.Path(tasks).read_text()):
    devices = [d for part in own for d in part[: task["devices"]]]
    config = ConfigDict(task["config"]).lock()
    # Others than the first need not see the workdir.
    workdir = pathlib.Path(task["workdir"], "" if index == "0" else "none")
    train(config, workdir, devices)


if __name__ == "__main__":
  main(*sys.argv[1:])
