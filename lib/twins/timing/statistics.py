"""Statistics of the raw samples of an interleaved measurement: medians, ratios with intervals, warnings.

The interval follows Kalibera and Jones 2013 (https://kar.kent.ac.uk/33611/) in spirit: processes are
resampled, then rounds within them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from twins.machine import conditions

AGAIN = " again"  # the A/A variant: the baseline, built a second time


TIE = 1.05  # ratios within this factor of 1 are a tie, whatever the interval


RESAMPLES = 2000


@dataclass(frozen=True)
class Samples:
    """Raw seconds of one variant in one process: the first call alone, then every kept call, wall and CPU."""

    first: float
    wall: list[float]
    cpu: list[float]


@dataclass(frozen=True)
class Run:
    """One process: samples by variant and what the machine did meanwhile."""

    arms: dict[str, Samples]
    conditions: conditions.Conditions

    def part(self, prefix: str) -> "Run":
        """The run with the variants of one prefix alone, named by what follows it."""
        own = {name.removeprefix(prefix): x for name, x in self.arms.items() if name.startswith(prefix)}
        return Run(own, self.conditions)


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def deviation(self) -> float:
        """The largest factor from 1 that the interval holds."""
        return float(np.exp(np.abs(np.log([self.low, self.high])).max()))

    def tie(self, band: float = TIE) -> bool:
        """Whether the interval meets the band from 1/band to band."""
        return self.low < band and self.high > 1 / band


def run_from(found: dict) -> Run:
    """A Run from its plain form."""
    variants = {name: Samples(**samples) for name, samples in found["arms"].items()}
    return Run(variants, conditions.Conditions(**found["conditions"]))


def variant_names(runs: list[Run]) -> list[str]:
    """The variants timed, in the order they were made."""
    return list(runs[0].arms)


def values(runs: list[Run], variant: str, clock: str = "wall") -> list[np.ndarray]:
    """Seconds of one variant, one array per process."""
    return [np.array(getattr(run.arms[variant], clock)) for run in runs]


def median(runs: list[Run], variant: str, clock: str = "wall") -> float:
    """Median over processes of each process's median, in seconds."""
    return float(np.median([np.median(x) for x in values(runs, variant, clock)]))


def first_call(runs: list[Run], variant: str) -> float:
    """Median over processes of the first call, compilation included, in seconds."""
    return float(np.median([run.arms[variant].first for run in runs]))


def _median(x: np.ndarray) -> np.ndarray:
    """np.median over the last axis of numbers without NaN, in half its time."""
    half, odd = divmod(x.shape[-1], 2)
    ordered = np.partition(x, half if odd else (half - 1, half), axis=-1)
    return ordered[..., half] if odd else (ordered[..., half - 1] + ordered[..., half]) / 2


@lru_cache(maxsize=64)
def _draws(processes: int, counts: tuple[int, ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which processes every resample takes, (R, P), and the middle ranks of resampled samples, each (2, R).

    `counts` are the samples of each process of both variants. A resample's median is the sample of its middle
    rank, so ranks are drawn once for all measurements of one shape.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(0, processes, (RESAMPLES, processes))
    ranks = (np.sort(rng.integers(0, count, (RESAMPLES, count)), axis=1) for count in counts)
    return picks, [
        np.stack([each[:, (each.shape[1] - 1) // 2], each[:, each.shape[1] // 2]]) for each in ranks
    ]


def ratio(runs: list[Run], over: str, under: str, clock: str = "wall") -> Ratio:
    """Median time of `over` divided by that of `under`, with a bootstrap interval within one session."""
    samples = [np.sort(x) for variant in (over, under) for x in values(runs, variant, clock)]
    picks, middles = _draws(len(runs), tuple(map(len, samples)))
    medians = [x[ranks].mean(axis=0) for x, ranks in zip(samples, middles, strict=True)]  # of (R,) each
    halves = (medians[: len(runs)], medians[len(runs) :])
    top, bottom = (_median(np.take_along_axis(np.stack(each, axis=1), picks, axis=1)) for each in halves)
    low, high = np.percentile(top / bottom, [2.5, 97.5])
    return Ratio(median(runs, over, clock) / median(runs, under, clock), float(low), float(high))


def same(runs: list[Run], clock: str = "wall") -> Ratio:
    """The A/A ratio of a baseline to itself; its distance from 1 is the harness's own error."""
    again = next(name for name in variant_names(runs) if name.endswith(AGAIN))
    return ratio(runs, again, again.removesuffix(AGAIN), clock)


def band(runs: list[Run]) -> float:
    """The factor below which no difference is published: the tie band or the A/A deviation, the larger."""
    return max(TIE, same(runs).deviation)


def warnings(runs: list[Run]) -> list[str]:
    """What disturbed these runs, one sentence for each kind; empty when nothing did."""
    return conditions.warnings([run.conditions for run in runs])


def duration(seconds: float) -> str:
    """A time in the unit a person would choose: 10 µs, 1.5 ms, 2 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
