"""Single layers of a convolutional network timed alone, as a table and in sentences."""

from collections.abc import Iterable, Sequence

import pandas as pd

from twins.records.record_types import Timing
from twins.timing import comparison, statistics, wording
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison


def label(case: dict) -> str:
    """A timed layer in words: "3 × 3 convolution, 64 channels, batch 16"."""
    kernel = f"{case['kernel']} × {case['kernel']} " if case["kernel"] else ""
    return f"{kernel}{case['kind']}, {case['channels']} channels, batch {case['batch']}"


def table(records: Iterable[Timing], peak: float) -> pd.DataFrame:
    """Every layer, eager: milliseconds in each framework, who is how many times as fast in this session, and
    each one's share of `peak`, the float32 ceiling in FLOP/s.
    """
    rows = []
    for record in records:
        found, case = comparison.runs(record), record.case
        seconds = {name: statistics.median(found, f"{name} eager") for name in comparison.FRAMEWORKS}
        known = peak if case["flops"] else 0.0
        ratio = statistics.ratio(found, "PyTorch eager", "MLX eager")
        who, _ = wording.faster(ratio.value)
        rows.append(
            {
                "layer": label(case),
                "work": case["work"],
                **{f"{name} ms": 1e3 * s for name, s in seconds.items()},
                "as fast [95 % interval]": f"{wording.as_fast(ratio.value)} "
                f"{wording.interval(ratio.low, ratio.high, who)}",
                **{
                    f"{n} % of ceiling": ceilings.percent(case["flops"] / s, known)
                    for n, s in seconds.items()
                },
            }
        )
    return pd.DataFrame(rows)


def reading(comparisons: Sequence[Comparison]) -> str:
    """The layers in which MLX does worst and best, in one sentence."""
    if not comparisons:
        return "No layer was timed."
    ordered = sorted(comparisons, key=lambda c: c.ratio.value)
    worst, best = ordered[0], ordered[-1]
    told = f"worst in {worst.label} ({worst.told}) and best in {best.label} ({best.told})"
    return f"Among single layers MLX does {told}."
