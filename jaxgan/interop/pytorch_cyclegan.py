"""Networks of the reference code in PyTorch, by their files of weights.

Of the authors' code of CycleGAN and Pix2Pix: ResNet and U-Net generators
(`latest_net_G.pth`) and PatchGAN critics (`latest_net_D.pth`). Names and shapes
tell which network a file holds; then each of them is checked.
"""

import pathlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxgan.errors import InputError
from jaxgan.interop import weights
from jaxgan.interop.weights import Tensor

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
  """A network from a file, with variables as `models.init` returns them."""

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
    InputError: where it is another network, or its shapes do not fit.
  """
  path = pathlib.Path(path)
  entries = weights.read(path)
  if all(name.startswith("module.") for name in entries):  # of DataParallel
    entries = {name.removeprefix("module."): x for name, x in entries.items()}
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
    wanted = "PatchGAN critic (latest_net_D.pth)"
    if player == "generator":
      wanted = "ResNet or U-Net generator (latest_net_G.pth)"
    raise InputError(f"{path} is a {kind}: as {player}, give a {wanted}")
  try:
    architecture = recognize(shapes)
    tensors = _tensors(architecture.layers, architecture.config["norm"])
    variables = weights.convert(entries, tensors)
  except InputError as e:
    raise InputError(f"{path} looks like a {kind}, but {e}") from e
  return Network(path, architecture, variables.pop("params"), variables)


def _resnet(shapes: Shapes) -> Architecture:
  """Recognises the generator of `models/cyclegan.py`."""
  blocks = max(_numbers(r"model\.(\d+)\.conv_block\.", shapes)) - 9
  up = 10 + blocks
  # A layer of dropout moves the second convolution of a block.
  second = [x for n, x in shapes.items() if n.endswith("conv_block.6.weight")]
  dropout = any(len(shape) == 4 for shape in second)
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

  norm = _norm(shapes)
  config = {"name": "cyclegan", "width": width, "blocks": blocks, "norm": norm}
  note = "its dropout is left out" if dropout else ""
  kind = f"ResNet, {blocks} blocks"
  return Architecture(kind, config, inputs, outputs, tuple(layers()), note)


def _unet(shapes: Shapes) -> Architecture:
  """Recognises the generator of `models/unet.py`."""
  downs = 2 + max(name.count(".3.model") for name in shapes)
  last, norm = downs - 1, _norm(shapes)
  width, inputs = _kernel(shapes, "model.model.0", 4)
  _, outputs = _kernel(shapes, "model.model.3", 4)

  blocks = ["model.model.1" + ".model.3" * i + ".model" for i in range(last)]
  features = [width * min(2**i, 8) for i in range(downs)]

  def layers() -> Iterator[Layer]:
    alone = "nothing" if norm == "batch" else "bias"
    yield Layer("Conv", "model.model", 0, (width, inputs, 4, 4), alone)
    for i in range(1, downs):
      shape, then = (features[i], features[i - 1], 4, 4), "norm"
      yield Layer("Conv", blocks[i - 1], 1, shape, then if i < last else alone)
    for i in range(last, 0, -1):
      # From below, beside the output of the way down.
      both, index = (features[i], 3) if i == last else (2 * features[i], 5)
      shape = both, features[i - 1], 4, 4
      yield Layer("ConvTranspose", blocks[i - 1], index, shape)
    shape = 2 * width, outputs, 4, 4
    yield Layer("ConvTranspose", "model.model", 3, shape, "bias")

  config = {"name": "unet", "width": width, "downs": downs, "norm": norm}
  kind = f"U-Net, {downs} downs"
  return Architecture(kind, config, inputs, outputs, tuple(layers()))


def _patchgan(shapes: Shapes) -> Architecture:
  """Recognises the critic of `models/patchgan.py`."""
  last = max(_numbers(r"model\.(\d+)\.", shapes))
  n = max(1, (last - 2) // 3)
  width, inputs = _kernel(shapes, "model.0", 4)

  def layers() -> Iterator[Layer]:
    features = [width * min(2**i, 8) for i in range(n + 1)]
    yield Layer("Conv", "model", 0, (width, inputs, 4, 4), "bias")
    for i in range(1, n + 1):
      shape = features[i], features[i - 1], 4, 4
      yield Layer("Conv", "model", 3 * i - 1, shape)
    yield Layer("Conv", "model", 3 * n + 2, (1, features[n], 4, 4), "bias")

  norm = _norm(shapes)
  config = {"name": "patchgan", "width": width, "layers": n, "norm": norm}
  kind = f"PatchGAN, {n} layers"
  return Architecture(kind, config, inputs, 1, tuple(layers()))


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
  ranks = {len(x) for name, x in shapes.items() if name.endswith(".weight")}
  return "batch" if 1 in ranks else "instance"


def _kernel(shapes: Shapes, layer: str, size: int) -> tuple[int, int]:
  """Returns the first two sides of the shape of a layer's square kernel."""
  name = f"{layer}.weight"
  expected = f"[any, any, {size}, {size}]"
  if name not in shapes:
    raise InputError(f"it has no {name} {expected}")
  if len(shapes[name]) != 4:
    raise InputError(f"its {name} is {list(shapes[name])}, not {expected}")
  return shapes[name][:2]


def _tensors(layers: tuple[Layer, ...], norm: str) -> Iterator[Tensor]:
  """Yields a file's tensors; our modules are numbered, each kind by itself."""
  counts = Counter()

  def module(kind: str) -> str:
    counts[kind] += 1
    return f"{kind}_{counts[kind] - 1}"

  for kind, group, index, shape, then in layers:
    name, after = f"{group}.{index}", f"{group}.{index + 1}"
    ours, features = module(kind), (shape[kind == "ConvTranspose"],)
    yield Tensor(f"{name}.weight", shape, ("params", ours, "kernel"))
    if then == "bias":
      yield Tensor(f"{name}.bias", features, ("params", ours, "bias"))
    if then == "norm" and norm == "batch":
      ours = module("BatchNorm")
      for theirs, path in (
        ("weight", ("params", ours, "scale")),
        ("bias", ("params", ours, "bias")),
        ("running_mean", ("batch_stats", ours, "mean")),
        ("running_var", ("batch_stats", ours, "var")),
      ):
        yield Tensor(f"{after}.{theirs}", features, path)
    elif then == "norm":
      # The norm subtracts the bias again, and old files hold statistics that
      # it does not use.
      yield Tensor(f"{name}.bias", features)
      for theirs in ("running_mean", "running_var"):
        yield Tensor(f"{after}.{theirs}", features, optional=True)
