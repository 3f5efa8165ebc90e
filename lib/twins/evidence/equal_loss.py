"""Whether two halves reach an equal held-out loss: an equivalence test over seeds, its margin set before.

Two one-sided tests (Schuirmann 1987, https://doi.org/10.1007/BF01068419) at 5 % each: the 90 % interval of
the mean difference over seeds must lie within the margin. A seed is one draw of weights and batches, and
PyTorch with permuted rows gives one floor for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.records.record_types import Fit
from twins.timing.comparison import FRAMEWORKS
from twins.timing.sessions import quantile

SHARE = 0.05  # of the loss learnt: the margin, set before any loss was compared with it, and no parameter
EQUAL, DIFFERENT, OPEN = "equal within the margin", "different", "not shown to be equal"


@dataclass(frozen=True)
class Verdict:
    """Held-out losses over seeds, in nats: MLX's above PyTorch's with its 90 % interval, and the margin."""

    difference: float
    low: float
    high: float
    margin: float
    floors: list[float]
    learnt: bool

    @property
    def word(self) -> str:
        """EQUAL, DIFFERENT, where the whole interval lies beyond the margin, or OPEN."""
        if -self.margin < self.low and self.high < self.margin:
            return EQUAL
        return DIFFERENT if self.low > self.margin or self.high < -self.margin else OPEN


def verdict(fits: Sequence[Fit], chance: float) -> Verdict:
    """Judge fits that differ in their seed; the margin is SHARE of what PyTorch learnt below `chance`.

    A half has learnt where the one-sided 95 % bound of its loss lies below `chance`, that of a model that
    knows nothing. Errors: ValueError for fewer than two seeds.
    """
    if len(fits) < 2:
        raise ValueError(f"equal loss is judged over at least two seeds, found {len(fits)}")
    loss = {name: np.array([fit.held_out[name] for fit in fits]) for name in (*FRAMEWORKS, "floor")}
    low, high = _interval(loss["MLX"] - loss["PyTorch"])
    learnt = all(_interval(loss[name])[1] < chance for name in FRAMEWORKS)
    margin = SHARE * max(0.0, chance - float(loss["PyTorch"].mean()))
    floors = np.abs(loss["floor"] - loss["PyTorch"]).tolist()
    return Verdict(float((loss["MLX"] - loss["PyTorch"]).mean()), low, high, margin, floors, learnt)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The 90 % t-interval of a mean."""
    half = quantile(0.95, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def reading(fits: Sequence[Fit], answers: int) -> str:
    """What was learnt, and whether the held-out losses are equal, in sentences.

    `answers` is how many answers there are, of which who knows nothing picks one.
    """
    chance = float(np.log(answers))
    found = verdict(fits, chance)
    told = " and ".join(f"{name} {np.mean([fit.held_out[name] for fit in fits]):.4f}" for name in FRAMEWORKS)
    head = f"Held-out loss over {len(fits)} seeds: {told} nats; knowing nothing costs {chance:.4f}."
    if not found.learnt:
        return f"{head} **Nothing was learnt** that shows over seeds: this says nothing about equal loss."
    floors = ", ".join(f"{floor:.2g}" for floor in found.floors)
    return (
        f"{head} MLX's above PyTorch's: {found.difference:+.2g} [{found.low:+.2g}, {found.high:+.2g}], "
        f"margin ±{found.margin:.2g} ({SHARE:.0%} of what was learnt): **{found.word}**. PyTorch with "
        f"permuted rows moves by {floors}, one value for each seed."
    )


def losses_apart(fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """|MLX - PyTorch| and the floor |permuted - PyTorch| of a fit, per step, in nats."""
    mlx, torch, floor = (np.array(fit.losses[name]) for name in ("MLX", "PyTorch", "floor"))
    return np.abs(mlx - torch), np.abs(floor - torch)


def held_out(fit: Fit, bytes_per_token: float | None) -> str:
    """The held-out loss of each half after training, in nats per token and bits per byte, in one sentence."""
    told = []
    for name in FRAMEWORKS:
        loss = fit.held_out[name]
        bits = f" ({loss / np.log(2) / bytes_per_token:.3f} bits per byte)" if bytes_per_token else ""
        told.append(f"{name} {loss:.4f} nats per token{bits}")
    floor = abs(fit.held_out["floor"] - fit.held_out["PyTorch"])
    return f"Held out after training: {' and '.join(told)}; PyTorch with permuted rows moves by {floor:.2g}."


def distance(fit: Fit) -> str:
    """How far each half's held-out loss is above the entropy of the source, in one sentence."""
    if fit.entropy is None:
        raise ValueError(f"the entropy of {fit.dataset} is not known; it is of synthetic sources alone")
    told = " and ".join(f"{name} {fit.held_out[name] - fit.entropy:+.4f}" for name in FRAMEWORKS)
    return f"The source's entropy is {fit.entropy:.4f} nats per token; the held-out losses above it: {told}."
