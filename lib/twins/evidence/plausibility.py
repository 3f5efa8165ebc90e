"""Which records cannot be true: a time below zero, more right answers than examples, faster than any chip.

Records from other machines are checked with this before they are added (sharing.py). It finds mistakes and
clumsy edits; it cannot find a careful forgery.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from twins.records import record_types as kinds
from twins.records.store import Record
from twins.timing import statistics
from twins.timing.ceilings import ceilings

FASTEST = 1e16  # FLOP/s: above twice what the fastest accelerator on sale does in half precision
WIDEST = 2e13  # bytes/s: above twice the widest memory on sale
ABOVE_PROBE = 1.5  # a step may beat the machine's own probed ceiling by this much: the probe is a sample too
LONGEST = 86400.0  # seconds of one call: a day
MLX_EXISTS = datetime(2023, 12, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)  # of clocks that are set wrong
LEAST = {  # what a field of each kind of record must at least be; None is no number
    kinds.Machine: dict.fromkeys(("cores", "memory_gb", "threads", "gpu_cores"), 1),
    kinds.Accuracy: {"total": 1},
    kinds.Work: {"flops": 1},
    kinds.Memory: {"resident": 0, "allocator": 0},
    kinds.Footprint: {"calculated": 1, "measured": 1},
    kinds.Sharing: {"size": 1},
    kinds.Energy: {"joules": 0},
    kinds.Conversion: {"size": 1, "operations": 1, "error": 0},
    kinds.Compressed: {"size": 1, "weights": 1, "total": 1, "value": 0, "error": 0},
    kinds.Traffic: {"compulsory": 1},
    kinds.Exchange: {"processes": 2, "size": 1},
    kinds.Precision: {"size": 1, "product": 0, "gradients": 0},
}
PROBES = {  # what each is called, and what none can reach
    "matmul": ("a matmul at {:.1e} FLOP/s; no chip does {:.0e}", FASTEST),
    "stream": ("a kernel of STREAM at {:.1e} bytes/s; no memory does {:.0e}", WIDEST),
    ceilings.ALLOCATED: ("an addition at {:.1e} bytes/s; no memory does {:.0e}", WIDEST),
}
SESSION = {"boot": r"|\d{4}-\d\d-\d\dT\d\d:\d\dZ", "host": r"|[0-9a-f]{6}"}  # a machine's, or empty


def problem(record: Record) -> str | None:
    """Why a record cannot be true, in words; None when no check fails."""
    return next(_problems(record), None)


def _problems(record: Record) -> Iterator[str]:
    """Every failed check of a record, those that all kinds share first."""
    body, kind = record.body, type(record.body)
    yield from _date(record.run)
    for name, low in LEAST.get(kind, {}).items():
        if (value := getattr(body, name)) is not None and value < low:
            yield f"{record.kind}.{name} is {value!r}, it must be at least {low:g}"
    yield from _CHECKS.get(kind, lambda _: ())(body)
    if isinstance(body, kinds.Machine) and body.id != record.machine:
        yield f"machine.id is {body.id!r}, the record's machine {record.machine!r}"


def _date(run: str) -> Iterator[str]:
    try:
        when = datetime.strptime(run, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        yield f"run is {run!r:.40}, it must be a time such as 2026-01-31T12:00:00.000000Z"
        return
    if when > datetime.now(UTC) + AHEAD:
        yield f"run is {run}, which is in the future"
    if when < MLX_EXISTS:
        yield f"run is {run}, before MLX was released"


def _machine(body: kinds.Machine) -> Iterator[str]:
    for name, form in SESSION.items():
        if not re.fullmatch(form, found := getattr(body, name)):
            yield f"machine.{name} is {found!r:.40}, it must be as this project writes it, or empty"


def _timing(body: kinds.Timing) -> Iterator[str]:
    for what in ("n", "numbers") if body.subject in PROBES else ():
        if not isinstance(size := body.case.get(what, 1), int):
            yield f"timing.case.{what} is {size!r:.40}, it must be int"
    try:
        runs = [statistics.run_from(run) for run in body.runs]
        if not runs or not all(run.arms for run in runs):
            yield "timing.runs hold no sample"
        yield from _samples(runs)
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError) as error:
        yield f"timing.runs are not runs of a measurement ({error})"


def _samples(runs: list[statistics.Run]) -> Iterator[str]:
    """Samples of a measurement, variant by variant."""
    for run in runs:
        for variant, samples in run.arms.items():
            times = [samples.first, *samples.wall]
            if not samples.wall or len(samples.wall) != len(samples.cpu):
                yield (
                    f"timing: {variant!r} has {len(samples.wall)} wall and {len(samples.cpu)} CPU times; "
                    "there must be at least one, and as many of both"
                )
            if not 0 < min(times) <= max(times) <= LONGEST:
                yield (
                    f"timing: variant {variant!r} has times from {min(times):g} to {max(times):g} s; "
                    f"they must be above 0 and at most {LONGEST:g}"
                )
            if not isinstance(run.kept, int) or run.kept < 1 or len(samples.wall) % run.kept:
                yield f"timing: {variant!r} has {len(samples.wall)} times: no rounds of {run.kept!r:.40}"
            if min(samples.cpu, default=0) < 0:
                yield f"timing: variant {variant!r} has a CPU time of {min(samples.cpu):g} s, below 0"


def _accuracy(body: kinds.Accuracy) -> Iterator[str]:
    for who, right in {**body.right, "majority": body.majority}.items():
        if not 0 <= right <= body.total:
            yield f"accuracy: {who} is right on {right} of {body.total}"


def _fit(body: kinds.Fit) -> Iterator[str]:
    lowest = min([*body.held_out.values(), *(x for each in body.losses.values() for x in each)], default=0)
    if lowest < 0:
        yield f"fit: a loss is {lowest:g} nats, below 0"


def _conversion(body: kinds.Conversion) -> Iterator[str]:
    for step, seconds in body.steps.items():
        if not 0 <= seconds <= LONGEST:
            yield f"conversion: step {step!r} took {seconds:g} s; it must be 0 to {LONGEST:g}"
    if body.failed and body.right:
        yield f"conversion: step {body.failed!r} failed, but the package is right"


def _coverage(body: kinds.Coverage) -> Iterator[str]:
    for name, count in {**body.outcomes, **body.reasons}.items():
        if count < 0:
            yield f"coverage: {name!r} is counted {count} times, below 0"


def _compressed(body: kinds.Compressed) -> Iterator[str]:
    if body.weights > body.size:
        yield f"compressed: weights take {body.weights} bytes of a package of {body.size}"
    if body.metric == "accuracy" and body.value > 1:
        yield f"compressed: accuracy is {body.value:g}, above 1"


def _breadth(body: kinds.Breadth) -> Iterator[str]:
    if not len(body.lacking) <= body.total or body.total < 1:
        yield f"breadth: {len(body.lacking)} of {body.total} are lacking"


def _traffic(body: kinds.Traffic) -> Iterator[str]:
    if body.unfused < body.compulsory:
        yield f"traffic: {body.unfused} bytes unfused are fewer than the {body.compulsory} that must be moved"


def _exchange(body: kinds.Exchange) -> Iterator[str]:
    for seconds in (*body.reduced, *body.copied):
        if not 0 < seconds <= LONGEST:
            yield f"exchange: a time is {seconds:g} s; it must be above 0, up to {LONGEST:g}"


_CHECKS = {
    kinds.Exchange: _exchange,
    kinds.Machine: _machine,
    kinds.Timing: _timing,
    kinds.Accuracy: _accuracy,
    kinds.Fit: _fit,
    kinds.Conversion: _conversion,
    kinds.Coverage: _coverage,
    kinds.Compressed: _compressed,
    kinds.Breadth: _breadth,
    kinds.Traffic: _traffic,
}


def rates(records: list[Record]) -> Iterator[tuple[int, str]]:
    """Timings faster than a chip can be, by their place in the list: a sentence each.

    A probe is compared with the fastest chip on sale, a training step with counted work with 1.5 times the
    fastest float32 product that the same machine was probed with.
    """
    probed = 0.0
    work = {_case(r.body.twin, r.body.case): r.body.flops for r in records if isinstance(r.body, kinds.Work)}
    timed = [(i, r.body) for i, r in enumerate(records) if isinstance(r.body, kinds.Timing)]
    for i, body in timed:
        if body.subject not in PROBES or (body.subject == "matmul" and "n" not in body.case):
            continue
        rate, (told, limit) = ceilings.best_rate([body]), PROBES[body.subject]
        if body.case.get("dtype") == "float32":
            probed = max(probed, rate)
        if rate > limit:
            yield i, told.format(rate, limit)
    ceiling = ABOVE_PROBE * probed if probed else FASTEST
    for i, body in timed:
        flops = work.get(_case(body.case.get("twin"), body.case)) if body.subject == "training step" else None
        if flops and (rate := flops / _fastest(body)) > ceiling:
            yield i, f"a training step at {rate:.1e} FLOP/s; this machine's ceiling is {ceiling:.1e}"


def _case(twin: object, case: dict) -> str:
    """What a timing and its counted work have in common."""
    return str((twin, sorted((k, str(v)) for k, v in case.items() if k != "twin")))


def _fastest(body: kinds.Timing) -> float:
    """The median of the fastest variant, in seconds."""
    runs = [statistics.run_from(run) for run in body.runs]
    return min(statistics.median(runs, variant) for variant in statistics.variant_names(runs))
