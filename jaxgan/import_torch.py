"""Makes a run of PyTorch weights: `python -m jaxgan.import_torch`."""

from absl import flags

from jaxgan import cli
from jaxgan.errors import InputError
from jaxgan.interop import imported_runs

_FILES = {
  flag: flags.DEFINE_string(flag, None, f"File of weights of {network}.")
  for flag, network in imported_runs.NETWORKS.items()
}
_FEATURES = flags.DEFINE_string(
  "features", None, "File of FaceNet's weights, for a run of it alone."
)
_WORKDIR = cli.workdir_flag(help="Folder of the new run.")
_IMAGE_SIZE = flags.DEFINE_integer(
  "image_size", None, "Side of its images; by default 256, or the U-Net's."
)


def main() -> None:
  """Imports the files of the flags."""
  files = {flag: x.value for flag, x in _FILES.items() if x.value}
  features, workdir = _FEATURES.value, _WORKDIR.value
  if bool(features) == ("generator" in files):
    raise InputError(
      "give --generator=FILE, such as a latest_net_G.pth, or --features=FILE, "
      "such as a vggface2.pt"
    )
  if not workdir:
    raise InputError("give --workdir=DIR, a folder for the run")
  if not features:
    print(imported_runs.import_translation(files, workdir, _IMAGE_SIZE.value))
    return
  if files or _IMAGE_SIZE.value is not None:
    raise InputError("--features is for a run of FaceNet: give no other file")
  print(imported_runs.import_facenet(features, workdir))


if __name__ == "__main__":
  cli.main(main)
