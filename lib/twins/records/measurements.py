"""Every session's timings, measurement by measurement: none is left out because a later one exists."""

import json
from collections.abc import Iterable

from msgspec.structs import replace

from twins.records.record_types import Timing
from twins.records.store import Record


def by_case(records: Iterable[Record], *subjects: str) -> list[list[Timing]]:
    """Timings of the same work, one per session, oldest first; all subjects unless some are named.

    Two timings of the same work in one run of a page are one session with the processes of both.
    """
    found: dict[tuple, dict[str, Timing]] = {}
    for record in records:
        body = record.body
        if isinstance(body, Timing) and (not subjects or body.subject in subjects):
            work = record.machine, record.device, body.subject, json.dumps(body.case, sort_keys=True)
            own = found.setdefault(work, {})
            before = own[record.run].runs if record.run in own else []
            own[record.run] = replace(body, runs=[*before, *body.runs])
    return [[own[run] for run in sorted(own)] for own in found.values()]


def of(records: Iterable[Record], machine: str, *notebooks: str) -> list[Record]:
    """A machine's records of some notebooks, in the versions of its newest run of them."""
    own = [r for r in records if r.machine == machine and r.notebook in notebooks]
    newest = max(own, key=lambda record: record.run, default=None)
    return [r for r in own if newest and r.versions == newest.versions]


def sessions(records: Iterable[Record]) -> list[str]:
    """The runs that some records are of, oldest first."""
    return sorted({record.run for record in records})
