"""Configuration of the documentation: ``sphinx-build -W -j auto docs docs/_build/html``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "rlsuite"
author = "The rlsuite authors"
project_copyright = author
release = version = version_of("rlsuite")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "docstrings",
    "mathml",
    "reference",
]
exclude_patterns = ["_build", "extensions"]
nitpicky = True
# The objects of other projects: their inventories would need the network.
_OTHERS = [
    "Array",
    "ArrayTree",
    "Axes",
    "Figure",
    "PRNGKeyArray",
    "Path",
    "collections",
    "flax",
    "gymnasium",
    "gymnax",
    "jax",
    "jaxlib",
    "jaxtyping",
    "matplotlib",
    "ndarray",
    "numpy",
    "optax",
    "os",
    "pathlib",
    "rich",
    "types",
    "typing",
    "dataclasses",
]
nitpick_ignore_regex = [
    ("py:.*", rf"_*({'|'.join(_OTHERS)})(\..*)?"),
    ("py:class", r"rlsuite\..*\._\w+"),  # type variables
    ("py:class", r"tuple\[\w+"),  # a tuple of any length, cut at its ellipsis
]

default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style"), ("Reference", "References")]
autosummary_generate = False

reference_package = "../rlsuite"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_output_stderr = "remove"  # progress, where a page is built slowly

html_theme = "sphinx_book_theme"
html_title = "rlsuite"
html_static_path = ["static"]
html_css_files = ["house.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {
    "show_toc_level": 2,
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
    "extra_footer": f"rlsuite {release}, Apache License 2.0",
}
