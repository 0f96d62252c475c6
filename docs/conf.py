"""The site: `pip install -e '.[docs]'`, then `make -C docs html`."""

import socket

import jaxgan

project = "jaxgan"
author = "The jaxgan authors"
release = jaxgan.__version__
extensions = [
  "myst_nb",
  "sphinx.ext.autodoc",
  "sphinx.ext.intersphinx",
  "sphinx.ext.napoleon",
  "sphinx.ext.viewcode",
  "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"jaxgan {release}"

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Notebooks run when the site is built: what they show is what they print.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "remove"  # progress bars

napoleon_use_ivar = True
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}

# Names of other projects are linked to their references, where those can be
# reached.
intersphinx_mapping = {}
for name, host, path in (
  ("python", "docs.python.org", "3"),
  ("numpy", "numpy.org", "doc/stable"),
  ("jax", "docs.jax.dev", "en/latest"),
  ("flax", "flax.readthedocs.io", "en/latest"),
  ("optax", "optax.readthedocs.io", "en/latest"),
):
  try:
    socket.create_connection((host, 443), timeout=3).close()
    intersphinx_mapping[name] = (f"https://{host}/{path}", None)
  except OSError:
    print(f"{host} cannot be reached: names of {name} are not linked")
