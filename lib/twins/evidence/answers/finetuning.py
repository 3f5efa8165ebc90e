"""The answer of the page on fine-tuning: LoRA and QLoRA timed, what they learn, and what fits into a Mac."""

from collections.abc import Sequence

from twins.evidence.answers.answer import Answer, Case, summed
from twins.finetuning import tuning_tables, what_fits
from twins.finetuning.tuning_tables import SUBJECT
from twins.records import measurements
from twins.records.record_types import Fit, Footprint, Memory, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics

LEFT_OUT = "what is gained on real tasks (the base has random weights), several devices, longer contexts."
EAGER = " eager"
ASKED = 16  # GB of the Mac that the answer names


def answer(records: list[Record]) -> Answer | None:
    """Who fine-tunes how many times as fast with LoRA and on quantized bases; losses, memory, what fits."""
    found = cases(records, "lora")
    if not found:
        return None
    told = summed([case.comparison for case in found])
    sentences = [f"**LoRA: {told}**, per training step, eager in both frameworks."]
    sentences += filter(None, [_quantized(records), _memory(records), fits(records)])
    return Answer(f"LoRA: {told}", tuple(sentences), LEFT_OUT, f"LoRA: {told}", found)


def cases(records: Sequence[Record], method: str) -> tuple[Case, ...]:
    """What both frameworks were timed in with a method, both eager: the mode that was fixed beforehand."""
    every = measurements.by_case(list(records), SUBJECT)
    own = [each for each in every if each[0].case["method"] == method and not each[0].case["checkpointed"]]
    return tuple(_case(each) for each in own if EAGER in comparison.kinds(each[0]))


def _case(own: list[Timing]) -> Case:
    entries, label = own[0].case, tuning_tables.label(own[0].case)
    runs = [run for each in own for run in comparison.runs(each)]
    mlx, torch = (statistics.median(runs, f"{framework}{EAGER}") for framework in comparison.FRAMEWORKS)
    found = comparison.compared(own, EAGER, label)
    return Case(label, mlx, torch, found, entries["batch"] * entries["length"], "tokens")


def _bodies(records: Sequence[Record], kind: type) -> list:
    return [record.body for record in records if isinstance(record.body, kind)]


def _quantized(records: Sequence[Record]) -> str:
    """Who is faster on each quantized base, and the held-out losses after equal steps."""
    losses = {fit.case.get("base", ""): fit for fit in _bodies(records, Fit)}
    told, timed = [], cases(records, "qlora")
    for base in dict.fromkeys(case.label.split(", ")[1] for case in timed):
        own = [case.comparison for case in timed if case.label.split(", ")[1] == base]
        held_out = f" (held-out loss {tuning_tables.held_out(losses[base])})" if base in losses else ""
        told.append(f"{base}: {summed(own)}{held_out}")
    return f"**QLoRA:** {'; '.join(told)}." if told else ""


def _memory(records: Sequence[Record]) -> str:
    """What fine-tuning adds to a process by method, in both frameworks; the plain methods alone."""
    own = [each for each in _bodies(records, Memory) if not each.case["checkpointed"]]
    told = []
    for name in dict.fromkeys(tuning_tables.named(each.case) for each in own):
        sizes = {each.arm.split()[0]: each.resident for each in own if tuning_tables.named(each.case) == name}
        listed = " and ".join(f"{size / 2**20:.0f} MB in {framework}" for framework, size in sizes.items())
        told.append(f"{name} {listed}")
    return f"**Memory added** ({own[0].process}): {'; '.join(told)}." if told else ""


def fits(records: Sequence[Record]) -> str:
    """The largest model by method in a Mac of the size that is named, as calculated."""
    found = [each for each in _bodies(records, Footprint) if "heading" in each.case]
    if not found:
        return ""
    row = what_fits.table(found).set_index("memory, GB").loc[str(ASKED)]
    told = "; ".join(f"{heading}: {name}" for heading, name in row.items())
    return f"**What fits on a Mac of {ASKED} GB**, calculated: {told}."
