"""The frame of a page: whose figures it shows, and what a reader can take along.

What it needs of a page stands in site.json, which `twins.series.site` writes beside the sources.
"""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from twins.records.markup import html

EMPTY: dict = {"repository": "", "pages": {}}


@cache
def read(source: Path) -> dict:
    """Everything that is known of the site's pages; nothing where only documents are built."""
    path = Path(source) / "site.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else EMPTY


def only(keys: list[str], facts: dict) -> str:
    """The attributes of an element that is shown for these machines; without a script, for the first one."""
    first = facts["machines"][0]["key"]
    return f' data-m="{html(" ".join(keys))}"{"" if first in keys else " hidden"}'


def told(markdown: str) -> str:
    """A sentence with `code` as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", str(html(markdown)))


def head(facts: dict, source: str) -> str:
    """The line above the title: when the page was measured, with what, and its source."""
    links = f' · <a href="{html(source)}">source</a>' if source else ""
    lines = [
        f"<span{only([each['key']], facts)}>{html(each['head'] or 'Not measured')}</span>"
        for each in facts.get("machines", [])
    ]
    return f'<div class="head no-search">{"".join(lines)}{links}</div>' if lines else ""


def bar(facts: dict) -> str:
    """The machine bar: a choice of machines, and what a reader must know of the chosen one."""
    machines = facts.get("machines", [])
    if not machines:
        return ""
    options = (f'<option value="{html(m["key"])}">{html(m["label"])}</option>' for m in machines)
    choice = f"<label>Figures of <select disabled>{''.join(options)}</select></label>"
    lines = [
        f'<span class="{what}"{only([m["key"]], facts)}>{told(m[what])}</span>'
        for what in ("caveat", "note")
        for m in machines
        if m[what]
    ]
    return f'<div class="machine">{choice}{"".join(lines)}</div>'


def taken(facts: dict, page: str, title: str, repository: str) -> str:
    """The line at the end: what can be taken along, where the source is and where a mistake is reported."""
    links = [
        f'<a href="{html(quote(to))}" download>{html(words)}</a>'
        for words, to in facts.get("files", {}).items()
    ]
    if repository:
        subject = quote(f"Mistake on the page {title} ({page})")
        links.append(f'<a href="{html(repository)}">Repository</a>')
        links.append(f'<a href="{html(f"{repository}/issues/new?title={subject}")}">Report a mistake</a>')
    computed = "Every number on this page is computed from records. " if facts else ""
    return f'<div class="take-along no-search">{computed}{" · ".join(links)}</div>' if links else ""


def source_of(page: str, suffix: str, repository: str) -> str:
    """Where the source of a page is read; empty without a repository and for the index."""
    if not repository or page == "index":
        return ""
    folder = "notebooks" if suffix == ".ipynb" else "docs"
    return f"{repository}/blob/HEAD/{folder}/{page}{suffix}"


class Frame(SphinxPostTransform):
    """Puts head, machine bar and the last line around what a page says."""

    default_priority = 710
    formats = ("html",)

    def run(self, **kwargs) -> None:
        page, known = self.env.docname, read(Path(self.env.srcdir))
        facts, repository = known["pages"].get(page, {}), known["repository"]
        section = next(self.document.findall(nodes.section), None)
        if section is None:
            return
        title = section.next_node(nodes.title)
        source = source_of(page, self.env.doc2path(page).suffix, repository)
        question = next((each for each in section.children if isinstance(each, nodes.paragraph)), title)
        section.insert(section.index(question) + 1, raw(bar(facts)))
        section.insert(0, raw(head(facts, source)))
        section.append(raw(taken(facts, page, title.astext(), repository)))


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html", classes=["no-search"])


def setup(app):
    app.add_post_transform(Frame)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
