"""Comparisons made from timing records: who is how many times as fast, or a tie; tables are in tables.py."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twins.records.record_types import AS_SHIPPED, EQUAL, Precision, Timing
from twins.timing import sessions, statistics, wording
from twins.timing.sessions import Sessions
from twins.timing.statistics import AGAIN, FRAMEWORKS, Ratio, runs

# Names that other pages and figures call here.
from twins.timing.tables import check_row, gate_table, machine_table, megabytes, part_table  # noqa: F401

SERIES = ("02_transformer_lm", "03_bert", "04_vision", "12_your_model")  # where training steps are timed
FACTOR = 4.0  # an error this many times larger is another arithmetic; rounding differs by less


TIED, UNDECIDED = "tie", "undecided"


@dataclass(frozen=True)
class Comparison:
    """PyTorch's time over MLX's for one task, above 1 MLX is faster, over the sessions that timed it.

    `band` is the factor below which no difference is published: the tie band, or the harness's own error.
    """

    label: str
    over: Sessions
    band: float

    @property
    def ratio(self) -> Ratio:
        """The ratio with the 95 % interval of another session's."""
        return self.over.ratio

    @property
    def winner(self) -> str | None:
        """The faster framework, None where the interval meets the band."""
        if self.ratio.tie(self.band):
            return None
        return "MLX" if self.ratio.value > 1 else "PyTorch"

    @property
    def verdict(self) -> str:
        """The faster framework, "tie" where the whole interval lies in the band, or "undecided"."""
        if self.winner:
            return self.winner
        return TIED if self.ratio.deviation <= self.band else UNDECIDED

    @property
    def told(self) -> str:
        """Who is how many times as fast, with the interval: "PyTorch 2.90× as fast [2.84–3.05]"; or a tie."""
        if self.verdict == TIED:
            return TIED
        ratio = self.ratio
        who, _ = wording.faster(ratio.value)
        found = f"{wording.as_fast(ratio.value)} {wording.interval(ratio.low, ratio.high, who)}"
        return found if self.winner else f"{UNDECIDED}: {found}"

    def __str__(self) -> str:
        return f"{self.label}: {'a tie' if self.verdict == TIED else self.told}"


def variants(found: list[statistics.Run]) -> list[str]:
    """The variants of a measurement without those for A/A."""
    return [name for name in statistics.variant_names(found) if not name.endswith(AGAIN)]


def best(found: list[statistics.Run], framework: str) -> str:
    """The framework's fastest variant."""
    own = [variant for variant in variants(found) if variant.split()[0].rstrip(",") == framework]
    return min(own, key=lambda variant: statistics.median(found, variant))


def kinds(record: Timing) -> list[str]:
    """What follows the framework's name in the variants that both frameworks ran, eager before compiled."""
    names = {name for run in record.runs for name in run["arms"] if not name.endswith(AGAIN)}
    both = ({name.removeprefix(each) for name in names if name.startswith(each)} for each in FRAMEWORKS)
    return sorted(set.intersection(*both), reverse=True)


def by_mode(record: Timing, label: str, *more: Timing) -> list[Comparison]:
    """One comparison per mode that both frameworks ran; `more` are other sessions of the same measurement."""
    return [
        compared([record, *more], kind, ", ".join(filter(None, (label, kind.strip(", ")))))
        for kind in kinds(record)
    ]


def headline(record: Timing, label: str, *more: Timing) -> Comparison:
    """Eager against eager, the mode that was fixed before anything was timed; or the one mode there is."""
    return compared([record, *more], kinds(record)[0], label)


def compared(records: Sequence[Timing], kind: str, label: str) -> Comparison:
    """PyTorch against MLX in one mode, over the sessions that some records of one measurement are of."""
    found = [runs(record) for record in records if kind in kinds(record)]
    over = sessions.of(found, f"PyTorch{kind}", f"MLX{kind}", records[0].subject)
    return Comparison(label, over, middle_band(found))


