"""The answer of the page on the machine: what it does at best, and how close each framework comes."""

from collections.abc import Sequence

import pandas as pd

from twins.evidence.answers.answer import Answer
from twins.records.record_types import Precision, Timing
from twins.records.store import Record
from twins.timing import comparison
from twins.timing.ceilings import ceilings

FULL, PRODUCTS, MEMORY = "float32", "products in {}", "memory"


def answer(records: list[Record]) -> Answer | None:
    """The ceilings of the newest run, and the share of each that each framework reaches."""
    newest = max((record.run for record in records), default="")
    bodies = [record.body for record in records if record.run == newest]
    probes = [body for body in bodies if isinstance(body, Timing)]
    products = [probe for probe in probes if probe.subject == "matmul"]
    streams = [probe for probe in probes if probe.subject == "stream"]
    if not _of(products, FULL):
        return None
    found = _ceilings(products, streams)
    told = {name: _told(name, *row) for name, row in found.items()}
    line = "; ".join(told[name] for name in (PRODUCTS.format(FULL), MEMORY) if name in told)
    half = [each for name, each in told.items() if each not in line]
    sentences = [
        f"**At best**, and how close each framework comes: {line}.",
        f"**In half types**: {'; '.join(half)}." if half else "",
        _float32([body for body in bodies if isinstance(body, Precision)]),
        comparison.aa([*_of(products, FULL), *streams]),
    ]
    return Answer(line, tuple(filter(None, sentences)), "training speed, which these probes do not predict.")


def table(probes: Sequence[Timing]) -> pd.DataFrame:
    """Every ceiling of some probes and the share of it that each framework reaches."""
    products, streams = ([p for p in probes if p.subject == subject] for subject in ("matmul", "stream"))
    rows = [
        (f"{name}, {unit}", peak / 1e9, *(shares.get(each) for each in comparison.FRAMEWORKS))
        for name, (peak, unit, shares) in _ceilings(products, streams).items()
    ]
    columns = ["ceiling", "at best", *(f"{each}, %" for each in comparison.FRAMEWORKS)]
    return pd.DataFrame(rows, columns=columns)


def _ceilings(products: Sequence[Timing], streams: Sequence[Timing]) -> dict[str, tuple[float, str, dict]]:
    """By name of a ceiling: its rate, its unit, and the share that each framework reaches."""
    found = {
        PRODUCTS.format(dtype): (peak, "GFLOP/s", _shares(_of(products, dtype), peak))
        for dtype, peak in ceilings.peaks(products).items()
    }
    peak = ceilings.bandwidth(streams)
    return found | ({MEMORY: (peak, "GB/s", _shares(streams, peak))} if peak else {})


def _of(products: Sequence[Timing], dtype: str) -> list[Timing]:
    return [probe for probe in products if probe.case["dtype"] == dtype]


def _shares(probes: Sequence[Timing], peak: float) -> dict[str, float]:
    """The best share of a ceiling that each framework reaches, in %."""
    rates: dict[str, float] = {}
    for probe in probes:
        found = comparison.runs(probe)
        for variant in comparison.variants(found):
            name = variant.split(",")[0]
            rates[name] = max(rates.get(name, 0.0), ceilings.rate(probe, found, variant))
    return {name: 100 * rate / peak for name, rate in rates.items()}


def _told(name: str, peak: float, unit: str, shares: dict[str, float]) -> str:
    """A ceiling in words: "memory 21.3 GB/s (MLX 84 %, PyTorch 100 %)"."""
    reached = (f"{each} {shares[each]:.0f} %" for each in comparison.FRAMEWORKS if each in shares)
    rate = f"{peak / 1e9:,.0f}" if peak >= 1e11 else f"{peak / 1e9:.3g}"
    return f"{name} {rate} {unit} ({', '.join(reached)})"


def _float32(found: list[Precision]) -> str:
    """Whether both frameworks compute the same float32 as shipped; empty where it was not measured."""
    if not found:
        return ""
    other = comparison.differing(found)
    told = f"{' and '.join(other)} computes it less exactly" if other else "both compute it exactly"
    return f"**float32 as shipped**: {told}."
