"""What a person looks at: grids of images, plots of points, curves, GIFs."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

_TITLE = 16  # pixels
_GAP = 4


def picture(samples: Mapping[str, np.ndarray]) -> Image.Image:
  """Draws panels side by side, one for each name.

  Args:
    samples: images `[B, H, W, C]` in [-1, 1] with 1 or 3 channels, or points
      `[B, 2]`.
  """
  if next(iter(samples.values())).ndim == 2:
    return _scatter(samples)
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


def grid(images: np.ndarray, gap: int = _GAP) -> Image.Image:
  """Draws images `[B, H, W, C]` in [-1, 1] on a near-square white grid.

  Small images are enlarged by a whole factor to 64 pixels or more.
  """
  images = np.asarray(images, np.float32)
  count, height, width, _ = images.shape
  scale = max(1, -(-64 // height))
  pixels = np.clip((images + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
  pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
  pixels = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
  columns = int(np.ceil(np.sqrt(count)))
  rows = -(-count // columns)
  step_y, step_x = height * scale + gap, width * scale + gap
  canvas = np.full((rows * step_y + gap, columns * step_x + gap, 3), 255, "u1")
  for i, image in enumerate(pixels):
    y, x = gap + i // columns * step_y, gap + i % columns * step_x
    canvas[y : y + height * scale, x : x + width * scale] = image
  return Image.fromarray(canvas)


def curves(metrics: pathlib.Path, output: pathlib.Path) -> None:
  """Plots every scalar of a `metrics.jsonl` over the rounds, as a PNG."""
  rows = [json.loads(line) for line in metrics.read_text().splitlines()]
  names = sorted({name for row in rows for name in row} - {"step"})
  figure = Figure((10, 2.2 * -(-len(names) // 2)), layout="constrained")
  axes = figure.subplots(-(-len(names) // 2), 2, squeeze=False).flat
  for ax, name in zip(axes, names, strict=False):
    values = [(row["step"], row[name]) for row in rows if name in row]
    ax.plot(*zip(*values, strict=True), linewidth=1)
    ax.set_title(name, fontsize=9)
    ax.grid(alpha=0.3)
  for ax in axes:  # those left over
    ax.set_visible(False)
  figure.savefig(output, dpi=100)


def animate(pictures: list[pathlib.Path], output: pathlib.Path) -> None:
  """Joins PNGs of one size into a GIF that rests on the last."""
  frames = [Image.open(path).convert("P") for path in pictures]
  durations = [250] * (len(frames) - 1) + [3000]
  frames[0].save(
    output,
    save_all=True,
    append_images=frames[1:],
    duration=durations,
    loop=0,
  )


def _scatter(samples: Mapping[str, np.ndarray]) -> Image.Image:
  figure = Figure((4 * len(samples), 4), dpi=100, layout="constrained")
  axes = figure.subplots(1, len(samples), sharex=True, sharey=True)
  limit = 1.3 * np.abs(next(iter(samples.values()))).max()
  for ax, (name, points) in zip(
    np.atleast_1d(axes), samples.items(), strict=True
  ):
    ax.scatter(*np.asarray(points).T, s=2, alpha=0.4)
    ax.set(
      title=name, aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit)
    )
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
