"""Networks of the reference code in PyTorch, by their files of weights.

Of the authors' code of CycleGAN and Pix2Pix: its ResNet and U-Net generators
(`latest_net_G.pth`) and its PatchGAN critics (`latest_net_D.pth`). Names and
shapes tell which network a file holds; then each of them is checked.
"""

import pathlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxgan.errors import InputError
from jaxgan.interop import weights

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


class Layer(NamedTuple):
  """A convolution of the published network.

  Attributes:
    kind: kind of our module, "Conv" or "ConvTranspose".
    group: name of the module that holds it.
    index: its name there; a norm after it has the next.
    shape: shape of its weight: `[F, C, h, w]`, or `[C, F, h, w]` if transposed.
    then: "norm" where one follows, else "bias" or "nothing", which it has.
  """

  kind: str
  group: str
  index: int
  shape: Shape
  then: str = "norm"


class Tensor(NamedTuple):
  """An entry of a file.

  Attributes:
    name: its name in the file.
    shape: its shape in the file.
    path: path of our variable; None where we have none.
    optional: whether it may be absent.
  """

  name: str
  shape: Shape
  path: tuple[str, str, str] | None = None
  optional: bool = False


class Architecture(NamedTuple):
  """The architecture of a network, recognised by names and shapes.

  Attributes:
    kind: its name in messages.
    config: its entry in a run's config.
    inputs: number of channels that the network takes.
    outputs: number of channels that it returns.
    layers: its layers, in the order of ours.
    note: difference of our network from the published one, if any.
  """

  kind: str
  config: dict[str, Any]
  inputs: int
  outputs: int
  layers: tuple[Layer, ...]
  note: str = ""


class Network(NamedTuple):
  """A network from a file.

  Attributes:
    path: the file.
    architecture: its architecture.
    params: parameters, as `models.init` returns them.
    model_state: model state, likewise; `{}` but for batch norm.
  """

  path: pathlib.Path
  architecture: Architecture
  params: dict[str, Any]
  model_state: dict[str, Any]


def read(path: str | pathlib.Path, player: str) -> Network:
  """Returns the network of a file.

  Args:
    path: see `weights.read`.
    player: "generator" or "critic", which it has to be.

  Raises:
    InputError: where it is no such network, or its shapes do not fit its names.
  """
  path = pathlib.Path(path)
  entries = weights.read(path)
  if all(name.startswith("module.") for name in entries):  # of DataParallel
    entries = {
      name.removeprefix("module."): value for name, value in entries.items()
    }
  shapes = {name: value.shape for name, value in entries.items()}
  kinds = [x for x in _KINDS if any(re.match(x[0], name) for name in shapes)]
  if not kinds:
    raise InputError(
      f"{path} is no network of the reference code in PyTorch: supported are "
      "its ResNet and U-Net generators (latest_net_G.pth) and its PatchGAN "
      "critics (latest_net_D.pth)"
    )
  _, kind, recognize = kinds[0]
  if not kind.endswith(player):
    wanted = {
      "generator": "ResNet or U-Net generator (latest_net_G.pth)",
      "critic": "PatchGAN critic (latest_net_D.pth)",
    }[player]
    raise InputError(f"{path} is a {kind}: as {player}, give a {wanted}")
  try:
    architecture = recognize(shapes)
    tensors = _tensors(architecture.layers, architecture.config["norm"])
    variables = _convert(entries, tensors)
  except InputError as e:
    raise InputError(f"{path} looks like a {kind}, but {e}") from e
  return Network(path, architecture, variables.pop("params"), variables)


def _resnet(shapes: Shapes) -> Architecture:
  """Recognises the generator of `models/cyclegan.py`."""
  blocks = 1 + max(_numbers(r"model\.(\d+)\.conv_block\.", shapes)) - 10
  up = 10 + blocks
  # A layer of dropout moves the second convolution of a block.
  dropout = any(
    name.endswith(".conv_block.6.weight") and len(shape) == 4
    for name, shape in shapes.items()
  )
  width, inputs = _kernel(shapes, "model.1", 7)
  outputs, _ = _kernel(shapes, f"model.{up + 7}", 7)

  def layers() -> Iterator[Layer]:
    yield Layer("Conv", "model", 1, (width, inputs, 7, 7))
    for i, w in ((4, width), (7, 2 * width)):
      yield Layer("Conv", "model", i, (2 * w, w, 3, 3))
    for i in range(10, up):
      for j in (1, 6 if dropout else 5):
        shape = 4 * width, 4 * width, 3, 3
        yield Layer("Conv", f"model.{i}.conv_block", j, shape)
    for i, w in ((up, 2 * width), (up + 3, width)):
      yield Layer("ConvTranspose", "model", i, (2 * w, w, 3, 3))
    yield Layer("Conv", "model", up + 7, (outputs, width, 7, 7), "bias")

  config = {
    "name": "cyclegan",
    "width": width,
    "blocks": blocks,
    "norm": _norm(shapes),
  }
  note = "its dropout is left out" if dropout else ""
  kind = f"ResNet, {blocks} blocks"
  return Architecture(kind, config, inputs, outputs, tuple(layers()), note)


