"""The first page of the site: the answer of every machine, three ways on, one chart, every page in one line.

It is written as an executed notebook, so that the site treats its figures and tables as those of any page.
"""

import re
from collections.abc import Mapping, Sequence

from twins.evidence.answers import rows
from twins.evidence.answers.answer import summed
from twins.figures import answer_figures
from twins.records import markup
from twins.records.store import Found
from twins.series.pages.machines import Measured
from twins.series.pages.page_facts import bundle, command

MACHINES = "twins_machines"  # in an output's metadata: whose it is
TITLE = """\
# MLX or PyTorch?

For training on a Mac and for shipping to Core ML. Every model is written in both frameworks, shown to compute
the same thing, and only then timed."""
HEADINGS = ("You want to …", "On a Mac (Apple GPU)", "On the machine chosen above")
TRAINING = ("02_transformer_lm", "03_bert", "04_vision")  # whose cases are the chart
WAYS = (  # where a reader begins: words, what is there, pages of which the first one that is there is taken
    ("I train on a Mac", "Read one training page, then measure your own model.", ("02_transformer_lm",)),
    (
        "I need it in Xcode tonight",
        "A few lines from MLX or PyTorch to a checked .mlpackage.",
        ("08_coreml_from_mlx", "07_coreml_from_pytorch"),
    ),
    (
        "I doubt the numbers",
        "The fairness gate, the timing, the intervals, and what is not measured.",
        ("measure", "00_summary"),
    ),
)
GROUPS = {  # of the navigation; what no group names comes last
    "Start": ("self", "00_summary"),
    "Train and run": (
        *("02_transformer_lm", "03_bert", "04_vision", "10_finetuning"),
        *("06_inference", "05_unified_memory", "14_scaling"),
    ),
    "Ship to Core ML": (
        "07_coreml_from_pytorch",
        "08_coreml_from_mlx",
        "09_coreml_ship",
        "13_core_ai",
        "mlx_coreml/index",
        "coreml_runtime/index",
    ),
    "Your turn": ("12_your_model", "your_pair", "your_mac"),
    "Evidence": ("measure", "glossary", "11_published", "01_machine"),
}
TREE = "```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```"
ADDRESS = (
    r'<a href="(?:[./]+/(?:notebooks|docs)/)?(?P<page>[\w/-]+)\.(?:ipynb|md)(?P<at>#[^"]*)?">'
    r"(?P<text>.*?)</a>"
)
NO_STEP = "<p>No training step was timed on this machine yet: <code>make report</code> times them.</p>"


