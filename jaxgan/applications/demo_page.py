"""The page of `jaxgan.demo`: images to translate, or a seed and sliders."""

import atexit
import functools
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageOps

from jaxgan import data
from jaxgan.applications import demo_models, face_finder, translator
from jaxgan.applications.demo_models import Entry
from jaxgan.errors import InputError

_Callback = Callable[..., tuple[Any, ...]]

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
  """Returns the page of some runs, a `gradio.Blocks`."""
  gradio = import_gradio()
  with gradio.Blocks(title="jaxgan", analytics_enabled=False) as blocks:
    gradio.Markdown("# jaxgan")
    for entry in entries:
      with gradio.Tab(entry.name):
        gradio.Markdown(demo_models.describe(entry.run))
        tab = _translator_tab if entry.run.game.directions else _sampler_tab
        tab(gradio, entry, ema)
  return blocks


def _translator_tab(gradio: Any, entry: Entry, ema: bool) -> None:
  run, faces = entry.run, demo_models.translates_faces(entry.run)
  sources = {x.name: x.source for x in run.game.directions}
  names = list(sources)
  shapes = data.example_shapes(run.config.data)
  examples = {x: demo_models.examples(entry, x) for x in sources.values()}
  create = functools.cache(lambda name: translator.create(run, name, ema=ema))

  def translate(image: Image.Image, name: str) -> tuple[Any, ...]:
    translation, similarity = create(name)(image)
    text = "" if similarity is None else f"{similarity:.3f}"
    return image, translation, text, ""

  def translate_upload(path: str | None, name: str) -> tuple[Any, ...]:
    if path is None:
      return None, None, "", ""
    height, width, channels = shapes[sources[name]]
    image, message = demo_models.open_image(path, channels), ""
    if faces and sources[name] == "source":
      image, message = face_finder.cut_face(image, (width, height))
    return *translate(image, name)[:-1], message

  def translate_sketch(sketch: Any, name: str) -> tuple[Any, ...]:
    layers = sketch and sketch["composite"]
    if not layers or not layers.convert("RGBA").getchannel("A").getbbox():
      return None, None, "", ""
    paper = Image.new("RGBA", layers.size, "white")
    paper.alpha_composite(layers.convert("RGBA"))
    source = sources[name]
    height, width, channels = shapes[source]
    image = paper.convert("L" if channels == 1 else "RGB")
    if demo_models.dark(examples[source], channels):
      image = ImageOps.invert(image)
    # The network takes all of the canvas.
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    pad = run.config.data[source].pad
    return translate(demo_models.bordered(image, pad), name)

  direction = gradio.Radio(
    names, value=names[0], label="direction", visible=len(names) > 1
  )
  with gradio.Row():
    with gradio.Column():
      with gradio.Tab("Upload or pick"):
        upload = gradio.Image(
          type="filepath",
          label="image",
          sources=["upload", "clipboard", *["webcam"] * faces],
          elem_classes="pixels",
        )
        # The path alone, since opening it, and its errors, are ours. Gradio
        # would forget this in an update of more than the value.
        upload.preprocess = lambda payload: payload and payload.path
      with gradio.Tab("Draw"):
        sketch = gradio.Sketchpad(
          type="pil",
          label="drawing",
          canvas_size=(_CANVAS, _CANVAS),
          brush=gradio.Brush(_CANVAS // 16, colors=["#000000"]),
          layers=False,
        )
      columns = {}
      for source, images in examples.items():
        if images:
          paths = _write(images)
          visible = source == sources[names[0]]
          with gradio.Column(visible=visible) as columns[source]:
            gradio.Markdown(f"examples of the {source}")
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

          gallery.select(pick, None, upload)
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

  def translate_again(path: str | None, sketch: Any, sketched: bool, name: str):
    if sketched:
      return translate_sketch(sketch, name)
    return translate_upload(path, name)

  sketched = gradio.State(False)  # whether the sketch changed last
  upload.change(lambda: False, None, sketched)
  sketch.change(lambda: True, None, sketched)
  for event, function, values in (
    (upload.change, translate_upload, [upload, direction]),
    (sketch.change, translate_sketch, [sketch, direction]),
    (direction.change, translate_again, [upload, sketch, sketched, direction]),
  ):
    event(_with_errors(function, 3), values, results, show_progress="minimal")
  direction.change(
    lambda name: [gradio.update(visible=x == sources[name]) for x in columns],
    direction,
    list(columns.values()),
  )


def _sampler_tab(gradio: Any, entry: Entry, ema: bool) -> None:
  run = entry.run
  sample = demo_models.sampler(run, ema)
  bound = 4.0 if run.config.latent == "normal" else 1.0
  most = demo_models.SAMPLES
  count = most if data.mixture(run.config.data) else 16
  with gradio.Row():
    with gradio.Column():
      values = [
        gradio.Number(0, label="seed", precision=0),
        gradio.Slider(1, most, count, step=1, label="count"),
        gradio.Slider(
          bound / 40, bound, bound, label="truncation: the largest latent"
        ),
        gradio.Slider(0, 1, 0, label="interpolation, toward the seed below"),
        gradio.Number(1, label="other seed", precision=0),
      ]
    with gradio.Column():
      message = gradio.Markdown()
      results = [_picture(gradio), message]

  def draw(*values: Any) -> tuple[Image.Image, str]:
    return sample(*values), ""

  # When the page is opened, and when a value changes.
  options = {"show_progress": "minimal", "trigger_mode": "always_last"}
  gradio.on(None, _with_errors(draw, 1), values, results, **options)


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
  """Returns the package `gradio`; raises an `InputError` if it is missing."""
  # Before it is imported, or it would report each start.
  os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
  try:
    import gradio
  except ImportError as e:
    raise InputError("the demo needs Gradio: pip install 'jaxgan[demo]'") from e
  return gradio


def _write(images: Sequence[Image.Image]) -> list[str]:
  """Writes images to a folder that lives as long as the process."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="jaxgan-"))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return demo_models.save(images, folder)


def _with_errors(function: _Callback, results: int) -> _Callback:
  """Wraps a callback so that an `InputError` becomes its last result."""

  @functools.wraps(function)
  def guarded(*values: Any) -> tuple[Any, ...]:
    try:
      return function(*values)
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
    entries: see `demo_models.load`.
    ema: whether to use averaged weights.
    host: address to listen on; by default of this machine alone.
    port: port to listen on; by default the first free one from 7860.

  Raises:
    InputError: where Gradio is missing, or cannot listen there.
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
    socket.create_server(address[:2], family=family).close()
  except OSError as e:
    raise InputError(
      f"cannot listen at {host}, port {port or 'any'} ({e.strerror or e}): "
      "give another --host or --port"
    ) from e
