"""The answer of the page on the machine: what it does at best, and what each framework reaches of it."""

from collections.abc import Sequence

from twins.evidence.answers.answer import Answer
from twins.records.record_types import Timing
from twins.records.store import Record
from twins.timing import comparison
from twins.timing.ceilings import ceilings

FULL = "float32"


def answer(records: list[Record]) -> Answer | None:
    """The ceilings of the newest run, and the share of each that each framework reaches."""
    newest = max((record.run for record in records), default="")
    probes = [r.body for r in records if r.run == newest and isinstance(r.body, Timing)]
    products = [p for p in probes if p.subject == "matmul" and p.case["dtype"] == FULL]
    streams = [probe for probe in probes if probe.subject == "stream"]
    peak, memory = ceilings.best_rate(products), ceilings.best_rate(streams)
    if not peak:
        return None
    told = f"products reach {ceilings.named(peak, FULL)}"
    sentences = [f"**{told[:1].upper()}{told[1:]}:** {_shares(products, peak)} of it."]
    line = f"{told}: {_shares(products, peak)}"
    if memory:
        sentences.append(f"**Memory moves {1e-9 * memory:,.3g} GB/s:** {_shares(streams, memory)} of it.")
    sentences.append(comparison.aa([*products, *streams]))
    return Answer(line, tuple(sentences), "training speed, which these probes do not predict.")


def _shares(probes: Sequence[Timing], peak: float) -> str:
    """The best share of a ceiling that each framework reaches: "MLX 98 %, PyTorch 100 %"."""
    told = []
    for framework in comparison.FRAMEWORKS:
        rates = [
            ceilings.rate(probe, found, variant)
            for probe in probes
            for found in [comparison.runs(probe)]
            for variant in comparison.variants(found)
            if variant.startswith(framework)
        ]
        told += [f"{framework} {100 * max(rates) / peak:.0f} %"] * bool(rates)
    return ", ".join(told)