def middle_band(found: Sequence[list[statistics.Run]]) -> float:
    """The median over sessions of the band of a tie: one noisy session does not hide every other."""
    return float(np.median([statistics.band(each) for each in found]))


def provisional(comparisons: Iterable[Comparison]) -> str:
    """How many sessions the figures are of, and what their intervals hold, in one sentence."""
    counts = sorted({comparison.over.count for comparison in comparisons})
    if not counts:
        return ""
    if counts[-1] == 1:
        return (
            "One session so far: the intervals include how much sessions are known to differ, and "
            "`make record` after a restart adds one."
        )
    told = "–".join(dict.fromkeys(map(str, (counts[0], counts[-1]))))
    return f"Over {told} sessions: the figure of the next session is expected in the interval (95 %)."


def size(case: dict) -> str:
    """A training step's size in words: "batch 16", or "batch 512, filled" where it fills the machine."""
    return f"batch {case['batch']}{', filled' if case.get('filled') else ''}"


def bound_by_computation(records: Iterable[Timing]) -> list[Timing]:
    """The filled measurements of each twin that has any, and all of every other twin.

    Records made before sizes were filled have none.
    """
    records = list(records)
    filled = {record.case["twin"] for record in records if record.case.get("filled")}
    return [r for r in records if r.case["twin"] not in filled or r.case.get("filled")]


def batches(records: Iterable[Timing]) -> list[int]:
    """The batch sizes of some measurements, in order."""
    return list(dict.fromkeys(record.case["batch"] for record in records))


def steps(records: Iterable[Timing]) -> list[Comparison]:
    """Comparisons of training-step records by batch size and mode."""
    return [c for record in records for c in by_mode(record, size(record.case))]


def headlines(records: Iterable[Timing]) -> list[Comparison]:
    """Comparisons of training-step records by batch size, eager against eager."""
    return [headline(record, f"{size(record.case)}, eager") for record in records]


def reading(comparisons: list[Comparison]) -> str:
    """What the comparisons show, one sentence each, and over how many sessions."""
    told = [*(f"{str(c)[:1].upper()}{str(c)[1:]}." for c in comparisons), provisional(comparisons)]
    return " ".join(filter(None, told)) or "Nothing was timed."


def aa(records: Iterable[Timing]) -> str:
    """The noise check: how far each framework timed against itself is from 1, in one sentence."""
    found = [(name, ratio) for record in records for name, ratio in statistics.same(runs(record)).items()]
    if not found:
        return "Nothing was timed."
    told, most = [], max(ratio.deviation for _, ratio in found)
    for framework in FRAMEWORKS:
        if own := [ratio.deviation for name, ratio in found if framework in name]:
            told.append(f"{framework} timed against itself differed by up to {wording.times(max(own))}")
    ties = f"differences below {wording.times(statistics.TIE)} count as ties"
    if most > statistics.TIE:
        ties = "smaller differences there count as ties"
    return f"Noise check: {' and '.join(told)}; {ties}."


def warnings(records: Iterable[Timing]) -> list[str]:
    """What disturbed the machine during these measurements, one sentence for each kind."""
    return statistics.warnings([run for record in records for run in runs(record)])


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Every case, who is how many times as fast with the interval of the next session's, and the sessions."""
    rows = [(c.label, c.told, c.over.count) for c in comparisons]
    return pd.DataFrame(rows, columns=["case", "as fast [95 % interval]", "sessions"])


def differing(found: Iterable[Precision]) -> list[str]:
    """The frameworks whose float32 is another arithmetic as shipped than as this report sets it."""
    by = {(each.framework, each.setting): each for each in found}
    pairs = {name: (by[name, AS_SHIPPED], by[name, EQUAL]) for name in dict.fromkeys(name for name, _ in by)}
    return [
        name
        for name, (shipped, equal) in pairs.items()
        if shipped.product > FACTOR * equal.product or shipped.gradients > FACTOR * equal.gradients
    ]