def notebook(
    titles: Mapping[str, str], documents: Sequence[str], machines: Sequence[Measured], found: Found
) -> dict:
    """The first page as a notebook's JSON.

    `titles` are those of the executed notebooks by their names, in order; `documents` the names of the other
    pages.
    """
    known = {*titles, *documents}
    shown = [html(answers(machines, known, found)), html(ways(known)), *charts(machines)]
    lines = [html(page_lines(titles, machines, known))]
    cells = [
        markdown(TITLE),
        code(shown),
        markdown("## Every page in one line"),
        code(lines),
        markdown(navigation([*titles, *documents])),
    ]
    ids = ({"id": f"front-{number}", **cell} for number, cell in enumerate(cells))
    return {"cells": list(ids), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def markdown(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def code(outputs: list[dict]) -> dict:
    shown = [{"output_type": "display_data", **output} for output in outputs]
    return {"cell_type": "code", "metadata": {}, "source": "shown", "execution_count": None, "outputs": shown}


def html(text: str, machine: Measured | None = None) -> dict:
    """An output; that of a machine is shown when it is chosen."""
    return {"data": {"text/html": text}, "metadata": {MACHINES: [machine.key]} if machine else {}}


def inline(text: str, known: set[str]) -> str:
    """A Markdown sentence as HTML; a link to a page that the site lacks is its text."""

    def linked(found: re.Match) -> str:
        if found["page"] not in known:
            return found["text"]
        return f'<a href="{found["page"]}.html{found["at"] or ""}">{found["text"]}</a>'

    html = re.sub(r"\b(MLX|PyTorch) (?=[\d.,–]+×)", hue, str(markup.inline(text)))
    return re.sub(ADDRESS, linked, html)


def hue(found: re.Match) -> str:
    """The name of a framework before a factor, in the colour of its lines and bars."""
    return f'<b class="{"mlx" if found[1] == "MLX" else "torch"}">{found[1]}</b> '


def answers(machines: Sequence[Measured], known: set[str], found: Found) -> str:
    """The table of what a reader wants to do: on a Mac, and on the machine that is chosen."""
    told = [(machine, rows.rows(machine.records, found)) for machine in machines]
    made = []
    for number, row in enumerate(told[0][1] if told else rows.rows([], found)):
        here = "".join(
            chosen(each, i == 0, inline(own[number].here, known)) for i, (each, own) in enumerate(told)
        )
        chip = f'<span class="chip open">{markup.html(row.known)}</span> ' if row.known else ""
        cells = [f"{chip}{inline(row.on_a_mac, known)}", here or inline(row.here, known)]
        made.append(f'<tr><th scope="row">{to_page(row.want, row.page, known)}</th>')
        made += [
            f'<td class="long" data-label="{heading}">{cell}</td>'
            for heading, cell in zip(HEADINGS[1:], cells, strict=True)
        ]
        made.append("</tr>")
    head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(made)}</tbody>"
    more = [to_page("All claims with their rules", "00_summary", known)] * ("00_summary" in known)
    more += [to_page("What others published, audited", "11_published", known)] * ("11_published" in known)
    return f'<table class="dataframe answers">{body}</table><p class="small">{" · ".join(more)}</p>'


def to_page(words: str, page: str, known: set[str]) -> str:
    """Words that lead to a page, where the site has it."""
    return f'<a href="{page}.html">{markup.html(words)}</a>' if page in known else markup.html(words)


def chosen(machine: Measured, first: bool, content: str) -> str:
    """Content that is shown when a machine is chosen; without a script, that of the first one."""
    return f'<span data-m="{markup.html(machine.key)}"{"" if first else " hidden"}>{content}</span>'


def ways(known: set[str]) -> str:
    """Three cards for three readers."""
    cards = []
    for words, there, pages in WAYS:
        page = next((each for each in pages if each in known), None)
        if page:
            cards.append(f'<a href="{page}.html"><b>{markup.html(words)} →</b> {markup.html(there)}</a>')
    return f'<div class="cards">{"".join(cards)}</div>'


def charts(machines: Sequence[Measured]) -> list[dict]:
    """One chart per machine: every training step that was timed."""
    made = []
    for machine in machines:
        found = [answer for page in TRAINING if (answer := machine.answer(page))]
        cases = [case for each in found for case in each.cases]
        if cases:
            finding = summed([case.comparison for case in cases], "training cases")
            made.append(bundle(answer_figures.steps(cases, finding)))
            made[-1]["metadata"] |= {MACHINES: [machine.key]}
        else:
            made.append(
                html(
                    "<p>No training step was timed on this machine yet: <code>make report</code>.</p>",
                    machine,
                )
            )
    return made


def page_lines(titles: Mapping[str, str], machines: Sequence[Measured], known: set[str]) -> str:
    """A table with every page's answer in one line, on every machine."""
    made = []
    for page, title in titles.items():
        lines = "".join(chosen(each, i == 0, line(each, page, known)) for i, each in enumerate(machines))
        made.append(f'<tr><th scope="row">{to_page(title, page, known)}</th><td>{lines}</td></tr>')
    return f'<table class="dataframe pages"><tbody>{"".join(made)}</tbody></table>'


def line(machine: Measured, page: str, known: set[str]) -> str:
    """What a page answers on a machine, or what would measure it."""
    if answer := machine.answer(page):
        return inline(answer.line, known)
    return "" if machine.of(page) else f"not measured on this machine: <code>{command(page)}</code>"


def navigation(pages: Sequence[str]) -> str:
    """The groups of the navigation with the pages that are there."""
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {caption: [n for n in names if n in pages or n == "self"] for caption, names in GROUPS.items()}
    groups["More"] = [name for name in pages if name not in grouped and "/" not in name]
    return "\n\n".join(TREE.format(caption=k, names="\n".join(names)) for k, names in groups.items() if names)
