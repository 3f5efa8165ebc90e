"""Figures over sessions: a run of a page is the unit that is repeated, not a call and not a process.

What differs from one session to the next (how threads wake, where memory lies, which host of a kind it is)
does not differ within one: an interval made inside one session does not hold for the next. A session gives
one number, the mean over its processes of the log of PyTorch's time over MLX's in that process; figures are
means over sessions. With few sessions their own scatter is hardly known, so it is combined with the scatter
known from repeated sessions (Smyth 2004, "moderated t", https://doi.org/10.2202/1544-6115.1027).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from twins.timing.statistics import Ratio, Run

# The standard deviation of the log ratio from session to session, by subject, of the sessions in
# data/results: tests/twins/evidence/test_sessions.py computes it again.
SPREAD = {"training step": 0.12, "switching": 0.06, "parts": 0.6, "synchronisation": 1.5}
SPREAD |= {"training step by type": 0.12}
SPREAD |= dict.fromkeys(("prefill", "token", "run", "encoder", "decoder step"), 0.08)
ALIKE = {"fine-tuning step": "training step"}  # not repeated in several sessions yet
OTHER = 0.4  # of everything else: parts of steps, single layers, transfers, where a call's overhead decides
FREEDOM = 4.0  # how many degrees of freedom this known spread counts for; it differs from case to case
MOST = 50  # sessions that anybody would wait for
LEVEL = 0.975  # of the upper end of a printed interval: 95 % lies between its ends


def quantile(level: float, freedom: float) -> float:
    """The quantile of Student's t; of the normal distribution for infinite freedom."""
    from scipy.special import ndtri, stdtrit  # half a second, which every timed process would pay

    return float(ndtri(level) if np.isinf(freedom) else stdtrit(freedom, level))


@dataclass(frozen=True)
class Sessions:
    """A mean log ratio over sessions, the standard deviation of one session, and how well that is known."""

    mean: float
    count: int
    spread: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.spread / np.sqrt(self.count)

    @property
    def ratio(self) -> Ratio:
        """The ratio with the 95 % interval in which another session's figure lies."""
        wide = quantile(LEVEL, self.freedom) * self.spread * np.sqrt(1 + 1 / self.count)
        return Ratio(*(float(np.exp(self.mean + each)) for each in (0, -wide, wide)))


def logs(runs: Sequence[Run], over: str, under: str, clock: str = "wall") -> np.ndarray:
    """The log of one variant's median time over another's, process by process of a session."""
    medians = [[np.median(getattr(run.arms[name], clock)) for name in (over, under)] for run in runs]
    return np.log(np.array(medians)) @ [1.0, -1.0]


def pooled(found: Iterable[np.ndarray], subject: str) -> Sessions:
    """The figure of some sessions, each given by its processes' log ratios; `subject` says what was timed."""
    each = list(found)
    means = np.array([logs.mean() for logs in each])
    within = np.mean([logs.var(ddof=1) / len(logs) if len(logs) > 1 else 0.0 for logs in each])
    known = SPREAD.get(ALIKE.get(subject, subject), OTHER) ** 2 + within
    own = float(((means - means.mean()) ** 2).sum())
    freedom = FREEDOM + len(means) - 1
    return Sessions(
        float(means.mean()), len(means), float(np.sqrt((FREEDOM * known + own) / freedom)), freedom
    )


def of(found: Iterable[Sequence[Run]], over: str, under: str, subject: str) -> Sessions:
    """One variant's time over another's, over sessions that are each given by their runs."""
    return pooled((logs(runs, over, under) for runs in found), subject)


def needed(margin: float, spread: float, count: int) -> int | None:
    """How many sessions make a bound narrower than a margin, if the figure stays; None when MOST do not.

    `spread` is the standard deviation of a session; `count` sessions were measured already.
    """
    for sessions in range(count + 1, MOST + 1):
        if quantile(0.95, FREEDOM + sessions - 1) * spread / np.sqrt(sessions) < margin:
            return sessions
    return None
