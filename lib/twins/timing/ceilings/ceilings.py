"""The ceilings of a machine, from its probes, and the share of them that a step reaches.

Arithmetic has one ceiling for each type, memory one for all. A share above LIMIT is a fault of its ceiling
and is not printed: TOO_LOW stands in its place.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from twins.records.record_types import Machine, Timing, Work
from twins.timing import statistics, wording
from twins.timing.comparison import FRAMEWORKS, runs, variants

NUMBERS = 2**24  # float32 per vector of the smallest probe of memory: 64 MB, beyond most caches
MOVED = {"copy": 2, "add": 3, "triad": 3}  # vectors that STREAM counts for each kernel: read and written
LIMIT = 105  # %; above it a share is no share
TOO_LOW = "ceiling too low"
SHARE = "of the ceiling, %"
FASTER = "as fast [95 % interval]"
ALLOCATED = "addition"  # the probe of memory until November 2026, which allocated its result


def ceiling(probes: Iterable[Timing], dtype: str = "float32") -> float:
    """The machine's one ceiling for a type, FLOP/s: the best product of either framework; 0 if unknown."""
    return best_rate(r for r in probes if r.subject == "matmul" and r.case["dtype"] == dtype)


def best_rate(probes: Iterable[Timing]) -> float:
    """The highest rate of any variant of some probes; 0 of none."""
    found = [(record, runs(record)) for record in probes]
    return max((rate(r, each, v) for r, each in found for v in variants(each)), default=0.0)


def peaks(probes: Iterable[Timing]) -> dict[str, float]:
    """The ceiling of every type whose products were timed, in FLOP/s."""
    products = [record for record in probes if record.subject == "matmul"]
    return {dtype: ceiling(products, dtype) for dtype in dict.fromkeys(r.case["dtype"] for r in products)}


def work(record: Timing, variant: str) -> int:
    """Operations of a product, or bytes of one call of a kernel as STREAM counts them, in float32."""
    if record.subject == "matmul":
        return 2 * record.case["n"] ** 3
    kernel = variant.partition(", ")[2].partition(" ")[0] if record.subject == "stream" else "add"
    return 4 * MOVED.get(kernel, 0) * record.case.get("numbers", NUMBERS)


def rate(record: Timing, found: list[statistics.Run], variant: str) -> float:
    """FLOP/s or bytes per second that one variant of a probe reached."""
    return work(record, variant) / statistics.median(found, variant)


def bandwidth(probes: Iterable[Timing]) -> float:
    """The machine's one ceiling for memory, bytes/s: the best kernel that does not allocate; 0 if unknown."""
    return best_rate(record for record in probes if record.subject == "stream")


def percent(reached: float, peak: float) -> float | str | None:
    """A rate as a share of its ceiling: TOO_LOW above LIMIT, None where the ceiling is not known."""
    share = 100 * reached / peak if peak else None
    return TOO_LOW if share is not None and share > LIMIT else share


def named(peak: float, dtype: str = "") -> str:
    """A ceiling in words: "164 GFLOP/s in float32", or of memory where no type is given."""
    if not peak:
        return "not measured"
    return f"{peak / 1e9:.0f} GFLOP/s in {dtype}" if dtype else f"{peak / 1e9:.3g} GB/s of memory"


def utilisation(records: Iterable[Timing], works: Iterable[Work], peaks: Mapping[str, float]) -> pd.DataFrame:
    """Share of its own type's ceiling, FLOP/s by type, that the counted operations of each step reach."""
    flops = {work.case["batch"]: work.flops for work in works}
    rows = []
    for record in records:
        found, batch = runs(record), record.case["batch"]
        for variant in variants(found):
            dtype = variant.split()[-1] if "float" in variant else "float32"
            achieved = flops[batch] / statistics.median(found, variant)
            peak = peaks.get(dtype, 0.0)
            rows.append((batch, variant, achieved / 1e9, named(peak, dtype), percent(achieved, peak)))
    return pd.DataFrame(rows, columns=["batch", "step", "GFLOP/s", "ceiling", SHARE])


