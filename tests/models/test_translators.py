"""The networks that translate images, against PyTorch and the papers."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.errors import InputError
from jaxgan.models import cyclegan, patchgan, small_translator, unet
from jaxgan.models.layers.padding import pad_to_multiple, reflect


def shape(network, *sizes, **others):
  """That of the result for images `[1, *sizes]`, without computing it."""
  x = jnp.zeros((1, *sizes))
  return jax.eval_shape(
    lambda: network.init_with_output(jax.random.key(0), x, train=True, **others)
  )[0].shape


def count(network, *sizes):
  x = jnp.zeros((1, *sizes))
  params = jax.eval_shape(
    lambda: network.init(jax.random.key(0), x, train=True)
  )
  return sum(np.prod(x.shape) for x in jax.tree.leaves(params["params"]))


def build(network, x):
  """Variables, and the network as a function `(x, **others)` of them."""
  variables = jax.jit(partial(network.init, train=True))(jax.random.key(0), x)
  # Weights of a size at which every layer counts, and biases too.
  leaves, tree = jax.tree.flatten(variables["params"])
  rng = np.random.default_rng(1)
  params = [
    np.asarray(8 * x + 0.2 * rng.normal(size=x.shape), "float32")
    for x in leaves
  ]
  variables = {**variables, "params": jax.tree.unflatten(tree, params)}
  mutable = [name for name in variables if name != "params"]
  apply = jax.jit(partial(network.apply, train=True, mutable=mutable))
  return variables, lambda x, **others: apply(variables, x, **others)[0]


def images(*shape):
  x = np.random.default_rng(0).uniform(-1, 1, shape)
  return x.astype("float32")


# Borders.


@pytest.mark.parametrize("sides", [(8, 8), (4, 12), (16, 8)])
def test_sides_that_fit_are_left_alone(sides):
  x = images(2, *sides, 3)
  larger, cut = pad_to_multiple(x, 4)
  np.testing.assert_array_equal(larger, x)
  np.testing.assert_array_equal(cut(larger), x)


@pytest.mark.parametrize(
  ("sides", "multiple", "expected"),
  [
    ((5, 8), 4, (8, 8)),
    ((2, 3), 4, (4, 4)),
    ((7, 13), 2, (8, 14)),
    ((9, 6), 8, (16, 8)),
    ((86, 257), 256, (256, 512)),
  ],
)
def test_other_sides_are_reflected_and_cut_back(sides, multiple, expected):
  x = images(1, *sides, 1)
  larger, cut = pad_to_multiple(x, multiple)
  assert larger.shape == (1, *expected, 1)
  np.testing.assert_array_equal(cut(larger), x)
  # Row i of the larger image is row |i - top| or so: with no edge repeated.
  rows, columns = (
    [
      period - abs(period - (i - (new - old) // 2) % (2 * period))
      for i in range(new)
    ]
    for old, new, period in (
      (old, new, old - 1) for old, new in zip(sides, expected, strict=True)
    )
  )
  np.testing.assert_array_equal(larger, x[:, rows][:, :, columns])


def test_cut_takes_maps_of_other_channels():
  _, cut = pad_to_multiple(images(1, 5, 6, 1), 4)
  assert cut(jnp.zeros((2, 8, 8, 7))).shape == (2, 5, 6, 7)


@pytest.mark.parametrize(
  ("multiple", "given", "least"),
  [(2, 2, 2), (4, 2, 2), (4, 5, 5), (16, 2, 6), (256, 2, 86)],
)
def test_the_least_side(multiple, given, least):
  def enlarged(*sides):
    x = jax.ShapeDtypeStruct((1, *sides, 1), "float32")
    return jax.eval_shape(
      lambda x: pad_to_multiple(x, multiple, given)[0], x
    ).shape[1:3]

  wide = 2 * multiple
  for side in range(least, 3 * multiple):
    assert enlarged(side, wide) == (-(-side // multiple) * multiple, wide)
  for sides in ((least - 1, wide), (wide, least - 1)):
    with pytest.raises(InputError, match=f"sides of {least} or more"):
      pad_to_multiple(jnp.zeros((1, *sides, 1)), multiple, given)


def test_reflect():
  x = jnp.arange(6.0).reshape(1, 2, 3, 1)
  expected = [[4, 3, 4, 5, 4], [1, 0, 1, 2, 1], [4, 3, 4, 5, 4],
              [1, 0, 1, 2, 1]]  # fmt: skip
  np.testing.assert_array_equal(reflect(x, 1)[0, ..., 0], expected)


# Sizes.

GENERATORS = {
  "cyclegan": partial(cyclegan.Generator, width=2, blocks=1),
  "small_translator": partial(
    small_translator.Generator, width=2, kernel_init="normal"
  ),
  "unet": partial(unet.Generator, width=2, downs=3),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_images_keep_their_size(name):
  for sides in ((8, 8), (5, 16), (9, 7), (23, 12)):
    for before, after in ((1, 3), (3, 1)):
      network = GENERATORS[name](channels=after)
      assert shape(network, *sides, before) == (1, *sides, after)


@pytest.mark.parametrize(
  ("name", "least"), [("cyclegan", 5), ("small_translator", 2), ("unet", 4)]
)
def test_the_smallest_image_of_each_generator(name, least):
  network = GENERATORS[name](channels=1)
  assert shape(network, least, least, 1) == (1, least, least, 1)
  with pytest.raises(InputError, match=f"sides of {least} or more"):
    shape(network, least - 1, 99, 1)


def test_the_unet_of_the_paper_names_its_least_side():
  network = unet.Generator(channels=3)
  with pytest.raises(InputError, match="64x64 .* sides of 86 or more"):
    shape(network, 64, 64, 3)
  assert shape(network, 86, 300, 3) == (1, 86, 300, 3)


@pytest.mark.parametrize(
  ("sides", "layers"), [((23, 64), 3), ((64, 11), 2), ((6, 9), 3), ((7, 7), 2)]
)
def test_patchgan_names_what_would_do(sides, layers):
  with pytest.raises(InputError) as caught:
    shape(patchgan.Critic(width=1, layers=layers), *sides, 1)
  message = str(caught.value)
  assert f"images of {sides[0]}x{sides[1]}" in message
  assert f"a critic of {layers} layers" in message
  least, fewer = map(
    int, re.findall(r"sides of (\d+) .*layers=(\d+)", message)[0]
  )
  enough = shape(patchgan.Critic(width=1, layers=layers), least, least, 1)
  assert enough == (1, 1, 1)
  assert fewer < layers
  assert min(shape(patchgan.Critic(width=1, layers=fewer), *sides, 1)) >= 1
  # No fewer than it takes.
  if fewer + 1 < layers:
    with pytest.raises(InputError):
      shape(patchgan.Critic(width=1, layers=fewer + 1), *sides, 1)


@pytest.mark.parametrize(
  ("sides", "layers", "patches"),
  [((256, 256), 3, (30, 30)), ((16, 16), 2, (2, 2)), ((31, 46), 1, (13, 21))],
)
def test_patches(sides, layers, patches):
  # (256 / 8 - 2): each layer of stride 1 takes one away.
  network = patchgan.Critic(width=1, layers=layers)
  assert shape(network, *sides, 3) == (1, *patches)


@pytest.mark.parametrize(("layers", "field"), [(3, 70), (2, 34), (1, 16)])
def test_receptive_fields(layers, field):
  network = patchgan.Critic(width=1, layers=layers, norm="none")
  x = jnp.ones((1, 96, 80 + field, 1))
  params, _ = build(network, x)
  # Nothing cancels, and no unit is off.
  params = jax.tree.map(lambda p: np.abs(p) + 0.01, params)

  def logit(x):
    patches = network.apply(params, x, train=True)[0]
    return patches[tuple(n // 2 for n in patches.shape)]

  slope = jax.jit(jax.grad(logit))(x)
  seen = slope[0, :, :, 0] > 0
  assert seen.any(0).sum() == seen.any(1).sum() == field
  assert seen.sum() == field**2


# Parameters.


@pytest.mark.slow
def test_reference_parameters():
  # The sums over the layers of the authors' code for PyTorch (which prints
  # 11.378 M, 54.414 M and 2.765 M), less the biases before instance norm.
  channels = [64, 128, 256]
  inner = 2 * 9 * (64 * 128 + 128 * 256)  # there and back
  resnet = 49 * 3 * 64 + inner + 9 * 2 * 9 * 256**2 + 49 * 64 * 3 + 3
  biases = 2 * 64 + 2 * 128 + 256 + 18 * 256
  assert (resnet, resnet + biases) == (11_372_931, 11_378_179)
  assert count(cyclegan.Generator(channels=3), 256, 256, 3) == resnet

  channels = [3, 64, 128, 256, *[512] * 5]
  pairs = list(zip(channels, channels[1:], strict=False))
  down = sum(16 * a * b for a, b in pairs) + 2 * sum(channels[2:-1])
  # On the way up, but for the innermost, from twice as many.
  up = sum(16 * a * 2 * b for a, b in pairs[:-1]) + 16 * 512 * 512 + 3
  up += 2 * sum(channels[1:-1])
  assert down + up == 54_413_955
  assert count(unet.Generator(channels=3), 256, 256, 3) == down + up

  channels = [64, 128, 256, 512]
  inner = sum(16 * a * b for a, b in zip(channels, channels[1:], strict=False))
  critic = 16 * 3 * 64 + 64 + inner + 16 * 512 + 1
  assert (critic, critic + sum(channels[1:])) == (2_763_841, 2_764_737)
  assert count(patchgan.Critic(), 256, 256, 3) == critic


# Values, against the networks of the authors' code for PyTorch.


def build_reference(torch, network, channels):
  """The layers in their order, and the calls that use them, for PyTorch."""
  nn = torch.nn
  norms = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": lambda _: nn.Identity(),
  }
  norm, bias, width = norms[network.norm], network.norm == "none", network.width

  def convolution(a, b, k, stride, padding, bias=bias):
    return nn.Conv2d(a, b, k, stride, padding, bias=bias)

  def transposed(a, b, k, extra, bias=bias):
    return nn.ConvTranspose2d(a, b, k, 2, 1, extra, bias=bias)

  if isinstance(network, cyclegan.Generator):

    class Block(nn.Module):
      def __init__(self, n):
        super().__init__()
        self.body = nn.Sequential(
          nn.ReflectionPad2d(1), convolution(n, n, 3, 1, 0), norm(n),
          nn.ReLU(), nn.ReflectionPad2d(1), convolution(n, n, 3, 1, 0),
          norm(n),
        )  # fmt: skip

      def forward(self, x):
        return x + self.body(x)

    w = width
    return nn.Sequential(
      nn.ReflectionPad2d(3), convolution(channels, w, 7, 1, 0), norm(w),
      nn.ReLU(), convolution(w, 2 * w, 3, 2, 1), norm(2 * w), nn.ReLU(),
      convolution(2 * w, 4 * w, 3, 2, 1), norm(4 * w), nn.ReLU(),
      *[Block(4 * w) for _ in range(network.blocks)],
      transposed(4 * w, 2 * w, 3, 1), norm(2 * w), nn.ReLU(),
      transposed(2 * w, w, 3, 1), norm(w), nn.ReLU(), nn.ReflectionPad2d(3),
      convolution(w, network.channels, 7, 1, 0, True), nn.Tanh(),
    )  # fmt: skip

  if isinstance(network, patchgan.Critic):
    sizes = [width * min(2**i, 8) for i in range(network.layers + 1)]
    layers = [convolution(channels, width, 4, 2, 1, True), nn.LeakyReLU(0.2)]
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
      stride = 2 if i < network.layers else 1
      layers += [convolution(a, b, 4, stride, 1), norm(b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, convolution(sizes[-1], 1, 4, 1, 1, True))

  sizes = [width * min(2**i, 8) for i in range(network.downs)]
  last = network.downs - 1
  instance = network.norm != "batch"  # the code keeps the bias where not

  class UNet(nn.Module):
    def __init__(self):
      super().__init__()
      self.down = nn.ModuleList(
        convolution(a, b, 4, 2, 1, instance if i in (0, last) else bias)
        for i, (a, b) in enumerate(zip([channels, *sizes], sizes, strict=False))
      )
      self.down_norm = nn.ModuleList(norm(n) for n in sizes[1:-1])
      self.up = nn.ModuleList(
        transposed(
          sizes[i] * (1 if i == last else 2),
          sizes[i - 1] if i else network.channels,
          4,
          0,
          bias if i else True,
        )
        for i in range(last, -1, -1)
      )
      self.up_norm = nn.ModuleList(norm(n) for n in sizes[-2::-1])

    def block(self, x, i, kept):
      y = self.down[i](nn.functional.leaky_relu(x, 0.2) if i else x)
      if 0 < i < last:
        y = self.down_norm[i - 1](y)
      if i < last:
        y = self.block(y, i + 1, kept)
      y = self.up[last - i](nn.functional.relu(y))
      if i == 0:
        return torch.tanh(y)
      y = self.up_norm[last - i](y)
      if i in kept:  # as torch.nn.Dropout(0.5), these units being drawn
        y = y * kept[i] / 0.5
      return torch.cat([x, y], 1)

    def forward(self, x, kept):
      return self.block(x, 0, kept)

  return UNet()


def copy_weights(torch, variables, reference):
  """Puts our convolutions and scales into the layers of PyTorch, in order."""
  params = variables["params"]

  def ours(kind):
    names = [name for name in params if name.startswith(f"{kind}_")]
    return iter(
      [params[n] for n in sorted(names, key=lambda n: int(n.split("_")[1]))]
    )

  kinds = {
    torch.nn.Conv2d: ours("Conv"),
    torch.nn.ConvTranspose2d: ours("ConvTranspose"),
    torch.nn.BatchNorm2d: ours("BatchNorm"),
  }
  for layer in reference.modules():
    if type(layer) in kinds:
      own = next(kinds[type(layer)])
      weight = np.array(own.get("kernel", own.get("scale")))
      if weight.ndim == 4:  # [h, w, C, F] -> [F, C, h, w]
        weight = weight.transpose(3, 2, 0, 1)
      assert layer.weight.shape == weight.shape
      assert (layer.bias is not None) == ("bias" in own)
      layer.weight.data = torch.tensor(weight)
      if "bias" in own:
        layer.bias.data = torch.tensor(np.array(own["bias"]))
  for rest in kinds.values():
    assert next(rest, None) is None  # no layer is left


@pytest.mark.oracle
@pytest.mark.parametrize(
  ("network", "sides"),
  [
    (cyclegan.Generator(2, width=3, blocks=2, axis=None), (8, 12)),
    (unet.Generator(2, width=1, downs=7, axis=None), (128, 128)),
    (unet.Generator(1, width=2, downs=3, norm="instance"), (16, 24)),
    (unet.Generator(1, width=2, downs=3, norm="none"), (8, 16)),
    (patchgan.Critic(width=1, layers=5), (96, 128)),
    (patchgan.Critic(width=2, layers=1, norm="none"), (13, 10)),
  ],
  ids=lambda value: (
    f"{type(value).__module__.split('.')[-1]} {value.norm}"
    if hasattr(value, "norm")
    else "x".join(map(str, value))
  ),
)
def test_values_against_torch(network, sides):
  torch = pytest.importorskip("torch")
  x = images(3, *sides, 2)
  variables, apply = build(network, x)
  others, given = {}, ()
  if isinstance(network, unet.Generator):
    noise = network.noise(jax.random.split(jax.random.key(2), 3), x.shape[1:])
    others = {"noise": noise}
    kept = jax.tree.map(
      lambda kept: torch.tensor(np.array(kept.transpose(0, 3, 1, 2), "f4")),
      noise,
    )
    given = (kept,)
  found = apply(x, **others)
  reference = build_reference(torch, network, 2).train()
  copy_weights(torch, variables, reference)
  with torch.no_grad():
    expected = reference(torch.tensor(x.transpose(0, 3, 1, 2)), *given)
  expected = expected.numpy().transpose(0, 2, 3, 1)
  if isinstance(network, patchgan.Critic):
    expected = expected[..., 0]
  assert expected.std() > 0.1  # and no tanh is saturated:
  assert np.abs(expected).mean() < 0.95 * np.abs(expected).max()
  scale = np.abs(expected).max()
  np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


@pytest.mark.oracle
def test_small_translator_against_torch():
  torch = pytest.importorskip("torch")
  network = small_translator.Generator(
    3, width=3, norm="none", kernel_init="normal"
  )
  x = images(2, 8, 6, 1)
  variables, apply = build(network, x)
  nn, w = torch.nn, 3
  reference = nn.Sequential(
    nn.Conv2d(1, w, 3, 1, 1), nn.ReLU(), nn.Conv2d(w, 2 * w, 4, 2, 1),
    nn.ReLU(), nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.ReLU(),
    nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.ReLU(),
    nn.Conv2d(w, 3, 3, 1, 1), nn.Tanh(),
  )  # fmt: skip
  copy_weights(torch, variables, reference)
  with torch.no_grad():
    expected = reference(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
  assert 0.1 < expected.std() < 0.8
  found = apply(x)
  np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), atol=1e-5)


def test_bfloat16_keeps_float32_parameters_and_images():
  x = jnp.zeros((2, 16, 16, 3))
  networks = [make(channels=1) for make in GENERATORS.values()]
  for network in (*networks, patchgan.Critic(width=2, layers=1)):
    network = network.clone(dtype=jnp.bfloat16)
    init = partial(network.init_with_output, train=True)
    leaves = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0), x))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
  # It really computes in bfloat16: float32 gives something else.
  network, x = (
    GENERATORS["small_translator"](channels=1, norm="none"),
    images(2, 8, 8, 3),
  )
  exact = build(network, x)[1](x)
  y = build(network.clone(dtype=jnp.bfloat16), x)[1](x)
  assert 0 < np.abs(y - exact).mean() < 0.05


def test_spectral_norm_of_patchgan():
  network = patchgan.Critic(width=2, layers=1, norm="none", spectral_norm=True)
  x = jnp.zeros((1, 16, 16, 1))
  variables = jax.eval_shape(
    lambda: network.init(jax.random.key(0), x, train=True)
  )
  # Each of the layers has a vector, and its slope.
  leaves = jax.tree.leaves(variables["params"])
  assert [x.ndim for x in leaves].count(4) == 3
  assert len(jax.tree.leaves(variables["batch_stats"])) == 2 * 3


# The U-Net's noise.


def test_noise_belongs_to_an_example():
  network = unet.Generator(channels=1, width=3, downs=3)
  keys = jax.random.split(jax.random.key(0), 5)
  noise = network.noise(keys, (13, 20, 1))
  order = np.array([3, 0, 4])
  some = network.noise(keys[order], (13, 20, 1))
  assert list(noise) == list(some) == [1]
  for i, kept in noise.items():
    np.testing.assert_array_equal(kept[order], some[i])
    assert kept.dtype == bool
    assert (kept[0] != kept[1]).any()


def test_noise_fits_its_layers():
  # As many as there are halvings above 5, and one at least, from the second
  # layer on the way up; that of 1x1 to 2x2 is the first.
  for downs in range(3, 10):
    network = unet.Generator(channels=1, width=1, downs=downs)
    noise = jax.eval_shape(
      lambda network=network: network.noise(
        jax.random.split(jax.random.key(0), 2), (512, 300, 1)
      )
    )
    assert len(noise) == max(downs - 5, 1)
    sides = [-(-side // 2**downs) for side in (512, 300)]
    for layer, i in enumerate(sorted(noise, reverse=True), 2):
      height, width = (side * 2**layer for side in sides)
      channels = min(2 ** (downs - layer - 1), 8)
      assert noise[i].shape == (2, height, width, channels)
  kept = unet.Generator(1, width=8, downs=6).noise(
    jax.random.split(jax.random.key(0), 40), (64, 64, 1)
  )
  (kept,) = kept.values()
  assert kept.size == 40 * 16 * 64
  assert abs(kept.mean() - 0.5) < 4 * 0.5 / kept.size**0.5
  rates = kept.mean((0, 1, 2))  # of each channel
  assert (np.abs(rates - 0.5) < 5 * 0.5 / 640**0.5).all()


def test_layers_have_noise_of_their_own():
  network = unet.Generator(channels=1, width=8, downs=7)
  noise = network.noise(jax.random.split(jax.random.key(0), 3), (128, 128, 1))
  first, second = (x.reshape(3, -1)[:, :1000] for x in noise.values())
  assert abs((first == second).mean() - 0.5) < 5 * 0.5 / 3000**0.5


def test_no_noise():
  network = unet.Generator(channels=1, width=2, downs=3, norm="none")
  keys = jax.random.split(jax.random.key(0), 2)
  x = images(2, 8, 8, 1)
  _, apply = build(network, x)
  assert network.clone(dropout=False).noise(keys, x.shape[1:]) == {}
  plain = apply(x)
  np.testing.assert_array_equal(apply(x, noise={}), plain)
  noisy = apply(x, noise=network.noise(keys, x.shape[1:]))
  assert np.abs(noisy - plain).max() > 0.01
