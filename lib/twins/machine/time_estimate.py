"""How long the report takes here: an estimate from what was recorded and from how fast this machine works.

Only the standard library, and only what Python 3.9 knows: the doctor says it before anything is installed.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime
from pathlib import Path

RECORDS = Path(__file__).resolve().parents[3] / "data" / "results"
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


def minutes(
    work: float, profile: str, pages: list[str] | None = None, folder: Path = RECORDS
) -> float | None:
    """Estimated minutes of these pages here (all of them when None); None without records to estimate from.

    Recorded durations, scaled by the fixed work. Without records of its own the profile `record` is estimated
    from the quick one, whose sizes it has with fewer repetitions: an upper bound.
    """
    seconds = recorded(profile, folder) or (recorded("quick", folder) if profile == "record" else {})
    own = [value for page, value in seconds.items() if pages is None or page in pages]
    return sum(own) * work / REFERENCE / 60 if own else None
