"""Formulas as inline SVG drawn while the site is built: no script, no web font, in the colour of the text.

ziamath turns LaTeX into paths (https://ziamath.readthedocs.io); Sphinx asks for them through
https://www.sphinx-doc.org/en/master/extdev/appapi.html#sphinx.application.Sphinx.add_html_math_renderer
"""

import re

import ziamath
from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from ziamath.zmath import tex2mml

from twins.records.markup import html

ziamath.config.svg2 = False  # plain paths: shared symbols would repeat their ids in every formula of a page
EM = 16  # units of the drawing in one em of the page
SIZE = {True: 17, False: 18.5}  # font size inline and displayed: STIX looks small beside a system font
log = logging.getLogger(__name__)


def svg(tex: str, inline: bool) -> str:
    """One formula as an `<svg>` measured in em; ValueError where it is empty or uses an unknown command."""
    tex = tex.strip()
    if not tex:
        raise ValueError("a formula is empty; a $$ block needs a blank line before and after it")
    if unknown := re.search(r"\\\w+", tex2mml(tex, inline=inline)):
        raise ValueError(f"the formula {tex!r} uses {unknown[0]}, which latex2mathml does not know")
    drawn = ziamath.Latex(tex, size=SIZE[inline], color="currentColor", inline=inline, margin=0)
    width, height = (length / EM for length in drawn.getsize())
    style = f"width:{width:.3f}em;height:{height:.3f}em"
    style += f";vertical-align:{drawn.getyofst() / EM:.3f}em" if inline else ""
    return drawn.svg().replace("<svg ", f'<svg role="img" aria-label="{html(tex)}" style="{style}" ', 1)


def drawing(node: nodes.Element, inline: bool) -> str:
    """The formula of a node; a faulty one becomes a warning with its place, which fails the build."""
    try:
        return svg(node.astext(), inline)
    except ValueError as error:
        log.warning("%s", error, location=node)
        return ""


def visit_inline(translator, node):
    translator.body.append(f'<span class="math">{drawing(node, inline=True)}</span>')
    raise nodes.SkipNode


def visit_block(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(drawing(node, inline=False))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("svg", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
