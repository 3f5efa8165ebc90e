"""The probes of a machine's ceilings, timed like everything else: products, STREAM's kernels, empty waiting.

A matrix product gives FLOP/s. Bytes per second are those of STREAM (McCalpin 1995,
https://www.cs.virginia.edu/stream/ref.html): copy c = a, add c = a + b and triad c = a + 3b, of which 8, 12
and 12 bytes a number are counted; results go into memory that exists. A probe that is too short on a fast
machine measures how long it takes to start an operation, so it grows until two sizes agree, it takes long
enough, or memory is short.
"""

import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import psutil

from twins.frameworks import BOTH, DTYPES, MLX, TORCH
from twins.machine import kept_processes
from twins.records import store
from twins.records.record_types import Machine, Timing
from twins.timing import harness, statistics
from twins.timing.ceilings.ceilings import NUMBERS, bandwidth, ceiling
from twins.timing.comparison import runs, variants
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip

LONG = 0.01  # seconds; a call of this length is not a matter of starting it
PATIENCE = 0.05  # seconds; where the slower framework takes longer, nothing is doubled again
AGREE = 1.05  # two sizes whose best rates are within this factor have found the ceiling
HELD = 14  # vectors or matrices that are alive at once: STREAM's kernels hold 11; and room
MEMORY_SHARE = 0.5  # of what is free
CEILINGS = {"matmul": {"n": 1024}, "stream": {"numbers": NUMBERS}}  # the case that each begins with
HALF = 512  # side of a product in a half type where no page has timed one: slow on CPUs


def _variant(framework, compute) -> Variant:
    return Variant(lambda: framework.evaluate(compute()), framework.synchronize)


def matmul_variants(n: int, dtype: str) -> dict[str, Variant]:
    """A square product in both frameworks, and both again for A/A."""
    numbers = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    variants = {}
    for name, framework in [(each.name + again, each) for again in ("", AGAIN) for each in BOTH]:
        x = framework.array(numbers, dtype)
        variants[name] = _variant(framework, partial(lambda x: x @ x, x))
    return variants


def _donated(take: Callable[[mx.array], mx.array], numbers: int) -> Variant:
    """`take` of a vector that only its result replaces: MLX has no `out=`, it reuses what nobody holds."""
    held = [mx.ones(numbers)]
    mx.eval(held)

    def call() -> None:
        held[0] = take(held[0])
        mx.eval(held)

    return Variant(call, MLX.synchronize)


def stream_variants(numbers: int = NUMBERS) -> dict[str, Variant]:
    """STREAM's kernels on float32 vectors in both frameworks, the sum in place again for A/A, NumPy's copy.

    None allocates. PyTorch has `out=`; where MLX must write over an operand ("in place"), PyTorch also does.
    """
    a, zeros = (MLX.array(np.full(numbers, value, np.float32)) for value in (1, 0))
    x, y, z, w = (TORCH.array(np.full(numbers, value, np.float32)) for value in (1, 0, 1, 1))
    host, first = (np.zeros(numbers, np.float32), np.ones(numbers, np.float32)), mx.array([0])
    ours = {
        "copy": lambda c: mx.slice_update(c, a, first, [0]),
        "add in place": lambda c: c + zeros,
        "add in place" + AGAIN: lambda c: c + zeros,
    }
    theirs = {
        "copy": lambda: z.copy_(x),
        "add": lambda: torch.add(x, y, out=z),
        "triad": lambda: torch.add(x, y, alpha=3, out=z),
        "add in place": lambda: torch.add(z, y, out=z),
        "add in place" + AGAIN: lambda: torch.add(w, y, out=w),
    }
    made = {f"MLX, {name}": _donated(take, numbers) for name, take in ours.items()}
    made |= {f"PyTorch, {name}": Variant(call, TORCH.synchronize) for name, call in theirs.items()}
    return made | {"NumPy, copy": Variant(partial(np.copyto, *host), lambda: None)}


def new_pages(numbers: int) -> dict[str, int]:
    """The work of another process: pages that the third call of every kernel touches first (getrusage(2))."""
    counted = {}
    for name, variant in stream_variants(numbers).items():
        faults = [(harness.once(variant), resource.getrusage(resource.RUSAGE_SELF).ru_minflt) for _ in "123"]
        counted[name] = faults[2][1] - faults[1][1]
    return counted


