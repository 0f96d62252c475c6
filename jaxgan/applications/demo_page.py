"""The page of `jaxgan.demo`.

A run that translates gets a place to upload, draw or pick an image; one that
samples gets a seed and sliders.
"""

import atexit
import functools
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from PIL import Image, ImageOps

from jaxgan import data
from jaxgan.applications import demo_models, translator
from jaxgan.applications.demo_models import Entry
from jaxgan.errors import InputError

_CANVAS = 256  # pixels of a side
# Pictures, however small, have a size at which their pixels can be seen.
_CSS = """
.pixels img {
  image-rendering: pixelated; object-fit: contain; width: 100%;
  min-height: 256px;
}
.examples img {image-rendering: pixelated;}
"""


def page(entries: Sequence[Entry], ema: bool = True) -> Any:
  """Returns the page of some runs, a `gradio.Blocks`.

  Raises:
    InputError: where Gradio is missing.
  """
  gradio = import_gradio()
  with gradio.Blocks(title="jaxgan", analytics_enabled=False) as blocks:
    gradio.Markdown("# jaxgan")
    for entry in entries:
      with gradio.Tab(entry.name):
        gradio.Markdown(demo_models.describe(entry.run))
        if entry.run.game.directions:
          _translator_tab(gradio, entry, ema)
        else:
          _sampler_tab(gradio, entry, ema)
  return blocks


