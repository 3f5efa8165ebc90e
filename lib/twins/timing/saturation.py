"""A size that fills the machine: at it the faster framework is bound by computation, not by starting it.

Fixed sizes are comparable between machines, but on a fast GPU they measure how long it takes to start
operations. So one more size is timed, which is doubled until a step of the faster framework takes FULL
seconds or memory is short; records and labels call it filled. Where the largest fixed size takes that long,
it is the filled one and nothing is timed twice.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from twins.machine import fresh_process
from twins.records.record_types import Gate, Timing
from twins.timing import comparison, harness, statistics, study, wording
from twins.timing.progress import tell
from twins.timing.study import Study
from twins.timing.variants import step_variants

FULL = 0.02  # seconds of a step in which starting operations no longer shows
MOST = 2**20  # examples; a step that is still shorter is no step
CALLS = 5  # of which the median is taken while a size is sought


def grow(size: int, seconds: Callable[[int], float], fits: Callable[[int], bool]) -> tuple[int, str]:
    """The size, doubled until `seconds` of it reach FULL, and what ended that: "computation" or "memory"."""
    while seconds(size) < FULL:
        if 2 * size > MOST or not fits(2 * size):
            return size, "memory"
        size *= 2
    return size, "computation"


def full(record: Timing) -> bool:
    """Whether the faster framework of a measurement is bound by computation at its size."""
    return fastest(record)[1] >= FULL


def fastest(record: Timing) -> tuple[str, float]:
    """The fastest variant of a measurement, and its median seconds."""
    found = comparison.runs(record)
    variant = min(comparison.variants(found), key=lambda each: statistics.median(found, each))
    return variant, statistics.median(found, variant)


def once(model: str, config: dict, batch: int, mode: str, variant: str) -> float:
    """The work of a fresh process: median seconds of a few steps of one variant."""
    return median(step_variants(model, config, batch, [mode])[variant])


def median(variant: harness.Variant) -> float:
    """Median seconds of a few calls, the first left out."""
    return float(np.median([harness.once(variant)[0] for _ in range(CALLS + 1)][1:]))


def free(estimate: Callable[[], int]) -> bool:
    """Whether an estimate of memory is free; it raises MemoryError where it is not."""
    try:
        return estimate() > 0
    except MemoryError:
        return False


def fixed(
    twin: Study, gate: Gate, batch_sizes: Sequence[int], modes: Sequence[str], plan: harness.Plan
) -> Iterator[Timing]:
    """Training steps at the fixed sizes; the largest is named filled where it fills this machine already."""
    for record in study.steps(twin, gate, batch_sizes, modes, plan):
        if record.case["batch"] == max(batch_sizes) and full(record):
            record = replace(record, case=record.case | {"filled": True, "bound": "computation"})
        yield record


def steps(
    twin: Study, timings: Sequence[Timing], modes: Sequence[str], plan: harness.Plan
) -> Iterator[Timing]:
    """Training steps at the size that fills this machine, where the largest of `timings` does not.

    Nothing where nothing was timed, or where memory holds no larger size.
    """
    if not timings or full(timings[-1]):
        return
    first, variant = timings[-1].case["batch"], fastest(timings[-1])[0]
    mode = variant.split()[-1]
    asked = {"model": twin.model, "config": twin.config, "mode": mode, "variant": variant}

    def seconds(batch: int) -> float:
        tell(f"{twin.name}: is batch {batch} long enough?")
        return fresh_process.call("twins.timing.saturation:once", asked | {"batch": batch})

    def fits(batch: int) -> bool:
        return free(lambda: study.room(twin, batch, models=2 * len(modes) + 2))

    batch, bound = grow(first, seconds, fits)
    if batch > first:
        yield from study.timed_steps(twin, batch, modes, plan, filled=True, bound=bound)


def reading(timings: Sequence[Timing]) -> str:
    """Which size fills this machine, and why it was taken, in one sentence."""
    if not timings:
        return "Nothing was timed."
    last = timings[-1]
    size, step = last.case["batch"], wording.milliseconds(fastest(last)[1])
    told = f"the faster framework's step takes {step}"
    if not last.case.get("filled"):
        more = "" if full(last) else "; no larger size was timed, so per-operation overhead may still show"
        return f"At the largest fixed size, batch {size}, {told}{more}."
    if last.case["bound"] == "memory":
        return f"Batch {size} is the largest that memory holds: {told}, so overhead may still show."
    return f"Batch {size} fills this machine: {told}, which is arithmetic, not overhead."
