"""Runs commands in forks of a process that has imported all but them.

Each line of the input is a request in JSON; each line of the output is the
exit status of one. A fork is as a new process without the seconds of imports:
no array was made before it, so JAX has not started.
"""

import json
import os
import runpy
import sys

# What the commands import.
import jaxgan.applications.report
import jaxgan.cli
import jaxgan.evaluation.samples
import jaxgan.interop.weights
import jaxgan.train  # noqa: F401


def become(request: dict) -> None:
  """Makes this fork what `python -m` would have started."""
  for descriptor, path in ((1, request["stdout"]), (2, request["stderr"])):
    os.dup2(os.open(path, os.O_WRONLY), descriptor)
  os.chdir(request["cwd"])
  os.environ.clear()
  os.environ.update(request["environment"])
  module, *arguments = request["command"]
  sys.argv[1:] = arguments
  sys.path[0] = request["cwd"]
  runpy.run_module(module, run_name="__main__", alter_sys=True)


for line in sys.stdin:
  pid = os.fork()
  if not pid:
    become(json.loads(line))
    break
  status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
  print(status, flush=True)
