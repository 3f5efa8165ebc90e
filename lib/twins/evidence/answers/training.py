"""The answers of the pages that time training steps: speed, compiling, the same network, memory or export."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from twins.evidence import compiling, equal_loss, same_network
from twins.evidence.answers.answer import Answer, Case, summed
from twins.records import measurements
from twins.records.export_types import Conversion
from twins.records.record_types import Fit, Gate, Memory, Timing
from twins.records.store import Record
from twins.timing import comparison, sessions, statistics, tables, wording

UNITS = {"transformer_lm": "tokens", "bert": "tokens", "resnet": "images", "vit": "images"}
TEXTS = {"bert": 2}  # that one example holds
SUBJECT = "training step"
MODES = [" eager", " compiled"]
CPU = "Apple and NVIDIA GPUs, "
SHORT = 0.05  # seconds of compiling that nobody notices; less is within what a first call varies
NEVER = "other sizes, autocast, several devices, data loading."


def timings(records: Sequence[Record]) -> list[list[Timing]]:
    """The training steps of each twin in the sizes of its newest run, with their sessions, by batch."""
    newest = {}
    for record in sorted(records, key=lambda record: record.run):
        if isinstance(record.body, Timing) and record.body.subject == SUBJECT:
            newest[record.body.case["twin"]] = _sizes(record.body)
    found = [own for own in measurements.by_case(records, SUBJECT) if comparison.kinds(own[0])]
    found = [own for own in found if _sizes(own[0]) == newest[own[0].case["twin"]]]
    twins = list(dict.fromkeys(own[0].case["twin"] for own in found))
    return sorted(found, key=lambda own: (twins.index(own[0].case["twin"]), own[0].case["batch"]))


def _sizes(timed: Timing) -> dict:
    """The sizes of the network that was timed, without the batch."""
    return {name: value for name, value in timed.case.items() if name not in ("batch", *measurements.SAID)}


def cases(records: Sequence[Record]) -> tuple[Case, ...]:
    """Every training step that was timed, eager against eager: the mode that was fixed beforehand."""
    return tuple(_case(own) for own in timings(records))


def _case(own: list[Timing]) -> Case:
    entries, label = own[0].case, wording.case(own[0].case)
    kind, unit = comparison.kinds(own[0])[0], UNITS.get(own[0].case["twin"], "examples")
    runs = [run for each in own for run in comparison.runs(each)]
    mlx, torch = (statistics.median(runs, f"{framework}{kind}") for framework in comparison.FRAMEWORKS)
    tokens = entries["context"] * TEXTS.get(entries["twin"], 1) if unit == "tokens" else 1
    return Case(
        label, mlx, torch, comparison.headline(own[0], label, *own[1:]), entries["batch"] * tokens, unit
    )


def answer(records: list[Record]) -> Answer | None:
    """Who trains how many times as fast, what compiling adds, whether the halves are equal, the memory."""
    found = timings(records)
    if not found:
        return _refused(records)
    finding = summed([comparison.headline(each[0], "", *each[1:]) for each in found])
    told = speed(found)
    sentences = [f"**{told[:1].upper()}{told[1:]}**, per training step, eager in both frameworks."]
    sentences += filter(None, [compiled(found), network(records), export(records) or memory(records)])
    return Answer(
        line=finding,
        sentences=tuple(sentences),
        not_covered=(CPU if records[0].device == "CPU" else "") + NEVER,
        finding=finding,
        cases=cases(records),
    )


def _refused(records: list[Record]) -> Answer | None:
    """The answer of a pair that failed the fairness gate; None where no gate was recorded."""
    failed = [gate for gate in gates(records) if not gate.passed]
    if not failed:
        return None
    line = "not timed: the two halves do not compute the same thing"
    return Answer(line, (f"**{line[:1].upper()}{line[1:]}.**", same_network.line(*failed)), NEVER)


def speed(found: Sequence[list[Timing]]) -> str:
    """Who is how many times as fast, eager against eager; twin by twin where there are several."""
    told = []
    for twin, own in groupby(found, key=lambda each: each[0].case["twin"]):
        led = summed([comparison.headline(each[0], "", *each[1:]) for each in own])
        told.append((wording.name(twin), led))
    return told[0][1] if len(told) == 1 else "; ".join(f"{name}: {each}" for name, each in told)


def compiled(found: Sequence[list[Timing]]) -> str:
    """What compiling saves of a step in each framework and takes once, and who is faster compiled."""
    both = [own for own in found if MODES[1] in comparison.kinds(own[0])]
    if not both:
        return ""
    saved = " and ".join(_saved(name, both) for name in comparison.FRAMEWORKS)
    against = summed([comparison.compared(own, MODES[1], "") for own in both])
    return f"**Compiling** saves {saved}; both compiled: {against}."


def _saved(framework: str, found: Sequence[list[Timing]]) -> str:
    """The share of a step that compiling saves over cases, and what compiling takes once (median)."""
    names = [f"{framework}{mode}" for mode in MODES]
    shares = []
    for own in found:
        runs = [comparison.runs(each) for each in own if MODES[1] in comparison.kinds(each)]
        shares.append(round(100 * (1 - 1 / sessions.of(runs, *names, own[0].subject).ratio.value)))
    least, most = min(shares), max(shares)
    if most <= 0:
        return f"{framework} nothing"
    paid = [each for own in found for each in compiling.paybacks(own) if each.framework == framework]
    seconds = float(np.median([each.compiling for each in paid]))
    once = wording.milliseconds(max(0.0, seconds))
    ends = "–".join(dict.fromkeys(map(str, (least, most)))) if least > 0 else f"up to {most}"
    paid_for = f" (for {once} of compiling)" if seconds >= SHORT else ""
    return f"{framework} {ends} % of a step{paid_for}"


def gates(records: Sequence[Record]) -> list[Gate]:
    """The newest fairness gate of each twin in float32."""
    bodies = [r.body for r in sorted(records, key=lambda r: r.run) if isinstance(r.body, Gate)]
    return list({gate.twin: gate for gate in bodies if "dtype" not in gate.case}.values())


def fits(records: Sequence[Record]) -> list[list[Fit]]:
    """By twin, the fits of the newest run that differ in their seed alone: the first task that was learnt."""
    found: dict[tuple, list[Fit]] = {}
    for record in records:
        if isinstance(record.body, Fit):
            fit = record.body
            found.setdefault((fit.twin, record.run, fit.dataset, fit.case["steps"]), []).append(fit)
    chosen: dict[str, list[Fit]] = {}
    for twin in dict.fromkeys(key[0] for key in found):
        run = max(key[1] for key in found if key[0] == twin)
        tasks = [own for key, own in found.items() if key[:2] == (twin, run)]
        chosen[twin] = next(filter(_learnt, tasks), tasks[0])
    return list(chosen.values())


def _learnt(own: list[Fit]) -> bool:
    chance = float(np.log(equal_loss.answers(own[0])))
    return len(own) > 1 and own[0].entropy is None and equal_loss.verdict(own, chance).learnt


def network(records: Sequence[Record]) -> str:
    """How many checks of the newest gates passed, and the held-out losses after training."""
    own, trained = gates(records), fits(records)
    if not own:
        return ""
    told = [f"{same_network.counts(own)} passed"]
    if trained:
        names = [f"{wording.name(each[0].twin)} " if len(trained) > 1 else "" for each in trained]
        losses = (f"{name}{equal_loss.line(each)}" for name, each in zip(names, trained, strict=True))
        told.append(f"held-out losses: {'; '.join(losses)}")
    what = "the same networks" if len(own) > 1 else "the same network"
    return f"**Both halves are {what}:** {'; '.join(told)}."


def memory(records: Sequence[Record]) -> str:
    """The least and the most memory that training adds, with the variants that need it."""
    own = [record.body for record in records if isinstance(record.body, Memory)]
    if not own:
        return ""
    sizes = {each.arm: tables.added(each, own) for each in own}
    least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    told = " to ".join(f"{sizes[arm]:.0f} MB ({arm})" for arm in dict.fromkeys((least, most)))
    read = "the framework's own count" if tables.counted(own) else f"peak of the {own[0].process}"
    return f"**Memory:** training at batch {own[0].case['batch']} adds {told}; {read}."


def export(records: Sequence[Record]) -> str:
    """How many Core ML packages of a pair are right, where it was converted."""
    own = [r.body for r in records if isinstance(r.body, Conversion) and not r.body.absent]
    if not own:
        return ""
    right = sum(bool(each.as_asked) for each in own)
    return (
        f"**To Core ML:** {right} of {len(own)} packages compute what the half they were made from computes."
    )
