"""The answer of the page on scaling: same losses, what more processes bring here, and a projection."""

from collections.abc import Sequence

from twins.evidence import projection, scaling
from twins.evidence.answers.answer import Answer, Case, summed
from twins.evidence.published import published_benchmarks
from twins.evidence.scaling import KIND, SUBJECT, Scaled
from twins.records import measurements
from twins.records.record_types import Exchange, Gate, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics, wording

LEFT_OUT = "several machines (the projection is calculated), other kinds of parallel training, larger models."


def answer(records: list[Record]) -> Answer | None:
    """Same losses, speed and efficiency of more processes, exchanges, where scaling stops."""
    grouped = measurements.by_case(records, SUBJECT)
    if not grouped:
        return None
    newest = [own[-1] for own in grouped]
    gates = [record.body for record in records if isinstance(record.body, Gate)]
    exchanged = [record.body for record in records if isinstance(record.body, Exchange)]
    found = scaling.scaled(newest)
    sentences = [f"**Same training?** {scaling.losses(gates[-1])}" if gates else ""]
    sentences += [f"**More processes here:** {gained(found)}. {scaling.shared(newest, records[-1].device)}"]
    sentences += [f"**All-reduce of the gradients:** {scaling.reading(exchanged)}" if exchanged else ""]
    sentences += [projected(scaling.works(newest, exchanged))]
    shown = cases(grouped)
    finding = summed([case.comparison for case in shown]) or "One framework was timed"
    return Answer(gained(found), tuple(filter(None, sentences)), LEFT_OUT, finding, shown)


def cases(grouped: Sequence[list[Timing]]) -> tuple[Case, ...]:
    """Every layout that both frameworks were timed in."""
    made = []
    for own in grouped:
        if KIND in comparison.kinds(own[-1]):
            runs = [run for each in own for run in comparison.runs(each)]
            mlx, torch = (statistics.median(runs, f"{name}{KIND}") for name in comparison.FRAMEWORKS)
            label = scaling.label(own[-1].case)
            found = comparison.compared(own, KIND, label)
            made.append(Case(label, mlx, torch, found, own[-1].case["batch"], "examples"))
    return tuple(made)


def gained(found: Sequence[Scaled]) -> str:
    """How fast several processes are against one, and how efficient, in both frameworks."""
    told = [
        f"{each.framework} with {each.processes} processes is {each.speedup.value:.2g}× as fast as one, "
        f"efficiency {scaling.percent(each.efficiency)}"
        for each in found
    ]
    return "; ".join(told) or "only one process was timed"


def projected(works: Sequence[projection.Work]) -> str:
    """Where scaling would stop over each link: a projection, and said to be one."""
    if not works:
        return ""
    told, fast = [], []
    for link in published_benchmarks.links():
        if all(projection.stops(work, link.bandwidth) > work.batch for work in works):
            fast.append(link.link)
        else:
            ends = [f"{work.framework} {projection.told(work, link.bandwidth)}" for work in works]
            told.append(f"{link.link}: {', '.join(ends)}")
    size = wording.many(works[0].batch, "example")
    told += [f"{', '.join(fast)}: more than there are examples"] * bool(fast)
    return (
        "**Projection, not measured**, processes from which efficiency is below one half when they share "
        f"{size}: {'; '.join(told)}."
    )
