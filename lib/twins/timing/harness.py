"""Timing that can be believed: fresh processes, random order, raw samples, an A/A arm, intervals on ratios.

The process is the unit of replication, since some effects are fixed for a process's life
(https://github.com/pytorch/pytorch/issues/182815); inside one, arms run in random order per round, in
blocks whose first call is dropped, because alternation in a fixed order favours the arm that finds
warm caches. The interval follows Kalibera and Jones 2013 (https://kar.kent.ac.uk/33611/) in spirit:
processes are resampled, then rounds within them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from twins import conditions, processes

AGAIN = " again"  # the A/A arm: the baseline, built a second time
TIE = 1.05  # ratios within this factor of 1 are a tie, whatever the interval
RESAMPLES = 2000


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Arm:
    """One thing to time: a call, what waits until its work is done, and what makes it ready, untimed."""

    call: Callable[[], object]
    synchronize: Callable[[], None]
    prepare: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Samples:
    """Raw seconds of one arm in one process: the first call alone, then every kept call, wall and CPU."""

    first: float
    wall: list[float]
    cpu: list[float]


@dataclass(frozen=True)
class Plan:
    """How much to time: processes, rounds in each, calls per block (the first is dropped), warm-up calls."""

    processes: int = 5
    rounds: int = 6
    block: int = 3
    warmup: int = 3
    seed: int = 0

    def __post_init__(self):
        if self.processes < 1 or self.rounds < 1 or self.warmup < 0:
            raise ValueError(f"{self}: processes and rounds must be at least 1, warm-up at least 0")
        if self.block < 2:
            raise ValueError(
                f"timing: block is {self.block}; it must be at least 2, since the first call is dropped"
            )


@dataclass(frozen=True)
class Run:
    """One process: samples by arm and what the machine did meanwhile."""

    arms: dict[str, Samples]
    conditions: conditions.Conditions


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


def once(arm: Arm) -> tuple[float, float]:
    """Wall and CPU seconds of one call, its work done; getting ready for it is not in them."""
    arm.prepare()
    wall, cpu = time.perf_counter(), time.process_time()
    arm.call()
    arm.synchronize()
    return round(time.perf_counter() - wall, 9), round(time.process_time() - cpu, 9)  # nanoseconds


def interleave(arms: dict[str, Arm], plan: Plan, order: np.random.Generator) -> dict[str, Samples]:
    """Time arms in this process, in random order per round; raw samples by arm.

    The first call of every arm is kept apart: it holds compilation.
    """
    samples = {name: Samples(once(arm)[0], [], []) for name, arm in arms.items()}
    for arm in arms.values():
        for _ in range(plan.warmup):
            once(arm)
    names = list(arms)
    for _ in range(plan.rounds):
        for name in order.permutation(names):
            block = [once(arms[name]) for _ in range(plan.block)][1:]
            samples[name].wall.extend(wall for wall, _ in block)
            samples[name].cpu.extend(cpu for _, cpu in block)
    return samples


def run_from(found: dict) -> Run:
    """A Run from its plain form."""
    arms = {name: Samples(**samples) for name, samples in found["arms"].items()}
    return Run(arms, conditions.Conditions(**found["conditions"]))


def timed(arms: str, arguments: dict, plan: dict, index: int) -> dict:
    """The work of one fresh process: make the arms, time them; a Run in plain form."""
    made, plan = processes.find(arms)(**arguments), Plan(**plan)
    with conditions.watch() as seen:
        samples = interleave(made, plan, np.random.default_rng([plan.seed, index]))
    return asdict(Run(samples, seen()))


def measure(
    arms: str,
    arguments: dict,
    plan: Plan,
    tell: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Run]:
    """Time the arms that `arms` ("package.module:function") makes from `arguments`, in fresh processes.

    The function is imported and called in every process and returns {name: Arm}; `tell` hears of
    every process done; `environment` is added to theirs. Errors: RuntimeError with the child's last line when
    one fails.
    """
    job = {"arms": arms, "arguments": arguments, "plan": asdict(plan)}
    runs = []
    for index in range(plan.processes):
        runs.append(run_from(processes.call("twins.timing:timed", job | {"index": index}, environment)))
        if tell:
            tell(f"process {index + 1} of {plan.processes}")
    return runs


def arm_names(runs: list[Run]) -> list[str]:
    """The arms timed, in the order they were made."""
    return list(runs[0].arms)


def values(runs: list[Run], arm: str, clock: str = "wall") -> list[np.ndarray]:
    """Seconds of one arm, one array per process."""
    return [np.array(getattr(run.arms[arm], clock)) for run in runs]


def median(runs: list[Run], arm: str, clock: str = "wall") -> float:
    """Median over processes of each process's median, in seconds."""
    return float(np.median([np.median(x) for x in values(runs, arm, clock)]))


def first_call(runs: list[Run], arm: str) -> float:
    """Median over processes of the first call, compilation included, in seconds."""
    return float(np.median([run.arms[arm].first for run in runs]))


def _median(x: np.ndarray) -> np.ndarray:
    """np.median over the last axis of numbers without NaN, in half its time."""
    half, odd = divmod(x.shape[-1], 2)
    ordered = np.partition(x, half if odd else (half - 1, half), axis=-1)
    return ordered[..., half] if odd else (ordered[..., half - 1] + ordered[..., half]) / 2


@lru_cache(maxsize=64)
def _draws(processes: int, counts: tuple[int, ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which processes every resample takes, (R, P), and the middle ranks of resampled samples, each (2, R).

    `counts` are the samples of every process of both arms. A resample's median is the sample of its middle
    rank, so ranks are drawn once for all measurements of one shape.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(0, processes, (RESAMPLES, processes))
    ranks = (np.sort(rng.integers(0, count, (RESAMPLES, count)), axis=1) for count in counts)
    return picks, [
        np.stack([each[:, (each.shape[1] - 1) // 2], each[:, each.shape[1] // 2]]) for each in ranks
    ]


def ratio(runs: list[Run], over: str, under: str, clock: str = "wall") -> Ratio:
    """Median time of `over` divided by that of `under`, with a bootstrap interval over processes."""
    samples = [np.sort(x) for arm in (over, under) for x in values(runs, arm, clock)]
    picks, middles = _draws(len(runs), tuple(map(len, samples)))
    medians = [x[ranks].mean(axis=0) for x, ranks in zip(samples, middles, strict=True)]  # of (R,) each
    halves = (medians[: len(runs)], medians[len(runs) :])
    top, bottom = (_median(np.take_along_axis(np.stack(each, axis=1), picks, axis=1)) for each in halves)
    low, high = np.percentile(top / bottom, [2.5, 97.5])
    return Ratio(median(runs, over, clock) / median(runs, under, clock), float(low), float(high))


def same(runs: list[Run], clock: str = "wall") -> Ratio:
    """The A/A ratio: a baseline against itself; 1 but for what this harness cannot see."""
    again = next(name for name in arm_names(runs) if name.endswith(AGAIN))
    return ratio(runs, again, again.removesuffix(AGAIN), clock)


def band(runs: list[Run]) -> float:
    """The factor below which no difference is published: the tie band or the A/A deviation, the larger."""
    return max(TIE, same(runs).deviation)


def warnings(runs: list[Run]) -> list[str]:
    """What disturbed these runs, one sentence a kind; empty when nothing did."""
    return conditions.warnings([run.conditions for run in runs])
