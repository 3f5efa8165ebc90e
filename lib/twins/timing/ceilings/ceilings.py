"""The ceilings of a machine, from its probes, and the share of them that a step reaches."""

from collections.abc import Iterable

import pandas as pd

from twins.records.record_types import Machine, Timing, Work
from twins.timing import statistics
from twins.timing.comparison import FRAMEWORKS, runs, variants

ADDED = 2**24  # numbers per vector of the smallest probe of additions: 64 MB in float32, beyond most caches


def ceiling(probes: Iterable[Timing], dtype: str = "float32") -> float:
    """The machine's one ceiling for a precision: the most FLOP/s either framework's product reached."""
    reached = [0.0]
    for record in probes:
        if record.subject == "matmul" and record.case["dtype"] == dtype:
            found = runs(record)
            work = 2 * record.case["n"] ** 3
            reached += [work / statistics.median(found, variant) for variant in variants(found)]
    return max(reached)


def _moved(case: dict) -> int:
    """Bytes of one addition of float32 vectors: two are read, one is written."""
    return 12 * case.get("numbers", ADDED)


def bandwidth(probes: Iterable[Timing]) -> float:
    """The machine's one ceiling for memory: the most bytes per second either framework's addition moved."""
    found = [(_moved(record.case), runs(record)) for record in probes if record.subject == "addition"]
    return max(
        (size / statistics.median(each, variant) for size, each in found for variant in variants(each)),
        default=0.0,
    )


def utilisation(records: Iterable[Timing], works: Iterable[Work], peak: float) -> pd.DataFrame:
    """Share of the ceiling each step reaches: its counted operations over its time over `peak`, FLOP/s."""
    flops = {work.case["batch"]: work.flops for work in works}
    rows = []
    for record in records:
        found, batch = runs(record), record.case["batch"]
        for variant in variants(found):
            achieved = flops[batch] / statistics.median(found, variant)
            rows.append((batch, variant, achieved / 1e9, achieved / peak))
    return pd.DataFrame(rows, columns=["batch", "step", "GFLOP/s", "share"])


def probe_table(probes: Iterable[Timing]) -> pd.DataFrame:
    """The machine's probes: what each framework reaches, and their ratio."""
    rows = []
    for record in probes:
        found = runs(record)
        units = {
            "matmul": ("GFLOP/s", lambda s, c=record.case: 2e-9 * c["n"] ** 3 / s),
            "addition": ("GB/s", lambda s, c=record.case: 1e-9 * _moved(c) / s),
            "synchronisation": ("µs", lambda s: 1e6 * s),
        }
        unit, scale = units[record.subject]
        what = _named(record)
        for kind in dict.fromkeys(variant.partition(", ")[2] for variant in variants(found)):
            names = [f"{f}, {kind}" if kind else f for f in FRAMEWORKS]
            mlx, torch = (float(scale(statistics.median(found, name))) for name in names)
            ratio = statistics.ratio(found, names[1], names[0])
            probe = f"{what}, {kind}" if kind else what
            rows.append((probe, unit, float(f"{mlx:.3g}"), float(f"{torch:.3g}"), str(ratio)))
    return pd.DataFrame(rows, columns=["probe", "unit", "MLX", "PyTorch", "time, PyTorch ÷ MLX"])


def _named(record: Timing) -> str:
    """A probe in words, with its size where it has several."""
    case = record.case
    if "n" in case:
        return f"{case['n']} × {case['n']} {case['dtype']} product"
    return f"{record.subject} of {case['numbers']:,} numbers" if "numbers" in case else record.subject


def product_reading(probes: Iterable[Timing], machine: Machine) -> str:
    """How far the float32 product of 1024, or the largest below, is apart, and what computed it."""
    products = [r for r in probes if r.subject == "matmul" and r.case["dtype"] == "float32"]
    fitting = [r for r in products if r.case["n"] <= 1024] or products
    if not fitting:
        return "No float32 product was timed."
    record = max(fitting, key=lambda r: r.case["n"])
    ratio = statistics.ratio(runs(record), "PyTorch", "MLX")
    size = record.case["n"]
    on_cpu = machine.device == "CPU"
    by = f"MLX's BLAS: {machine.blas}" if on_cpu else f"Computed by {machine.device}, not by the CPU's BLAS"
    return f"Float32 product of {size} × {size}: PyTorch's time over MLX's is {ratio}. {by}."


def over(shares: Iterable[float]) -> str:
    """Whether a share is above 1, which is a fault of the ceiling, in one sentence."""
    highest = max(shares, default=None)
    if highest is None:
        return "There is no share to compare with the ceiling."
    if highest <= 1:
        return "No share is above the ceiling."
    return (
        f"The highest share is {100 * highest:.0f} % of the ceiling. No step exceeds what a machine can do: "
        "the probe of the ceiling read too little, and every share here is too high by at least as much."
    )
