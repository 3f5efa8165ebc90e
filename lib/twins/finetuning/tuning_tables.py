"""The tables of the page on fine-tuning, out of records."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from twins.finetuning import bases
from twins.records.record_types import Fit, Footprint, Memory, Timing
from twins.timing import comparison, statistics, tables, wording
from twins.timing.comparison import Comparison
from twins.timing.statistics import FRAMEWORKS, runs

SUBJECT = "fine-tuning step"  # of records of times
METHODS = {"full": "full", "lora": "LoRA", "dora": "DoRA", "qlora": "QLoRA"}
MODES = {" eager": "", " compiled": ", compiled"}


def named(case: dict) -> str:
    """What is trained, in words: "LoRA", "QLoRA, equal 4-bit"."""
    more = "checkpointed" if case["checkpointed"] else case.get("base", "")
    return ", ".join(filter(None, [METHODS[case["method"]], more]))


def label(case: dict) -> str:
    """A case in words: "LoRA, batch 4, 128 tokens"."""
    return f"{named(case)}, batch {case['batch']}, {case['length']} tokens"


def comparisons(records: Iterable[Timing]) -> list[Comparison]:
    """Every mode that both frameworks ran, eager first."""
    return [
        comparison.compared([record], kind, f"{label(record.case)}{MODES[kind]}")
        for record in records
        for kind in comparison.kinds(record)
    ]


def step_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Per case and variant: median milliseconds, tokens in a second, and the first call."""
    rows = []
    for record in records:
        found, tokens = runs(record), record.case["batch"] * record.case["length"]
        for variant in statistics.variant_names(found):
            wall = statistics.median(found, variant)
            first = round(statistics.first_call(found, variant), 2)
            rows.append((label(record.case), variant, round(wall * 1e3, 1), round(tokens / wall), first))
    return pd.DataFrame(rows, columns=["case", "step", "ms", "tokens/s", "first call s"])


def method_table(
    timings: Sequence[Timing],
    others: Sequence[Timing],
    fits: Iterable[Fit],
    refusals: Mapping[str, str],
    at: tuple[int, int],
) -> pd.DataFrame:
    """Every method and base at one (batch, length): formats, times, who is faster, losses after training."""
    losses = {named(fit.case): fit for fit in fits}
    rows = []
    for record in [*(r for r in timings if (r.case["batch"], r.case["length"]) == at), *others]:
        base, name = record.case.get("base", ""), named(record.case)
        formats = bases.told(base) if base else (record.case["dtype"],) * 2
        ms = [f"{1e3 * statistics.median(runs(record), f'{each} eager'):.1f}" for each in FRAMEWORKS]
        found = comparison.compared([record], " eager", "")
        rows.append((name, *formats, *ms, found.told, held_out(losses.get(name))))
    for label_, why in refusals.items():
        formats = bases.told(label_) if label_ in bases.BASES else ("", "")
        rows.append((METHODS.get(label_, f"QLoRA, {label_}"), *formats, "", "", why, ""))
    columns = ["trained", "MLX holds", "PyTorch holds", "MLX ms", "PyTorch ms", "as fast", "held-out loss"]
    return pd.DataFrame(rows, columns=columns)


def saved(timings: Sequence[Timing], others: Sequence[Timing], at: tuple[int, int]) -> str:
    """How a step of LoRA compares with one of full fine-tuning in each framework, in one sentence."""
    lora = next((r for r in timings if (r.case["batch"], r.case["length"]) == at), None)
    full = next((r for r in others if r.case["method"] == "full"), None)
    if lora is None or full is None:
        return "Nothing was timed."
    told = []
    for framework in FRAMEWORKS:
        times = [statistics.median(runs(record), f"{framework} eager") for record in (lora, full)]
        told.append(f"{100 * times[0] / times[1]:.0f} % in {framework}")
    return f"A step of LoRA takes {' and '.join(told)} of the time of a step that trains every weight."


def held_out(fit: Fit | None) -> str:
    """The held-out losses of both halves after training, in nats."""
    if fit is None:
        return "not trained"
    return ", ".join(f"{each} {fit.held_out[each]:.3f}" for each in FRAMEWORKS)


def learnt(fits: Sequence[Fit]) -> str:
    """What fine-tuning gained on held-out completions, in one sentence each."""
    told = [
        f"{named(fit.case)}: {fit.held_out['base']:.3f} nats before, after {fit.case['steps']} steps "
        f"{held_out(fit)}, PyTorch again with other rows {fit.held_out['floor']:.3f}."
        for fit in fits
    ]
    return " ".join(told) or "Nothing was trained."


def footprint_table(records: Iterable[Footprint]) -> pd.DataFrame:
    """Measured against calculated peaks of a step, megabytes, and how far apart they are."""
    rows = []
    for record in records:
        if record.measured is not None:
            apart = record.calculated / record.measured - 1
            case = record.case
            what = f"{METHODS[case['method']]}, {case['dtype']}{', checkpointed' * case['checkpointed']}"
            sizes = f"{case['batch']} × {case['length']}"
            megabytes = [round(each / 2**20) for each in (record.measured, record.calculated)]
            rows.append((record.framework, record.shape, what, sizes, *megabytes, f"{100 * apart:+.0f} %"))
    columns = ["framework", "shape", "trained", "tokens", "measured MB", "calculated MB", "apart"]
    return pd.DataFrame(rows, columns=columns)


def memory_table(records: Iterable[Memory]) -> pd.DataFrame:
    """Megabytes that fine-tuning adds by method and framework: median and range of the process's memory."""
    by = {(named(record.case), record.arm.split()[0]): record for record in records}
    rows = [
        (name, *(tables.megabytes(by[name, each].readings) for each in FRAMEWORKS))
        for name in dict.fromkeys(name for name, _ in by)
    ]
    process = next((record.process for record in by.values()), "process")
    return pd.DataFrame(rows, columns=["trained", *(f"{each}, {process} MB" for each in FRAMEWORKS)])


def tried_table(records: Iterable[Footprint]) -> pd.DataFrame:
    """Which public models were trained for a step here, and what ended the trying."""
    rows = []
    for record in records:
        peak = f"{record.measured / 2**30:.2f}" if record.measured else ""
        calculated = f"{record.calculated / 2**30:.2f}"
        why = "trained" if record.measured else record.source
        rows.append((record.framework, record.case["heading"], record.shape, peak, calculated, why))
    columns = ["framework", "method", "shape", "measured GB", "calculated GB", "outcome"]
    return pd.DataFrame(rows, columns=columns)


def furthest(records: Iterable[Footprint]) -> str:
    """How far a calculated peak is from the measured one at most, by framework, in one sentence."""
    told = []
    records = [record for record in records if record.measured is not None]
    for framework in FRAMEWORKS:
        own = [abs(r.calculated / r.measured - 1) for r in records if r.framework == framework and r.measured]
        if own:
            told.append(
                f"{framework}: {wording.many(len(own), 'point')}, at most {100 * max(own):.0f} % apart, "
                f"median {100 * float(np.median(own)):.0f} %"
            )
    return f"{'; '.join(told)}." if told else "Nothing was measured."
