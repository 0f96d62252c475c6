"""One of several processes that train: `worker.py ADDRESS COUNT INDEX TASKS`.

The file holds a list of tasks: a config, a workdir, and how many devices of
each process are used; perhaps that they have other "seeds", or need a
"classifier" of the data instead.
"""

import json
import pathlib
import sys

from ml_collections import ConfigDict

from jaxgan.engine.processes import connect
from jaxgan.evaluation import classifiers


def main(address: str, count: str, index: str, tasks: str) -> None:
  connect(address, int(count), int(index))
  import jax

  from jaxgan import train
  from jaxgan.algorithms.classifier import default_config
  from jaxgan.engine import checkpoint
  from jaxgan.errors import InputError

  own = [[] for _ in range(int(count))]
  for device in jax.devices():
    own[device.process_index].append(device)
  for task in json.loads(pathlib.Path(tasks).read_text()):
    devices = [d for part in own for d in part[: task["devices"]]]
    config = ConfigDict(task["config"])
    if "seeds" in task:
      config.seed = int(index)
    # Others than the first need not see the workdir.
    workdir = pathlib.Path(task["workdir"], "" if index == "0" else "none")
    if "classifier" in task:
      short = default_config("digits")
      short.steps = 2
      classifiers.default_config = lambda _, own=short: own
      state = classifiers.trained(config.data)[1].state
      print("classifier", checkpoint.digest(jax.device_get(state)))
      continue
    try:
      train(config.lock(), workdir, devices)
    except InputError as e:
      print(e)


if __name__ == "__main__":
  main(*sys.argv[1:])
