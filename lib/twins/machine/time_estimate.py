"""How long the report takes here: what earlier runs here took, or an estimate from recorded runs.

The estimate is what the pages took where they were recorded, scaled by how fast this machine works.

Only the standard library, and only what Python 3.9 knows: the doctor says it before anything is installed.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime
from pathlib import Path

from twins.records import writing

ROOT = Path(__file__).resolve().parents[3]
RECORDS = ROOT / "data" / "results"
TAKEN = ROOT / "build" / "times.json"  # profile -> page -> seconds of the last whole run of that page here
IDLE = 3600.0  # seconds; a longer gap between two pages is a pause and no page's duration
# Seconds of `work`, under Python 3.11, on the machine of the reference run: those of an AMD EPYC, divided by
# how much faster that machine ran the pages that both have records of (1.64).
REFERENCE = 0.0097


def work() -> float:
    """Seconds of a fixed piece of interpreted work, the fastest of five, by CPU time."""
    seconds = []
    for _ in range(5):
        start, total = time.process_time(), 0
        for number in range(200_000):
            total += number * number % 7
        seconds.append(time.process_time() - start)
    return min(seconds)


def recorded(profile: str, folder: Path = RECORDS) -> dict[str, float]:
    """Page -> seconds on the machine with the most pages of a profile: from a page's start to the next one's.

    The page that ran last has no next one and takes the median. A page in several runs takes its shortest.
    """
    best: dict[str, float] = {}
    for machine in sorted(path for path in folder.glob("*") if path.is_dir()):
        starts = sorted({start for path in machine.glob("*.jsonl") for start in _starts(path, profile)})
        seconds: dict[str, float] = {}
        for place, (end, following) in enumerate(starts[1:]):
            begin, page = starts[place]
            passed = (_time(end) - _time(begin)).total_seconds()
            if page != following and passed < IDLE:
                seconds[page] = min(passed, seconds.get(page, passed))
        if seconds:
            middle = statistics.median(seconds.values())
            seconds = {page: seconds.get(page, middle) for _, page in starts}
        best = max(best, seconds, key=len)
    return best


def _starts(path: Path, profile: str) -> set[tuple[str, str]]:
    """When each run of a profile began, and its page. The report itself names lines that are no record."""
    found = set()
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and record.get("profile") == profile:
            found.add((str(record.get("run")), str(record.get("notebook"))))
    return found


def _time(run: str) -> datetime:
    return datetime.strptime(run, "%Y-%m-%dT%H:%M:%S.%fZ")


def taken(profile: str, file: Path = TAKEN) -> dict[str, float]:
    """Page -> seconds that its last run with a profile took here; empty before the first one."""
    try:
        found = json.loads(file.read_text())[profile]
        return {str(page): float(seconds) for page, seconds in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def note(profile: str, page: str, seconds: float, file: Path = TAKEN) -> None:
    """Remember what a page took here."""
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    kept = kept if isinstance(kept, dict) else {}
    kept[profile] = taken(profile, file) | {page: round(seconds, 1)}
    writing.write(file, json.dumps(kept, indent=1) + "\n")


def by_page(work: float, profile: str, folder: Path = RECORDS, file: Path = TAKEN) -> dict[str, float]:
    """Page -> seconds expected here: of its last run, otherwise estimated by the fixed work.

    Without records of its own the profile `record` is estimated from the quick one, whose sizes it has with
    fewer repetitions: an upper bound.
    """
    seconds = recorded(profile, folder) or (recorded("quick", folder) if profile == "record" else {})
    estimated = {page: value * work / REFERENCE for page, value in seconds.items()}
    return estimated | taken(profile, file)


def minutes(
    work: float,
    profile: str,
    pages: list[str] | None = None,
    folder: Path = RECORDS,
    file: Path = TAKEN,
) -> float | None:
    """Expected minutes of these pages here (all of them when None); None when nothing tells."""
    seconds = by_page(work, profile, folder, file)
    own = [value for page, value in seconds.items() if pages is None or page in pages]
    return sum(own) / 60 if own else None
