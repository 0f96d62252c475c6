"""Pictures for people: grids of images, plots of points, curves, GIFs."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from jaxgan.data import mixtures
from jaxgan.data.mixtures import Mixture
from jaxgan.data.pixels import to_uint8
from jaxgan.errors import InputError

_TITLE = 16  # pixels
_GAP = 4


def picture(
  samples: Mapping[str, np.ndarray], mixture: Mixture | None = None
) -> Image.Image:
  """Draws panels side by side, one for each name.

  Args:
    samples: images `[B, H, W, C]` in [-1, 1] with 1 or 3 channels, or points
      `[B, 2]`.
    mixture: what points were to be from: its density is drawn below them.
  """
  if mixture:
    return _scatter(samples, mixture)
  panels = {name: grid(images) for name, images in samples.items()}
  margin = 3 * _GAP
  width = sum(p.width for p in panels.values()) + margin * (len(panels) - 1)
  height = max(p.height for p in panels.values())
  canvas = Image.new("RGB", (width, height + _TITLE), "white")
  draw, x = ImageDraw.Draw(canvas), 0
  for name, panel in panels.items():
    draw.text((x + _GAP, 2), name, "black")
    canvas.paste(panel, (x, _TITLE))
    x += panel.width + margin
  return canvas


def grid(
  images: np.ndarray, gap: int = _GAP, columns: int | None = None
) -> Image.Image:
  """Draws images `[B, H, W, C]`, in [-1, 1] or uint8, on a white grid.

  Small images are enlarged by a whole factor to 64 pixels or more. By default
  the grid is nearly square.

  Raises:
    InputError: where they are no such images, or of different sizes.
  """
  if isinstance(images, Sequence) and len(set(map(np.shape, images))) > 1:
    raise InputError("images of different shapes do not make a grid")
  pixels = np.asarray(images)
  whole = pixels.dtype.kind in "iub" and pixels.dtype != np.uint8
  if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or whole:
    raise InputError(
      f"{pixels.dtype} of shape {pixels.shape}: give uint8, or floats in "
      "[-1, 1], of shape [B, H, W, 1] or [B, H, W, 3]"
    )
  pixels = to_uint8(pixels)
  count, height, width, _ = pixels.shape
  scale = max(1, -(-64 // height))
  pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
  pixels = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
  columns = columns or int(np.ceil(np.sqrt(count)))
  rows = -(-count // columns)
  step_y, step_x = height * scale + gap, width * scale + gap
  canvas = np.full((rows * step_y + gap, columns * step_x + gap, 3), 255, "u1")
  for i, image in enumerate(pixels):
    y, x = gap + i // columns * step_y, gap + i % columns * step_x
    canvas[y : y + height * scale, x : x + width * scale] = image
  return Image.fromarray(canvas)


def curves(
  runs: Mapping[str, Sequence[Mapping[str, float]]], output: Any
) -> None:
  """Plots every scalar of the runs over the steps, as a PNG.

  Args:
    runs: by name, the rows of their `metrics.jsonl`.
    output: a path or a binary file.
  """
  names = sorted({key for rows in runs.values() for row in rows for key in row})
  names = [name for name in names if name != "step"]
  height = max(1, -(-len(names) // 2))
  figure = Figure((10, 2.2 * height), layout="constrained")
  axes = figure.subplots(height, 2, squeeze=False).flat
  for ax, name in zip(axes, names, strict=False):
    for run, rows in runs.items():
      values = [(row["step"], row[name]) for row in rows if name in row]
      label = run.replace("$", "\\$")  # which would begin mathematics
      # Runs without it get no line, but keep their colour.
      marker = "." if len(values) == 1 else None
      x, y = np.reshape(values, (-1, 2)).T
      ax.plot(x, y, linewidth=1, marker=marker, label=label)
    ax.set_title(name, fontsize=9)
    ax.grid(alpha=0.3)
  for ax in axes:  # those left over
    ax.set_visible(False)
  if len(runs) > 1 and names:
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=4)
  figure.savefig(output, dpi=100, format="png")


def animate(
  pictures: Iterable[Image.Image],
  output: pathlib.Path,
  milliseconds: int = 250,
  rest: int = 3000,
) -> None:
  """Joins pictures of one size into a GIF that rests on the last."""
  # By itself, Pillow would take a palette of 6 greys and dither.
  frames = [p.quantize(256, dither=Image.Dither.NONE) for p in pictures]
  frames[0].save(
    output,
    save_all=True,
    append_images=frames[1:],
    duration=[milliseconds] * (len(frames) - 1) + [rest],
    loop=0,
  )


def _scatter(
  samples: Mapping[str, np.ndarray], mixture: Mixture
) -> Image.Image:
  figure = Figure((4 * len(samples), 4), dpi=100, layout="constrained")
  axes = figure.subplots(1, len(samples), sharex=True, sharey=True)
  limit = 1.3 * np.abs(mixture.centres).max()
  line = np.linspace(-limit, limit, 400)
  density = mixtures.density(mixture, np.stack(np.meshgrid(line, line), -1))
  for ax, (name, points) in zip(
    np.atleast_1d(axes), samples.items(), strict=True
  ):
    ax.imshow(
      density**0.25,  # or a narrow mode would hide below its samples
      cmap="Greens",
      origin="lower",
      extent=(-limit, limit) * 2,
    )
    ax.scatter(*np.asarray(points).T, s=2, alpha=0.4, linewidths=0)
    found, quality = mixtures.modes(np.asarray(points), mixture)
    ax.set(
      title=f"{name}: {found} modes, {quality:.1%} of high quality",
      xlim=(-limit, limit),
      ylim=(-limit, limit),
    )
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