def _unet(shapes: Shapes) -> Architecture:
  """Recognises the generator of `models/unet.py`."""
  downs = 2 + max(name.count(".3.model") for name in shapes)
  last, norm = downs - 1, _norm(shapes)
  width, inputs = _kernel(shapes, "model.model.0", 4)
  _, outputs = _kernel(shapes, "model.model.3", 4)

  def block(i: int) -> str:
    return "model.model.1" + ".model.3" * (i - 1) + ".model"

  def features(i: int) -> int:
    return width * min(2**i, 8)

  def layers() -> Iterator[Layer]:
    alone = "nothing" if norm == "batch" else "bias"
    yield Layer("Conv", "model.model", 0, (width, inputs, 4, 4), alone)
    for i in range(1, downs):
      shape = features(i), features(i - 1), 4, 4
      yield Layer("Conv", block(i), 1, shape, "norm" if i < last else alone)
    for i in range(last, 0, -1):
      # From below, beside what came down.
      both = features(i) if i == last else 2 * features(i)
      shape = both, features(i - 1), 4, 4
      yield Layer("ConvTranspose", block(i), 3 if i == last else 5, shape)
    shape = 2 * width, outputs, 4, 4
    yield Layer("ConvTranspose", "model.model", 3, shape, "bias")

  config = {"name": "unet", "width": width, "downs": downs, "norm": norm}
  return Architecture(
    f"U-Net, {downs} downs", config, inputs, outputs, tuple(layers())
  )


def _patchgan(shapes: Shapes) -> Architecture:
  """Recognises the critic of `models/patchgan.py`."""
  last = max(_numbers(r"model\.(\d+)\.", shapes))
  n = max(1, (last - 2) // 3)
  width, inputs = _kernel(shapes, "model.0", 4)

  def layers() -> Iterator[Layer]:
    yield Layer("Conv", "model", 0, (width, inputs, 4, 4), "bias")
    channels = width
    for i in range(1, n + 1):
      features = width * min(2**i, 8)
      yield Layer("Conv", "model", 3 * i - 1, (features, channels, 4, 4))
      channels = features
    yield Layer("Conv", "model", 3 * n + 2, (1, channels, 4, 4), "bias")

  config = {
    "name": "patchgan",
    "width": width,
    "layers": n,
    "norm": _norm(shapes),
  }
  return Architecture(
    f"PatchGAN, {n} layers", config, inputs, 1, tuple(layers())
  )


# By how a name begins, the first that fits.
_KINDS: tuple[tuple[str, str, Callable[[Shapes], Architecture]], ...] = (
  (r"model\.model\.", "U-Net generator", _unet),
  (r"model\.\d+\.conv_block\.", "ResNet generator", _resnet),
  (r"model\.\d+\.", "PatchGAN critic", _patchgan),
)


def _numbers(pattern: str, shapes: Shapes) -> Iterator[int]:
  return (int(x[1]) for name in shapes if (x := re.match(pattern, name)))


def _norm(shapes: Shapes) -> str:
  """Returns the norm: instance norm is published without weights."""
  weights = [x for name, x in shapes.items() if name.endswith(".weight")]
  return "batch" if any(len(shape) == 1 for shape in weights) else "instance"


def _kernel(shapes: Shapes, layer: str, size: int) -> tuple[int, int]:
  """Returns the first two sides of a kernel's shape."""
  name = f"{layer}.weight"
  expected = f"[any, any, {size}, {size}]"
  if name not in shapes:
    raise InputError(f"has no {name} {expected}")
  if len(shapes[name]) != 4:
    raise InputError(f"its {name} is {list(shapes[name])}, not {expected}")
  return shapes[name][:2]


def _tensors(layers: tuple[Layer, ...], norm: str) -> Iterator[Tensor]:
  """Yields the entries of a file with these layers.

  Our modules are numbered in their order, each kind by itself.
  """
  counts = Counter()

  def module(kind: str) -> str:
    counts[kind] += 1
    return f"{kind}_{counts[kind] - 1}"

  for kind, group, index, shape, then in layers:
    name, ours = f"{group}.{index}", module(kind)
    features = (shape[1 if kind == "ConvTranspose" else 0],)
    yield Tensor(f"{name}.weight", shape, ("params", ours, "kernel"))
    if then == "bias":
      yield Tensor(f"{name}.bias", features, ("params", ours, "bias"))
    if then != "norm":
      continue
    after = f"{group}.{index + 1}"
    if norm == "batch":
      ours = module("BatchNorm")
      for theirs, path in (
        ("weight", ("params", ours, "scale")),
        ("bias", ("params", ours, "bias")),
        ("running_mean", ("batch_stats", ours, "mean")),
        ("running_var", ("batch_stats", ours, "var")),
      ):
        yield Tensor(f"{after}.{theirs}", features, path)
    else:
      # The norm subtracts the bias again, and old files hold statistics that
      # it does not use.
      yield Tensor(f"{name}.bias", features)
      for theirs in ("running_mean", "running_var"):
        yield Tensor(f"{after}.{theirs}", features, optional=True)
    yield Tensor(f"{after}.num_batches_tracked", (), optional=True)


def _convert(
  entries: Mapping[str, np.ndarray], tensors: Iterator[Tensor]
) -> dict[str, Any]:
  """Returns our variables of the entries of a file.

  Raises:
    InputError: where an entry is missing, of another shape, or unexpected.
  """
  left, variables = dict(entries), {}
  for name, shape, path, optional in tensors:
    if name not in left:
      if optional:
        continue
      raise InputError(f"has no {name} {list(shape)}")
    value = left.pop(name)
    if value.shape != shape:
      raise InputError(f"its {name} is {list(value.shape)}, not {list(shape)}")
    if not np.isfinite(value).all():
      raise InputError(f"its {name} holds values that are not finite")
    if path:
      # A kernel of PyTorch, transposed or not, is that of ours backwards.
      value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
      variables[path] = np.ascontiguousarray(value, np.float32)
  for name, value in left.items():
    raise InputError(
      f"its {name} {list(value.shape)} is unexpected: such a network has none"
    )
  return unflatten_dict(variables)
