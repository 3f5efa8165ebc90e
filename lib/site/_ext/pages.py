"""Makes a page of an executed notebook, so that the notebook itself need know nothing of the site.

Sphinx hands over the text of every source before it is parsed, with its name:
https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html#event-source-read
Figures become inline SVG in the colours of the theme, code pairs become tabs that switch together, and the
input of a cell is shown only where its tags ask for it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import frame
import nbformat
import parameters
import pictures
from sphinx.util import logging

from twins.records.markup import plain, sentence
from twins.series.show import ANSWER, PAIR, fence

WIDGET = "application/vnd.jupyter.widget-view+json"
SHOWN, PARAMETERS = "show-code", "parameters"  # tags of cells whose input is shown, and shown folded
MACHINE_LINE, MACHINE_FOLD = "machine-line", "### Machine and software"
MACHINES = "twins_machines"  # in an output's metadata: the machines it is shown for
HIDING = {"hide-input", "hide_input", "remove-input", "remove_input"}
PROMPT = {"code_prompt_show": "Parameters of this run", "code_prompt_hide": "Parameters of this run"}
log = logging.getLogger(__name__)


@dataclass
class Page:
    """A notebook as the site shows it, and the files that go with it: path in the site -> content."""

    notebook: nbformat.NotebookNode
    names: Collection[str]  # of the pages that a link can lead to
    files: dict[str, bytes] = field(default_factory=dict)


def read(text: str, pages: Collection[str], name: str = "page", facts: dict | None = None) -> Page:
    """The page of an executed notebook; `pages` are the names that a link can lead to, without suffix.

    `facts` hold its opening on other machines. ValueError, naming the cell, where a picture has no
    alternative text or an output needs the network; also where an injected parameter has no default.
    """
    page = Page(nbformat.reads(text, as_version=4), pages)
    for number, cell in enumerate(page.notebook.cells, 1):
        if cell.cell_type == "markdown":
            cell.source = link(cell.source, pages)
        elif cell.cell_type == "code":
            where = f"cell {number} ({cell.source[:40]!r})"
            outputs = [output for output in cell.get("outputs", []) if tells(output)]
            others = elsewhere(number, outputs, facts)
            cell.outputs = [show(each, f"{name}-{number}-{i}", where, page) for i, each in enumerate(outputs)]
            cell.outputs = [
                for_machines(each, each.get("metadata", {}).get(MACHINES), facts) for each in cell.outputs
            ]
            if others:
                cell.outputs = on_every_machine(cell.outputs, others, f"{name}-{number}", where, page, facts)
    cells = parameters.show_effective_parameters(page.notebook.cells)
    page.notebook.cells = [cell for cell in map(quiet, gathered(cells)) if cell]
    return page


def gathered(cells: list) -> list:
    """The cells in the site's order: which machine a page ran on and with what stands in the fold for it.

    Above it the site has the machine bar. A page without that fold stays as it is.
    """
    fold = next((c for c in cells if c.cell_type == "markdown" and c.source.startswith(MACHINE_FOLD)), None)
    moved = [c for c in cells if {MACHINE_LINE, PARAMETERS} & set(c.metadata.get("tags", []))] if fold else []
    made = []
    for cell in cells:
        if cell not in moved:
            made += [cell, *moved] if cell is fold else [cell]
    return made


def elsewhere(number: int, outputs: list, facts: dict | None) -> dict[str, list]:
    """What a cell shows on other machines than that of the page: machine -> outputs."""
    if not facts:
        return {}
    if any(ANSWER in output.get("data", {}) for output in outputs):
        return facts["openings"]
    return facts.get("cells", {}).get(str(number), {})


def on_every_machine(
    own: list, others: dict[str, list], name: str, where: str, page: Page, facts: dict
) -> list:
    """The outputs of a cell, each followed by that of every other machine; one is shown at a time.

    What a machine has no part of is shown as it is on the machine that ran the page, which the bar says.
    """
    made, known = [], [each["key"] for each in facts["machines"]]
    for position, output in enumerate(own):
        without = [key for key in known if len(others.get(key, [])) <= position]
        made.append(for_machines(output, without, facts))
        for key, parts in others.items():
            if position < len(parts):
                other = nbformat.from_dict({"output_type": "display_data", **parts[position]})
                if "text/html" in other.data:  # an id is of the page's own; a script finds the others'
                    other.data["text/html"] = other.data["text/html"].replace(' id="', ' data-id="')
                shown = show(other, f"{name}-{position}-{key}", where, page)
                made.append(for_machines(shown, [key], facts))
    return made


def for_machines(output, keys: list[str] | None, facts: dict | None):
    """The output with its forms inside an element that is shown for these machines, if it is of some."""
    if keys is None:
        return output
    opened = f"<div{frame.only(keys, facts)}>"
    for kind in ("text/html", "text/markdown"):
        if kind in output.get("data", {}):
            gap = "\n\n" if kind == "text/markdown" else ""
            output.data[kind] = f"{opened}{gap}{output.data[kind]}{gap}</div>"
    return output


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


def show(output, name: str, where: str, page: Page):
    """The output in the one form that the site takes; its files are added to the page."""
    if "data" not in output:
        if "text" in output:
            output.text = plain(output.text)
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
        output.data = {"text/markdown": link(in_short(data[ANSWER]), page.names)}
    elif set(data) == {"text/plain"}:
        data["text/plain"] = plain(data["text/plain"])
    elif "text/markdown" in data:
        output.data = {"text/markdown": link(sentence(data["text/markdown"]), page.names)}
    return output


def in_short(told: dict) -> str:
    """The sentences of an answer in a box, and what they do not cover."""
    lines = ["::::{div} short", "**In short**", ""]
    lines += [f"- {sentence(each)}" for each in told["sentences"]]
    if told["not_covered"]:
        lines += ["", ":::{div} uncovered", f"Not covered: {sentence(told['not_covered'])}", ":::"]
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
        facts = frame.read(Path(app.srcdir))["pages"].get(docname)
        page = read(source[0], app.env.found_docs, docname, facts)
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
