"""The summary page on other machines than the one it ran on: its cells evaluated again, machine by machine.

The page reads records and measures nothing, so that what depends on the machine follows from the records.
"""

import ast
import json
from collections.abc import Sequence
from pathlib import Path

from twins.records.store import Found
from twins.series.pages.machines import Measured
from twins.series.pages.page_facts import bundle

NAME = "00_summary"
GIVEN = {"here", "found", "records", "whose", "evidence"}  # what its cells take from the machine
OF_MACHINE = {"here", "whose", "evidence"}  # of these what differs between machines
OPENING = "opening"  # its top, which is made of `Measured.answer`


def cells(executed: str, source: Path, machines: Sequence[Measured], found: Found) -> dict[str, dict]:
    """Number of a cell in the executed notebook -> machine's key -> what the cell shows for it.

    Nothing where the notebook was run from other cells than the source has now, whose code may not fit.
    """
    codes = {number: code for number, code in _codes(json.loads(executed)) if "injected" not in code.tags}
    wanted = [code.text for _, code in _codes(json.loads(source.read_text("utf-8")))]
    if [code.text for code in codes.values()] != wanted:
        return {}
    injected = [c.text for _, c in _codes(json.loads(executed)) if "injected" in c.tags]
    made: dict[str, dict] = {}
    for machine in machines:
        for number, shown in _evaluated(codes, injected, machine, machines, found).items():
            made.setdefault(str(number), {})[machine.key] = [shown]
    return made


def complete(facts: dict, executed: str, source: Path, machines: Sequence[Measured], found: Found) -> None:
    """Add to what is known of the page what its cells show on other machines, or say that they show none."""
    own = next((each for each in machines if each.key == facts["own"]), None)
    others = [each for each in machines if each is not own]
    facts["cells"] = cells(executed, source, others, found)
    for told in facts["machines"]:
        if own and not facts["cells"] and told["key"] != own.key:
            told["note"] = f"In short, this machine; all else was computed for another machine: {own.label}."


class _Code:
    """A code cell: its text, and its tags as one text."""

    def __init__(self, cell: dict):
        self.text, self.tags = "".join(cell["source"]), " ".join(cell["metadata"].get("tags", []))


def _codes(notebook: dict) -> list[tuple[int, _Code]]:
    return [(n, _Code(c)) for n, c in enumerate(notebook["cells"], 1) if c["cell_type"] == "code"]


def _evaluated(codes, injected, machine, machines, found) -> dict[int, dict]:
    """What every cell that depends on the machine shows for one."""
    names = {
        "here": machine.facts,
        "found": found,
        "records": {each.name: each.records for each in machines},
        "whose": machine.name,
        "evidence": machine.records,
    }
    depends, made = set(OF_MACHINE), {}
    for number, code in codes.items():
        body = ast.parse(code.text).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        for statement in body:
            if not _targets(statement) & GIVEN:
                exec(compile(ast.Module([statement], []), NAME, "exec"), names)
                depends |= _targets(statement) if _read(statement) & depends else set()
        if "parameters" in code.tags:
            exec("\n".join(injected), names)
        given = any(
            _targets(statement) & GIVEN for statement in body
        )  # it says what ran the page: that stays
        if last and not given and OPENING not in _read(last) and _read(last) & depends:
            made[number] = bundle(eval(compile(ast.Expression(last.value), NAME, "eval"), names))
    return made


def _targets(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _read(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
