"""Every session's timings, measurement by measurement: none is left out because a later one exists."""

import json
from collections.abc import Iterable

from msgspec.structs import replace

from twins.records.record_types import Timing
from twins.records.store import Record

SAID = ("filled", "bound", "new_pages", "compiled")  # entries of a case that do not change its eager variants


def by_case(records: Iterable[Record], *subjects: str) -> list[list[Timing]]:
    """Timings of the same work, one per session, oldest first; all subjects unless some are named.

    Two timings of the same work in one run of a page are one session with the processes of both. What a
    session says of a size, that it fills the machine, is said of all: the newest's case is that of each.
    """
    found: dict[tuple, dict[str, Timing]] = {}
    for record in records:
        body = record.body
        if isinstance(body, Timing) and (not subjects or body.subject in subjects):
            same = {name: value for name, value in body.case.items() if name not in SAID}
            work = record.machine, record.device, body.subject, json.dumps(same, sort_keys=True)
            own = found.setdefault(work, {})
            before = own[record.run].runs if record.run in own else []
            own[record.run] = replace(body, runs=[*before, *body.runs])
    return [_of_one_case([own[run] for run in sorted(own)]) for own in found.values()]


def _of_one_case(own: list[Timing]) -> list[Timing]:
    return [replace(each, case=own[-1].case) for each in own]


def of(records: Iterable[Record], machine: str, *notebooks: str) -> list[Record]:
    """A machine's records of some notebooks, in the versions of its newest run of them."""
    own = [r for r in records if r.machine == machine and r.notebook in notebooks]
    newest = max(own, key=lambda record: record.run, default=None)
    return [r for r in own if newest and r.versions == newest.versions]


def sessions(records: Iterable[Record]) -> list[str]:
    """The runs that some records are of, oldest first."""
    return sorted({record.run for record in records})