def _translator_tab(gradio: Any, entry: Entry, ema: bool) -> None:
  run = entry.run
  starts = {way.name: way.source for way in run.game.directions}
  ways = list(starts)
  shapes = data.example_shapes(run.config.data)
  picks = {
    start: demo_models.examples(entry, start) for start in starts.values()
  }
  create = functools.cache(lambda way: translator.create(run, way, ema=ema))

  def translate(image: Image.Image, way: str) -> tuple[Any, ...]:
    made = create(way)(image)
    near = "" if made.similarity is None else f"{made.similarity:.3f}"
    return image, made.image, near, ""

  def of_file(path: str | None, way: str) -> tuple[Any, ...]:
    if path is None:
      return None, None, "", ""
    return translate(demo_models.open_image(path, shapes[starts[way]][-1]), way)

  def of_drawing(drawn: Any, way: str) -> tuple[Any, ...]:
    layers = drawn and drawn["composite"]
    if not layers or not layers.convert("RGBA").getchannel("A").getbbox():
      return None, None, "", ""
    paper = Image.new("RGBA", layers.size, "white")
    paper.alpha_composite(layers.convert("RGBA"))
    grey = shapes[starts[way]][-1] == 1
    image = paper.convert("L" if grey else "RGB")
    if demo_models.dark(picks[starts[way]]):
      image = ImageOps.invert(image)
    # All of the canvas is what the network sees.
    height, width, _ = shapes[starts[way]]
    pad = run.config.data[starts[way]].pad
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    return translate(demo_models.bordered(image, pad), way)

  way = gradio.Radio(
    ways, value=ways[0], label="direction", visible=len(ways) > 1
  )
  with gradio.Row():
    with gradio.Column():
      with gradio.Tab("Upload or pick"):
        given = gradio.Image(
          type="filepath",
          label="image",
          sources=["upload", "clipboard"],
          elem_classes="pixels",
        )
        # The path as it is: opening it, and its errors, are ours. Gradio would
        # forget it in an update of more than the value.
        given.preprocess = lambda payload: payload and payload.path
      with gradio.Tab("Draw"):
        drawn = gradio.Sketchpad(
          type="pil",
          label="drawing",
          canvas_size=(_CANVAS, _CANVAS),
          brush=gradio.Brush(_CANVAS // 16, colors=["#000000"]),
          layers=False,
        )
      sets = {}
      for start, shown in picks.items():
        if shown:
          paths = _write(shown)
          with gradio.Column(visible=start == starts[ways[0]]) as sets[start]:
            gradio.Markdown(f"examples of the {start}")
            gallery = gradio.Gallery(
              paths,
              show_label=False,
              columns=demo_models.EXAMPLES // 2,
              object_fit="contain",
              allow_preview=False,
              interactive=False,
              buttons=[],
              elem_classes="examples",
            )

          def pick(event: gradio.SelectData, paths=tuple(paths)) -> str:
            return paths[event.index]

          gallery.select(pick, None, given)
    with gradio.Column():
      message = gradio.Markdown()
      results = [
        *(_picture(gradio, label) for label in ("source", "translation")),
        gradio.Textbox(
          label="similarity of their features (cosine)",
          visible=run.game.embed is not None,
        ),
        message,
      ]

  def again(
    path: str | None, drawn: Any, drew: bool, way: str
  ) -> tuple[Any, ...]:
    return of_drawing(drawn, way) if drew else of_file(path, way)

  drew = gradio.State(False)  # whether that came last
  given.change(lambda: False, None, drew)
  drawn.change(lambda: True, None, drew)
  for event, function, values in (
    (given.change, of_file, [given, way]),
    (drawn.change, of_drawing, [drawn, way]),
    (way.change, again, [given, drawn, drew, way]),
  ):
    event(_told(function, 3), values, results, show_progress="minimal")
  way.change(
    lambda way: [gradio.update(visible=key == starts[way]) for key in sets],
    way,
    list(sets.values()),
  )


def _sampler_tab(gradio: Any, entry: Entry, ema: bool) -> None:
  run = entry.run
  points = data.mixture(run.config.data) is not None
  sample = demo_models.sampler(run, ema)
  most = 4.0 if run.config.latent == "normal" else 1.0
  with gradio.Row():
    with gradio.Column():
      values = [
        gradio.Number(0, label="seed", precision=0),
        gradio.Slider(
          1,
          demo_models.SAMPLES,
          demo_models.SAMPLES if points else 16,
          step=1,
          label="count",
        ),
        gradio.Slider(
          most / 40, most, most, label="truncation: the largest latent"
        ),
        gradio.Slider(0, 1, 0, label="interpolation, toward the seed below"),
        gradio.Number(1, label="other seed", precision=0),
      ]
    with gradio.Column():
      message = gradio.Markdown()
      results = [_picture(gradio), message]

  def draw(*given: Any) -> tuple[Image.Image, str]:
    return sample(*given), ""

  gradio.on(  # when the page is opened, and when a value changes
    None,
    _told(draw, 1),
    values,
    results,
    show_progress="minimal",
    trigger_mode="always_last",
  )


def _picture(gradio: Any, label: str = "") -> Any:
  return gradio.Image(
    label=label,
    show_label=bool(label),
    interactive=False,
    format="png",
    buttons=["download", "fullscreen"],
    elem_classes="pixels",
  )


def import_gradio() -> Any:
  """Returns the package `gradio`.

  Raises:
    InputError: where it is missing.
  """
  # Before it is imported, or it would report each start.
  os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
  try:
    import gradio
  except ImportError as e:
    raise InputError("the demo needs Gradio: pip install 'jaxgan[demo]'") from e
  return gradio


def _write(shown: Iterable[Image.Image]) -> list[str]:
  """Writes images to a folder that lives as long as the process."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="jaxgan-"))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return demo_models.save(shown, folder)


def _told(
  function: Callable[..., tuple[Any, ...]], results: int
) -> Callable[..., tuple[Any, ...]]:
  """The function, with what the user can mend as the last of its results."""

  @functools.wraps(function)
  def guarded(*given: Any) -> tuple[Any, ...]:
    try:
      return function(*given)
    except InputError as e:
      return *[None] * results, f"**Error:** {e}"

  return guarded


def serve(
  entries: Sequence[Entry],
  ema: bool = True,
  host: str | None = None,
  port: int | None = None,
) -> None:
  """Serves the page of some runs until it is interrupted.

  Args:
    entries: see `load`.
    ema: whether to use averaged weights.
    host: address to listen on; by default Gradio's, of this machine alone.
    port: by default the first free one from 7860.

  Raises:
    InputError: where Gradio is missing, or the address cannot be had.
  """
  gradio = import_gradio()
  if host or port:
    _check_address(host or "127.0.0.1", port or 0)
  # Of this machine's fonts: the usual themes fetch theirs.
  theme = gradio.themes.Soft(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
  )
  blocks = page(entries, ema)
  _, url, _ = blocks.launch(
    server_name=host,
    server_port=port,
    show_error=True,
    max_file_size=demo_models.BYTES,
    theme=theme,
    css=_CSS,
    ssr_mode=False,
    quiet=True,
    prevent_thread_lock=True,
  )
  print(f"serving {', '.join(x.name for x in entries)} at {url}", flush=True)
  blocks.block_thread()


def _check_address(host: str, port: int) -> None:
  """Refuses an address at which Gradio would try for ever."""
  try:
    family, *_, address = socket.getaddrinfo(host, port)[0]
    with socket.create_server(address[:2], family=family):
      pass
  except OSError as e:
    raise InputError(
      f"cannot listen at {host}, port {port or 'any'} ({e.strerror or e}): "
      "give another --host or --port"
    ) from e
