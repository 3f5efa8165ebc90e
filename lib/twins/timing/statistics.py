"""Statistics of the raw samples of an interleaved measurement: medians, ratios with intervals, warnings.

The interval follows Kalibera and Jones 2013 (https://kar.kent.ac.uk/33611/) in spirit: processes are
resampled, then whole rounds within them. Older records do not say which calls are of one round (`Run.kept`):
these are resampled call by call, as if calls were independent, which they are not.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from twins.machine import conditions
from twins.records.record_types import Timing

FRAMEWORKS = ("MLX", "PyTorch")
AGAIN = " again"  # an A/A variant: one of a framework's variants, built a second time


TIE = conditions.DRIFT  # ratios within this factor of 1 are a tie, whatever the interval


RESAMPLES = 2000


@dataclass(frozen=True)
class Samples:
    """Raw seconds of one variant in one process: the first call alone, then every kept call, wall and CPU."""

    first: float
    wall: list[float]
    cpu: list[float]


@dataclass(frozen=True)
class Run:
    """One process: samples by variant, what the machine did meanwhile, and how many calls a round kept."""

    arms: dict[str, Samples]
    conditions: conditions.Conditions
    kept: int = 1

    def part(self, prefix: str) -> "Run":
        """The run with the variants of one prefix alone, named by what follows it."""
        own = {name.removeprefix(prefix): x for name, x in self.arms.items() if name.startswith(prefix)}
        return Run(own, self.conditions, self.kept)


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
    return Run(variants, conditions.Conditions(**found["conditions"]), found.get("kept", 1))


def runs(record: Timing) -> list[Run]:
    """The runs of a timing record."""
    return [run_from(run) for run in record.runs]


def variant_names(runs: list[Run]) -> list[str]:
    """The variants timed in any of the runs, in the order they were made."""
    return list(dict.fromkeys(name for run in runs for name in run.arms))


def values(runs: list[Run], variant: str, clock: str = "wall") -> list[np.ndarray]:
    """Seconds of one variant, one array per process that timed it; a session may leave out a mode.

    Errors: KeyError when none did.
    """
    found = [np.array(getattr(run.arms[variant], clock)) for run in runs if variant in run.arms]
    if not found:
        raise KeyError(f"no process timed {variant!r}; timed are {', '.join(variant_names(runs))}")
    return found


def median(runs: list[Run], variant: str, clock: str = "wall") -> float:
    """Median over processes of each process's median, in seconds."""
    return float(np.median([np.median(x) for x in values(runs, variant, clock)]))


def first_call(runs: list[Run], variant: str) -> float:
    """Median over processes of the first call, compilation included, in seconds."""
    return float(np.median([run.arms[variant].first for run in runs if variant in run.arms]))


def _median(x: np.ndarray) -> np.ndarray:
    """np.median over the last axis of numbers without NaN, in half its time."""
    half, odd = divmod(x.shape[-1], 2)
    ordered = np.partition(x, half if odd else (half - 1, half), axis=-1)
    return ordered[..., half] if odd else (ordered[..., half - 1] + ordered[..., half]) / 2


@lru_cache(maxsize=64)
def _draws(processes: int, counts: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which processes every resample takes, (R, P), and which samples of each process, (R, n) each.

    `counts` are the samples, and the calls of a round among them, of each process of both variants. Whole
    rounds are drawn, once for all measurements of one shape.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(0, processes, (RESAMPLES, processes))
    rounds = (rng.integers(0, count // kept, (RESAMPLES, count // kept, 1)) for count, kept in counts)
    samples = (each * kept + np.arange(kept) for each, (_, kept) in zip(rounds, counts, strict=True))
    return picks, [each.reshape(RESAMPLES, -1) for each in samples]


def ratio(runs: list[Run], over: str, under: str, clock: str = "wall") -> Ratio:
    """Median time of `over` divided by that of `under`, with a bootstrap interval of processes and rounds.

    The interval holds within the session; sessions.py has that of the next one.
    """
    runs = [run for run in runs if {over, under} <= run.arms.keys()]
    samples = [x for variant in (over, under) for x in values(runs, variant, clock)]
    counts = zip(map(len, samples), [run.kept for run in runs] * 2, strict=True)
    picks, taken = _draws(len(runs), tuple(counts))
    medians = [_median(x[places]) for x, places in zip(samples, taken, strict=True)]  # of (R,) each
    halves = (medians[: len(runs)], medians[len(runs) :])
    top, bottom = (_median(np.take_along_axis(np.stack(each, axis=1), picks, axis=1)) for each in halves)
    low, high = np.percentile(top / bottom, [2.5, 97.5])
    return Ratio(median(runs, over, clock) / median(runs, under, clock), float(low), float(high))


def same(runs: list[Run], clock: str = "wall") -> dict[str, Ratio]:
    """The A/A ratio of each variant built twice (old records: one); its distance from 1 is the error."""
    twice = [name.removesuffix(AGAIN) for name in variant_names(runs) if name.endswith(AGAIN)]
    return {name: ratio(runs, name + AGAIN, name, clock) for name in twice}


def band(runs: list[Run]) -> float:
    """The factor below which no difference is published: the tie band or the largest A/A deviation."""
    return max([TIE, *(each.deviation for each in same(runs).values())])


def warnings(runs: list[Run]) -> list[str]:
    """What disturbed these runs, one sentence for each kind; empty when nothing did."""
    return conditions.warnings([run.conditions for run in runs])


def duration(seconds: float) -> str:
    """A time in the unit a person would choose: 10 µs, 1.5 ms, 2 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
