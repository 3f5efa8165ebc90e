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


def answers(fit: Fit) -> int:
    """How many answers a model chooses from: its classes, or the tokens of its vocabulary."""
    return fit.case.get("classes") or fit.case["vocabulary"]


def line(fits: Sequence[Fit]) -> str:
    """Both held-out losses after training and the verdict over seeds: "5.1458 (MLX) and 5.1457 nats ..."."""
    mlx, torch = (float(np.mean([fit.held_out[name] for fit in fits])) for name in FRAMEWORKS)
    told = f"{mlx:.4f} (MLX) and {torch:.4f} nats (PyTorch) after {fits[0].case['steps']:,} steps"
    if len(fits) < 2:
        return told
    found = verdict(fits, float(np.log(answers(fits[0]))))
    word = found.word if found.learnt else "no better than guessing yet"
    return f"{told}, {word} over {len(fits)} seeds"


def reading(fits: Sequence[Fit], answers: int) -> str:
    """What was learnt, and whether the held-out losses are equal, in sentences.

    `answers` is how many answers there are, of which a model that knows nothing picks one.
    """
    chance = float(np.log(answers))
    found = verdict(fits, chance)
    told = f"Held-out losses: {line(fits)}; a model that knows nothing reaches {chance:.4f}."
    if not found.learnt:
        return f"{told} **Nothing was learnt yet**, so these losses do not show whether training is equal."
    floors = "–".join(dict.fromkeys(f"{each:.2g}" for each in (min(found.floors), max(found.floors))))
    return (
        f"{told} MLX's minus PyTorch's is {found.difference:+.2g} [{found.low:+.2g}, {found.high:+.2g}]; "
        f"the margin, fixed beforehand, is ±{found.margin:.2g} ({SHARE:.0%} of what was learnt): "
        f"**{found.word}**. PyTorch with shuffled rows differs from itself by {floors}."
    ).replace("% of", " % of")


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
        told.append(f"{loss:.4f} nats per token{bits} in {name}")
    floor = abs(fit.held_out["floor"] - fit.held_out["PyTorch"])
    return (
        f"Held-out loss of the first seed: {' and '.join(told)}; PyTorch with shuffled rows differs from "
        f"itself by {floor:.2g}."
    )


def distance(fit: Fit) -> str:
    """How far each half's held-out loss is above the entropy of the source, in one sentence."""
    if fit.entropy is None:
        raise ValueError(f"the entropy of {fit.dataset} is not known; it is of synthetic sources alone")
    above = {name: f"{fit.held_out[name] - fit.entropy:.3f}" for name in FRAMEWORKS}
    best = f"above the best possible loss ({fit.entropy:.3f})"
    if len(set(above.values())) == 1:
        return f"Both end {above['MLX']} nats {best}."
    return f"MLX ends {above['MLX']} and PyTorch {above['PyTorch']} nats {best}."