def probe_table(probes: Iterable[Timing]) -> pd.DataFrame:
    """The machine's probes: what each framework reaches, and who is how many times as fast at the same."""
    rows = []
    for record in probes:
        found, what = runs(record), _named(record)
        unit = {"matmul": "GFLOP/s", "synchronisation": "µs"}.get(record.subject, "GB/s")
        for each in dict.fromkeys(variant.partition(", ")[2] for variant in variants(found)):
            names = [f"{f}, {each}" if each else f for f in (*FRAMEWORKS, "NumPy")]
            cells = [_reached(record, found, name) if name in variants(found) else "" for name in names]
            both = all(name in variants(found) for name in names[:2])
            told = _faster(found, *names[:2]) if both else ""
            rows.append((f"{', '.join(filter(None, (what, each)))}, {unit}", *cells, told))
    made = pd.DataFrame(rows, columns=["probe, unit", *FRAMEWORKS, "NumPy", FASTER])
    return made if made["NumPy"].any() else made.drop(columns="NumPy")


def _faster(found: list[statistics.Run], mlx: str, torch: str) -> str:
    """Which of two variants is how many times as fast, with the interval within this session."""
    ratio = statistics.ratio(found, torch, mlx)
    if ratio.tie(statistics.band(found)):
        return "no difference shown"
    who, _ = wording.faster(ratio.value)
    return f"{wording.as_fast(ratio.value)} {wording.interval(ratio.low, ratio.high, who)}"


def _reached(record: Timing, found: list[statistics.Run], variant: str) -> float:
    """What one variant of a probe reaches, in three digits."""
    waited = record.subject == "synchronisation"
    reached = 1e6 * statistics.median(found, variant) if waited else 1e-9 * rate(record, found, variant)
    return float(f"{reached:.3g}")


def _named(record: Timing) -> str:
    """A probe in words, with its size where it has several."""
    case = record.case
    if "n" in case:
        return f"{case['n']} × {case['n']} {case['dtype']} product"
    what = {"stream": "STREAM", ALLOCATED: "addition with allocation"}.get(record.subject, record.subject)
    return f"{what} of {case['numbers']:,} numbers" if "numbers" in case else what


def product_reading(probes: Iterable[Timing], machine: Machine) -> str:
    """Who is faster at the float32 product of 1024, or the largest below, and what computed it."""
    products = [r for r in probes if r.subject == "matmul" and r.case["dtype"] == "float32"]
    fitting = [r for r in products if r.case["n"] <= 1024] or products
    if not fitting:
        return "No float32 product was timed."
    record = max(fitting, key=lambda r: r.case["n"])
    told, size = _faster(runs(record), "MLX", "PyTorch"), record.case["n"]
    on_cpu = machine.device == "CPU"
    by = f"MLX's BLAS: {machine.blas}" if on_cpu else f"Computed by {machine.device}, not by the CPU's BLAS"
    return f"Float32 product of {size} × {size}: {told}. {by}."


def memory_reading(probes: Iterable[Timing]) -> str:
    """The ceiling for memory, the share of it in NumPy's copy, and the new pages that a call touches."""
    streams = [record for record in probes if record.subject == "stream"]
    if not streams:
        told = "The ceiling for memory is not known: "
        return told + "the former probe allocated its result and read too little. Run `make report-01`."
    peak, copy = bandwidth(streams), max(rate(r, runs(r), "NumPy, copy") for r in streams)
    pages = max(max(record.case["new_pages"].values()) for record in streams)
    told = (
        f"Memory moves at most {peak / 1e9:.3g} GB/s; NumPy's copy reaches {100 * copy / peak:.0f} % of that."
    )
    return f"{told} No timed call touches more than {pages} new pages of memory."


def over(*tables: pd.DataFrame, share: str = SHARE) -> str:
    """How many shares of some tables exceed their ceiling and are not printed, and what to do."""
    cells = pd.concat([table.reindex(columns=[share, "ceiling"]) for table in tables]).dropna()
    low = cells[cells[share] == TOO_LOW]
    if low.empty:
        return "No share is known." if cells.empty else f"No share is above {LIMIT} % of its ceiling."
    probes = " and that of ".join(dict.fromkeys(low["ceiling"]))
    return (
        f"{len(low)} of {len(cells)} shares exceed {LIMIT} % of the ceiling and are not printed: the probe "
        f"of {probes} read too little, or data lay in a cache. Run `make report-01`, then this page again."
    )
