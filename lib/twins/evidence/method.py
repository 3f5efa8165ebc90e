"""How the figures of a page were measured, in sentences: processes, rounds, threads, noise, disturbances."""

from collections.abc import Iterable, Sequence

from twins.records.record_types import Machine, Timing
from twins.timing import comparison


def told(timings: Iterable[Timing], machine: Machine, *notes: str) -> str:
    """How training steps were timed, the noise check, what disturbed it, and `notes` that are not empty."""
    timings = list(timings)
    if not timings:
        return "\n\n".join(["Nothing was timed.", *filter(None, notes)])
    steps = f"{plan(timings)}, {threads(machine)}."
    more = [*comparison.warnings(timings), *filter(None, notes)]
    return "\n\n".join([f"{steps} {comparison.aa(timings)}", *more])


def plan(timings: Sequence[Timing]) -> str:
    """Processes and rounds of some measurements: "5 fresh processes with 3 rounds each in random order"."""
    processes = {len(record.runs) for record in timings}
    rounds = {
        len(samples["wall"]) // run.get("kept", 1)
        for record in timings
        for run in record.runs
        for samples in run["arms"].values()
    }
    return f"{_range(processes, 'fresh process', 'es')} with {_range(rounds, 'round')} each in random order"


def threads(machine: Machine) -> str:
    """The CPU threads that each framework has."""
    return f"{_range({machine.threads}, 'CPU thread')} for each framework"


def _range(numbers: set[int], what: str, several: str = "s") -> str:
    """How many: "5 rounds", "3–5 rounds", "1 round"."""
    told = "–".join(dict.fromkeys(map(str, (min(numbers), max(numbers)))))
    return f"{told} {what}{several if max(numbers) != 1 else ''}"
