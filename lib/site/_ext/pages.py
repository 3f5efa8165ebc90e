"""Makes a page of an executed notebook, so that the notebook itself need know nothing of the site.

Sphinx hands over the text of every source before it is parsed, with its name:
https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html#event-source-read
Figures become inline SVG in the colours of the theme, code pairs become tabs that switch together, and the
cell of default parameters shows the values that ran.
"""

import ast
import re
from collections.abc import Collection
from html import escape
from itertools import accumulate

import nbformat
from sphinx.util import logging

from twins.series.show import PAIR, fence

LIGHT = {
    "ink": "#1b1f24",
    "muted": "#5f6b7a",
    "rule": "#d5dae1",
    "paper": "#ffffff",
    "mlx": "#0072b2",
    "torch": "#c24e00",
}
DARK = {
    "ink": "#dfe3e8",
    "muted": "#9aa7b6",
    "rule": "#363d47",
    "paper": "#131416",
    "mlx": "#56b4e9",
    "torch": "#f0843c",
}
VARIABLE = {colour: f"var(--twins-{name})" for name, colour in LIGHT.items()}
WIDGET = "application/vnd.jupyter.widget-view+json"
POINT = 4 / 3  # CSS pixels, https://www.w3.org/TR/css-values-4/#absolute-lengths
TEXT = 736  # CSS pixels of the theme's column of text
log = logging.getLogger(__name__)


def read(text: str, pages: Collection[str]) -> nbformat.NotebookNode:
    """The notebook as the site shows it; `pages` names the notebooks a link can lead to, without suffix.

    ValueError, naming the cell, where a picture has no alternative text or an output needs the network; also
    where an injected parameter has no default.
    """
    notebook = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            cell.source = link(cell.source, pages)
        for position, output in enumerate(cell.get("outputs", [])):
            if "data" in output:
                where = f"cell {number} ({cell.source[:40]!r})"
                output.data = show(output, f"figure-{number}-{position}", where, pages)
    notebook.cells = show_effective_parameters(notebook.cells)
    return notebook


def show(output, prefix: str, where: str, pages: Collection[str]) -> dict[str, str]:
    """The one form of an output that the site takes."""
    data = output.data
    if PAIR in data:
        return {"text/markdown": tabs(data[PAIR])}
    if "text/markdown" in data:
        return {"text/markdown": link(data["text/markdown"], pages)}
    if WIDGET in data:
        raise ValueError(
            f"{where}: a widget needs scripts of another machine; show text, a table or a figure"
        )
    if not any(kind.startswith("image/") for kind in data):
        return data
    alt = output.metadata.get("image/svg+xml", {}).get("alt", "").strip()
    if "image/svg+xml" not in data or not alt:
        raise ValueError(
            f"{where}: a picture needs the form image/svg+xml and, in its metadata, an 'alt' in words, "
            f"found {', '.join(data)} and {alt!r}"
        )
    return {"text/html": figure(data["image/svg+xml"], alt, prefix)}


def figure(svg: str, alt: str, prefix: str) -> str:
    """matplotlib's SVG for the inside of a page: its own ids, the theme's colours, no wider than drawn."""
    width, height = (float(size) for size in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    widest = width * POINT
    narrowest = min(0.8 * widest, TEXT)  # a phone scrolls rather than shrink the text of a figure to nothing
    inside = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inside = re.sub(r"<(metadata|title)>.*?</\1>|<!--.*?-->", "", inside, flags=re.DOTALL)
    inside = re.sub(r'((?<=\sid=")|(?<=url\(#)|(?<=href="#))', f"{prefix}-", inside)
    inside = re.sub(r"(<style[^>]*>)\s*\*", rf"\1#{prefix} *", inside)  # it would style the whole page
    inside = re.sub("|".join(VARIABLE), lambda found: VARIABLE[found[0].lower()], inside, flags=re.IGNORECASE)
    return (
        f'<figure class="chart"><svg id="{prefix}" role="img" aria-label="{escape(alt)}" '
        f'viewBox="0 0 {width:g} {height:g}" style="min-width:{narrowest:.0f}px;max-width:{widest:.0f}px">'
        f"{inside.strip()}</figure>"
    )


def tabs(sources: dict[str, str]) -> str:
    """One tab per label; a choice holds for every pair of the report."""
    items = (f":::{{tab-item}} {k}\n:sync: {k.lower()}\n\n{fence(code)}\n:::" for k, code in sources.items())
    return "::::{tab-set}\n:sync-group: framework\n\n" + "\n\n".join(items) + "\n::::"


def link(markdown: str, pages: Collection[str]) -> str:
    """Markdown in which a link to a notebook that this report lacks is its text and says so.

    The notebooks of notebooks/ are the first pages of the site.
    """

    def checked(found: re.Match) -> str:
        if found["page"] not in pages:
            return f"{found['text']} (not in this report)"
        return found[0].replace(found["folder"], "/") if found["folder"] else found[0]

    target = r"\((?P<folder>[./]+/notebooks/)?(?P<page>[\w-]+)\.ipynb(#[^)]*)?\)"
    return re.sub(rf"\[(?P<text>[^]]*)\]{target}", checked, markdown)


def show_effective_parameters(cells: list) -> list:
    """The cells with the values that papermill injected written into the cell of defaults."""
    tagged = {tag: cell for cell in cells for tag in cell.metadata.get("tags", [])}
    injected, defaults = tagged.get("injected-parameters"), tagged.get("parameters")
    if injected is None:
        return cells
    if defaults is None:
        raise ValueError("parameters were injected, but no cell is tagged 'parameters'")
    try:
        defaults.source = substitute(defaults.source, injected.source)
    except KeyError as error:
        raise ValueError(f"the injected parameter {error} has no default") from error
    return [cell for cell in cells if cell is not injected]


def substitute(defaults: str, injected: str) -> str:
    """The source of `defaults` with every value that `injected` changes; KeyError for a name it lacks."""
    source = defaults.encode()  # ast counts columns in bytes
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    places = assignments(defaults)
    edits = []
    for name, value in assignments(injected).items():
        place = places[name]
        if ast.dump(place) != ast.dump(value):  # 0.0003 leaves 3e-4 as it is
            begin = starts[place.lineno - 1] + place.col_offset
            end = starts[place.end_lineno - 1] + place.end_col_offset
            edits.append((begin, end, ast.get_source_segment(injected, value).encode()))
    for begin, end, text in sorted(edits, reverse=True):
        source = source[:begin] + text + source[end:]
    return source.decode()


def assignments(source: str) -> dict[str, ast.expr]:
    """Name -> value of every assignment at the top level."""
    statements = ast.parse(source).body
    plain = {s.targets[0].id: s.value for s in statements if isinstance(s, ast.Assign)}
    return plain | {s.target.id: s.value for s in statements if isinstance(s, ast.AnnAssign)}


def read_source(app, docname: str, source: list[str]) -> None:
    """Sphinx's event; a fault becomes a warning with the name of the notebook, which fails the build."""
    if app.env.doc2path(docname).suffix != ".ipynb":
        source[0] = link(source[0], app.env.found_docs)
        return
    try:
        source[0] = nbformat.writes(read(source[0], app.env.found_docs))
    except ValueError as error:
        log.warning("%s", error, location=docname)


def setup(app):
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
