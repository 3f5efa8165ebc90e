"""Sphinx configuration of the report: reads executed notebooks, asks nothing of any other machine.

The options: https://www.sphinx-doc.org/en/master/usage/configuration.html, https://myst-nb.readthedocs.io,
https://pradyunsg.me/furo/customisation/
"""

import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
# lib before docs, which has a folder of the same name for each library
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent), str(DOCS)]

from pictures import DARK, LIGHT  # noqa: E402

import twins.series  # noqa: E402, F401 - before nbformat, which it spares an import of seconds

project = html_title = "Twins"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "folds", "frame", "maths", "pages", "policy"]
extensions += ["sphinx.ext.autodoc", "sphinxext.opengraph", *(["generated"] if DOCS.is_dir() else [])]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 130
add_module_names = toc_object_entries = False
default_role = "code"  # `x` in a docstring is code

for name in ("coremltools", "matplotlib.font_manager"):  # of Core ML, which is missing, and the cards' font
    logging.getLogger(name).setLevel(logging.ERROR)
ogp_site_url = os.environ.get("TWINS_SITE_URL", "")  # with a slash at its end; "" makes addresses relative
ogp_social_cards = {"image": "twins.png", "image_mini": "twins.png", "site_url": "MLX or PyTorch?"}
ogp_social_cards |= {"line_color": LIGHT["mlx"], "enable": bool(ogp_site_url)}  # nobody links to a folder

nb_execution_mode = "off"  # the notebooks are executed already
nb_render_markdown_format = "myst"  # an output may carry tabs and links to other notebooks
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
nb_code_prompt_show, nb_code_prompt_hide = "Show code", "Hide code"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3  # what a link to a part of another page can name

html_theme = "furo"
html_math_renderer = "svg"
html_static_path = ["_static"]
html_css_files = ["twins.css"]
html_js_files = [("report.js", {"defer": "defer"})]
html_logo = html_favicon = "_static/twins.svg"
html_copy_source = html_show_sphinx = html_show_copyright = html_use_index = html_domain_indices = False
html_show_search_summary = False  # it is fetched page by page, which browsers refuse for file://

FURO = {  # furo's own colours: text and links, whose blue would read as MLX's
    "foreground-primary": "ink",
    "foreground-secondary": "muted",
    "background-primary": "paper",
    "background-border": "rule",
    "brand-primary": "ink",
    "brand-content": "ink",
    "brand-visited": "ink",
    "api-name": "ink",
    "api-pre-name": "muted",
}


def variables(palette: dict[str, str]) -> dict[str, str]:
    """The CSS variables of one palette."""
    own = {f"twins-{name}": colour for name, colour in palette.items()}
    return own | {f"color-{name}": palette[role] for name, role in FURO.items()}


html_theme_options = {"light_css_variables": variables(LIGHT), "dark_css_variables": variables(DARK)}