def synchronisation_variants() -> dict[str, Variant]:
    """Waiting for nothing, and for the smallest operation there is, in both frameworks."""
    variants = {f"{each.name}, empty": Variant(lambda: None, each.synchronize) for each in BOTH}
    for each in BOTH:
        one = each.array(np.ones(1, np.float32))
        variants[f"{each.name}, one addition"] = _variant(each, partial(lambda x: x + x, one))
    return variants | {f"{e.name}, empty{AGAIN}": Variant(lambda: None, e.synchronize) for e in BOTH}


def probes(
    sizes: Sequence[int], half_sizes: Sequence[int], plan: harness.Plan, grow: bool = True
) -> Iterator[Timing]:
    """The machine's ceilings: products in float32 and in both half types, STREAM, synchronisation."""
    for dtype, sides in (("float32", sizes), ("float16", half_sizes), ("bfloat16", half_sizes)):
        yield from _grown("matmul", [{"n": n, "dtype": dtype} for n in sides], plan, grow)
    yield from _grown("stream", [CEILINGS["stream"]], plan, grow)
    yield _probe("synchronisation", {}, plan)


def _grown(subject: str, cases: list[dict], plan: harness.Plan, grow: bool) -> Iterator[Timing]:
    """The probe of each case, and then of twice its size as long as that may find a higher rate."""
    made = []
    while cases:
        made.append(_probe(subject, cases[0], plan))
        yield made[-1]
        cases = cases[1:]
        if grow and not cases and not settled(made) and fits(larger := _larger(made[-1].case)):
            cases = [larger]


def _probe(subject: str, case: dict, plan: harness.Plan) -> Timing:
    measured = harness.measure(f"twins.timing.ceilings.probes:{subject}_variants", case, plan)
    tell(" ".join([subject, *map(str, case.values())]))
    if subject == "stream":
        case = case | {"new_pages": kept_processes.call(0, "twins.timing.ceilings.probes:new_pages", case)}
    return Timing(subject, case, [asdict(run) for run in measured])


def settled(made: Sequence[Timing]) -> bool:
    """Whether the last probe found the ceiling: it is long, or its best rate is that of the one before."""
    found = runs(made[-1])
    seconds = [statistics.median(found, variant) for variant in variants(found)]
    if min(seconds) >= LONG or max(seconds) >= PATIENCE:
        return True
    rates = [_rate(record) for record in made[-2:]]
    return len(rates) == 2 and rates[1] <= AGREE * rates[0]


def _rate(record: Timing) -> float:
    """The best FLOP/s or bytes per second of a probe."""
    return ceiling([record], record.case["dtype"]) if "n" in record.case else bandwidth([record])


def _larger(case: dict) -> dict:
    """Twice the side of a product, or twice the numbers of a vector."""
    return case | {"n": 2 * case["n"]} if "n" in case else {"numbers": 2 * case["numbers"]}


def fits(case: dict) -> bool:
    """Whether a probe of this size fits into the memory that is free."""
    numbers = case["n"] ** 2 if "n" in case else case["numbers"]
    return 4 * HELD * numbers < MEMORY_SHARE * psutil.virtual_memory().available


def ceiling_probes(
    machine: Machine, plan: harness.Plan, subject: str = "matmul", dtypes: Sequence[str] = ("float32",)
) -> list[Timing]:
    """The probes that give this machine's ceilings: those of its newest 01_machine, what it lacks timed now.

    `subject` is "matmul" for arithmetic, in each of `dtypes`, or "stream" for memory. Records made under
    other versions or on another device do not count.
    """
    newest = store.latest(store.read().on(machine.device), machine.id, "01_machine")
    same = [r for r in newest.records if r.versions == machine.versions]
    known = store.Found(same, []).bodies(Timing, subject=subject)
    if subject == "stream":
        return known or list(_grown(subject, [CEILINGS[subject]], plan, grow=True))
    there = {record.case["dtype"] for record in known}
    for dtype in [each for each in DTYPES if each in dtypes and each not in there]:
        case = (CEILINGS[subject] if dtype == "float32" else {"n": HALF}) | {"dtype": dtype}
        known += _grown(subject, [case], plan, grow=True)
    return known
