"""The probes of a machine's ceilings, timed like everything else: products, long additions, empty waiting.

A matrix product gives FLOP/s, an addition of long vectors bytes per second as in STREAM (McCalpin 1995,
https://www.cs.virginia.edu/stream/). A probe that is too short on a fast machine measures how long it takes
to start an operation, so it grows until two sizes agree, it takes long enough, or memory is short.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import psutil
import torch

from twins.frameworks import BOTH, MLX, TORCH
from twins.records import store
from twins.records.record_types import Machine, Timing
from twins.timing import harness, statistics
from twins.timing.ceilings.ceilings import ADDED, bandwidth, ceiling
from twins.timing.comparison import runs, variants
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

LONG = 0.02  # seconds; a call of this length is not a matter of starting it
PATIENCE = 0.1  # seconds; where the slower framework takes longer, nothing is doubled again
AGREE = 1.05  # two sizes whose best rates are within this factor have found the ceiling
HELD = 12  # vectors or matrices that are alive at once: the inputs and results of three variants, and room
MEMORY_SHARE = 0.5  # of what is free
CEILINGS = {"matmul": {"n": 1024, "dtype": "float32"}, "addition": {}}  # the case that each begins with


def _variant(framework, compute) -> Variant:
    return Variant(lambda: framework.evaluate(compute()), framework.synchronize)


def matmul_variants(n: int, dtype: str) -> dict[str, Variant]:
    """A square product in both frameworks, and torch's again for A/A."""
    numbers = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    variants = {}
    for name, framework in {"MLX": MLX, "PyTorch": TORCH, "PyTorch" + AGAIN: TORCH}.items():
        x = framework.array(numbers, dtype)
        variants[name] = _variant(framework, partial(lambda x: x @ x, x))
    return variants


def addition_variants(numbers: int = ADDED) -> dict[str, Variant]:
    """A sum of two long float32 vectors in both frameworks, and torch's again for A/A.

    torch writes into a vector that is there: on a CPU it would ask the system for new pages in every call and
    measure these. MLX has no such argument; its own cache hands it the memory of the sum before.
    """
    variants = {}
    for name, framework in {"MLX": MLX, "PyTorch": TORCH, "PyTorch" + AGAIN: TORCH}.items():
        x, y = (framework.array(np.full(numbers, value, np.float32)) for value in (1.0, 2.0))
        add = partial(torch.add, out=torch.empty_like(x)) if framework is TORCH else operator.add
        variants[name] = _variant(framework, partial(add, x, y))
    return variants


def synchronisation_variants() -> dict[str, Variant]:
    """Waiting for nothing, and for the smallest operation there is, in both frameworks."""
    variants = {f"{each.name}, empty": Variant(lambda: None, each.synchronize) for each in BOTH}
    for each in BOTH:
        one = each.array(np.ones(1, np.float32))
        variants[f"{each.name}, one addition"] = _variant(each, partial(lambda x: x + x, one))
    return variants | {"PyTorch, empty" + AGAIN: Variant(lambda: None, TORCH.synchronize)}


def probes(
    sizes: Sequence[int], half_sizes: Sequence[int], plan: harness.Plan, grow: bool = True
) -> Iterator[Timing]:
    """The machine's ceilings: products in float32 and in both half types, long additions, synchronisation."""
    for dtype, sides in (("float32", sizes), ("float16", half_sizes), ("bfloat16", half_sizes)):
        yield from _grown("matmul", [{"n": n, "dtype": dtype} for n in sides], plan, grow)
    yield from _grown("addition", [CEILINGS["addition"]], plan, grow)
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
    if "n" in case:
        return case | {"n": 2 * case["n"]}
    return {"numbers": 2 * case.get("numbers", ADDED)}


def fits(case: dict) -> bool:
    """Whether a probe of this size fits into the memory that is free."""
    numbers = case["n"] ** 2 if "n" in case else case.get("numbers", ADDED)
    return 4 * HELD * numbers < MEMORY_SHARE * psutil.virtual_memory().available


def ceiling_probes(machine: Machine, plan: harness.Plan, subject: str = "matmul") -> list[Timing]:
    """The probes that give this machine's ceiling: those of its newest 01_machine, or some timed now.

    `subject` is "matmul" for arithmetic or "addition" for memory. Records made under other versions or on
    another device do not count.
    """
    newest = store.latest(store.read().on(machine.device), machine.id, "01_machine")
    same = [r for r in newest.records if r.versions == machine.versions]
    known = store.Found(same, []).bodies(Timing, subject=subject)
    return known or list(_grown(subject, [CEILINGS[subject]], plan, grow=True))
