"""What the site knows of a page besides its notebook: whose figures it shows, its answer on every machine.

It is written beside the notebook as JSON, and `lib/site/_ext` makes the page's head, its machine bar and its
opening from it.
"""

import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from twins.evidence.answers.answer import Answer
from twins.series.pages import downloads
from twins.series.pages.machines import Measured, ran_on


def facts(
    page: str,
    notebook: str,
    machines: Sequence[Measured],
    results: Path,
    opening: Callable[[Answer], list[dict]],
) -> dict:
    """Everything of one page, from the text of its executed notebook; the first machine is the default.

    `opening` makes outputs of an answer.
    A page that measures nothing, such as the summary, is of all records.
    """
    of = page if any(each.of(page) for each in machines) else ""
    own = ran_on(notebook, of, machines)
    answers = {each.key: each.answer(page) for each in machines if own and each is not own}
    return {
        "own": own.key if own else "",
        "machines": [about(each, of, own) for each in machines],
        "openings": {key: opening(told) for key, told in answers.items() if told},
        "files": downloads.offered(page, results),
    }


def about(machine: Measured, page: str, own: Measured | None) -> dict[str, str]:
    """One machine as the head and the bar of a page name it."""
    return {
        "key": machine.key,
        "label": machine.label,
        "caveat": machine.caveat,
        "head": machine.head(page),
        "note": note(machine, page, own),
    }


def note(machine: Measured, page: str, own: Measured | None) -> str:
    """Whose figures the page shows when a machine is chosen, in Markdown; empty where all are its own."""
    if machine is own or not page:
        return ""
    if not machine.of(page):
        told = f"This machine has no record of this page: `{command(page)}` on it makes one."
        return f"{told} All figures below are of another machine: {own.label}." if own else told
    if machine.answer(page):
        return (
            f"In short, this machine; everything after the opening was run on another machine: {own.label}."
        )
    return f"All figures below are of another machine, on which this page was run: {own.label}."


def command(page: str) -> str:
    """What measures a page."""
    number = re.match(r"\d+", page)
    return f"make report-{number[0]}" if number else "make report"


def bundle(shown) -> dict:
    """An output as a notebook's file holds it: its forms and their metadata."""
    made = shown._repr_mimebundle_()
    data, metadata = made if isinstance(made, tuple) else (made, {})
    data = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in data.items()}
    return {"data": data, "metadata": metadata}
