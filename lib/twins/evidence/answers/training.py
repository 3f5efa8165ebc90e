"""The answers of the pages that time training steps."""

from collections.abc import Sequence

from twins.evidence.answers import spans
from twins.evidence.answers.answer import Answer, Case
from twins.records import measurements
from twins.records.record_types import Timing
from twins.records.store import Record
from twins.timing import comparison, statistics, wording

UNITS = {"transformer_lm": "tokens", "bert": "tokens", "resnet": "images", "vit": "images"}


def cases(records: Sequence[Record]) -> tuple[Case, ...]:
    """Every training step that was timed, eager against eager: the mode that was fixed beforehand."""
    found = measurements.by_case(list(records), "training step")
    return tuple(_case(own) for own in found if comparison.kinds(own[0]))


def _case(own: list[Timing]) -> Case:
    entries, label = own[0].case, wording.case(own[0].case)
    kind, unit = comparison.kinds(own[0])[0], UNITS.get(own[0].case["twin"], "examples")
    runs = [run for each in own for run in comparison.runs(each)]
    mlx, torch = (statistics.median(runs, f"{framework}{kind}") for framework in comparison.FRAMEWORKS)
    amount = entries["batch"] * (entries["context"] if unit == "tokens" else 1)
    return Case(label, mlx, torch, comparison.headline(own[0], label, *own[1:]), amount, unit)


def answer(records: list[Record]) -> Answer | None:
    """Who trains how many times as fast."""
    found = cases(records)
    if not found:
        return None
    told = spans.summed([case.comparison for case in found])
    return Answer(
        line=told,
        sentences=(f"**{told}**, per training step, eager in both frameworks.",),
        not_covered="other sizes and machines, mixed precision, several devices.",
        finding=told,
        cases=found,
    )
