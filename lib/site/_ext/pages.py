"""Makes a page of an executed notebook, so that the notebook itself need know nothing of the site.

Sphinx hands over the text of every source before it is parsed, with its name:
https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html#event-source-read
Figures become inline SVG in the colours of the theme, code pairs become tabs that switch together, and the
input of a cell is shown only where its tags ask for it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import nbformat
import parameters
import pictures
from sphinx.util import logging

from twins.series.show import ANSWER, PAIR, fence

WIDGET = "application/vnd.jupyter.widget-view+json"
SHOWN, PARAMETERS = "show-code", "parameters"  # tags of cells whose input is shown, and shown folded
HIDING = {"hide-input", "hide_input", "remove-input", "remove_input"}
PROMPT = {"code_prompt_show": "Parameters of this run", "code_prompt_hide": "Parameters of this run"}
log = logging.getLogger(__name__)


@dataclass
class Page:
    """A notebook as the site shows it, and the files that go with it: path in the site -> content."""

    notebook: nbformat.NotebookNode
    files: dict[str, bytes] = field(default_factory=dict)


def read(text: str, pages: Collection[str], name: str = "page") -> Page:
    """The page of an executed notebook; `pages` are the names that a link can lead to, without suffix.

    ValueError, naming the cell, where a picture has no alternative text or an output needs the network; also
    where an injected parameter has no default.
    """
    page = Page(nbformat.reads(text, as_version=4))
    for number, cell in enumerate(page.notebook.cells, 1):
        if cell.cell_type == "markdown":
            cell.source = link(cell.source, pages)
        else:
            where = f"cell {number} ({cell.source[:40]!r})"
            outputs = [output for output in cell.get("outputs", []) if tells(output)]
            cell.outputs = [
                show(output, f"{name}-{number}-{i}", where, pages, page) for i, output in enumerate(outputs)
            ]
    cells = parameters.show_effective_parameters(page.notebook.cells)
    page.notebook.cells = [cell for cell in map(quiet, cells) if cell]
    return page


def tells(output) -> bool:
    """Whether an output shows a reader anything."""
    if output.output_type == "stream":
        return output.name != "stderr" and bool(output.text.strip())
    data = output.get("data")
    return data is None or any(str(text).strip() for text in data.values())


def quiet(cell):
    """The cell with its input hidden, folded or shown by its tags; None where nothing is left of it."""
    if cell.cell_type != "code":
        return cell
    tags = [tag for tag in cell.metadata.get("tags", []) if tag not in HIDING]
    if PARAMETERS in tags:
        tags.append("hide-input")
        cell.metadata["mystnb"] = PROMPT
    elif SHOWN not in tags:
        tags.append("remove-input")
    gone = "remove-cell" in tags or ("remove-input" in tags and not cell.outputs)
    cell.metadata["tags"] = tags
    return None if gone else cell


def show(output, name: str, where: str, pages: Collection[str], page: Page):
    """The output in the one form that the site takes; its files are added to the page."""
    if "data" not in output:
        return output
    data = output.data
    if WIDGET in data:
        raise ValueError(
            f"{where}: a widget needs scripts of another machine; show text, a table or a figure"
        )
    if any(kind.startswith("image/") for kind in data):
        try:
            made = pictures.picture(data, output.metadata, name)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        page.files |= {f"{pictures.FOLDER}/{file}": content for file, content in made.files.items()}
        output.data = {"text/html": made.html}
    elif PAIR in data:
        output.data = {"text/markdown": tabs(data[PAIR])}
    elif ANSWER in data:
        output.data = {"text/markdown": link(in_short(data[ANSWER]), pages)}
    elif "text/markdown" in data:
        output.data = {"text/markdown": link(data["text/markdown"], pages)}
    return output


def in_short(told: dict) -> str:
    """The sentences of an answer in a box, and what they do not cover."""
    lines = ["::::{div} short", "**In short**", ""]
    lines += [f"- {sentence}" for sentence in told["sentences"]]
    if told["not_covered"]:
        lines += ["", ":::{div} uncovered", f"Not covered: {told['not_covered']}", ":::"]
    return "\n".join([*lines, "::::"])


def tabs(sources: dict[str, str]) -> str:
    """One tab per label; a choice holds for every pair of the report."""
    items = (f":::{{tab-item}} {k}\n:sync: {k.lower()}\n\n{fence(code)}\n:::" for k, code in sources.items())
    return "::::{tab-set}\n:sync-group: framework\n\n" + "\n\n".join(items) + "\n::::"


def link(markdown: str, pages: Collection[str]) -> str:
    """Markdown whose links to notebooks and documents of this project lead to their pages of the site.

    A link to one that this report lacks is its text and says so. The notebooks of notebooks/ and the files of
    docs/ are the first pages of the site.
    """

    def checked(found: re.Match) -> str:
        if found["page"] not in pages:
            return f"{found['text']} (not in this report)"
        return found[0].replace(found["folder"], "/") if found["folder"] else found[0]

    target = r"\((?P<folder>[./]+/notebooks/)?(?P<page>[\w-]+)\.ipynb(#[^)]*)?\)"
    markdown = re.sub(rf"\[(?P<text>[^]]*)\]{target}", checked, markdown)
    target = r"\((?P<folder>[./]+/docs/)(?P<page>[\w/-]+)\.md(#[^)]*)?\)"
    return re.sub(rf"\[(?P<text>[^]]*)\]{target}", checked, markdown)


def read_source(app, docname: str, source: list[str]) -> None:
    """Sphinx's event; a fault becomes a warning with the name of the notebook, which fails the build."""
    if app.env.doc2path(docname).suffix != ".ipynb":
        source[0] = link(source[0], app.env.found_docs)
        return
    try:
        page = read(source[0], app.env.found_docs, docname)
    except ValueError as error:
        log.warning("%s", error, location=docname)
        return
    source[0] = nbformat.writes(page.notebook)
    for path, content in page.files.items():
        target = app.outdir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def setup(app):
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
