"""Checks a package against mlx-lm: the same greedy tokens, one by one, and how far the logits are apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlx_coreml.conversion.truth import widened
from mlx_coreml.ir.errors import WrongModelError
from mlx_coreml.language_models.generation import Generator, by_mlx

if TYPE_CHECKING:
    import mlx.nn as nn

TIE = 2e-2  # tokens whose logits are this near, in standard deviations of the logits, are equally likely
LIMIT = 5e-2  # rms-relative error of the logits


@dataclass(frozen=True)
class Agreement:
    """How many greedy tokens were to be compared, how many of them were equal before the first other one,
    whether that one was a tie, the largest rms-relative error of the logits until then, and the tokens.
    """

    tokens: int
    equal: int
    is_tie: bool
    error: float
    prompt: tuple[int, ...] = ()
    made: tuple[int, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all tokens are equal, or all until one that rounding decides."""
        return (self.equal == self.tokens or self.is_tie) and not self.error > LIMIT

    def __str__(self) -> str:
        tie = ", the next is a tie that rounding decides" if self.is_tie else ""
        error = f", logits within {self.error:.1e}" if np.isfinite(self.error) else ""
        return f"{self.equal} of {self.tokens} greedy tokens are those of mlx-lm{tie}{error}"


def compare(model: nn.Module, package: str | Path, count: int) -> Agreement:
    """The agreement over `count` tokens. Errors: WrongModelError unless it passed."""
    found = agreement(model, package, count)
    if not found.passed:
        raise WrongModelError(f"{package} does not generate what mlx-lm does: {found}")
    return found


def agreement(
    model: nn.Module, package: str | Path, count: int, prompt: list[int] | None = None
) -> Agreement:
    """Generate tokens by the reference runtime, and by mlx-lm in float32 on the CPU, and compare them."""
    generator = Generator(package)
    prompt = prompt or _prompt(generator)
    count = min(count, generator.context - len(prompt))
    with widened():  # MLX's half types are slow on a CPU, and round more than once
        wanted = list(by_mlx(model, prompt, count))
    equal, errors, is_tie = 0, [], False
    for (token, made), (right, logits) in zip(islice(generator.stream(prompt), count), wanted, strict=True):
        if made.dtype.kind == "f":
            errors.append(_error(made.reshape(-1).astype(np.float64), logits.astype(np.float64)))
        if token != right:
            is_tie = bool(logits[right] - logits[token] < TIE * logits[np.isfinite(logits)].std())
            break
        equal += 1
    made = tuple(token for token, _ in wanted[:equal])
    return Agreement(count, equal, is_tie, max(errors, default=float("nan")), tuple(prompt), made)


def _error(found: np.ndarray, wanted: np.ndarray) -> float:
    """The rms-relative error of logits, where they are finite; tokens that are never chosen have -inf, and
    must be below all others. Anything else is infinitely wrong.
    """
    finite = np.isfinite(wanted)
    if not finite.any() or not (np.isfinite(found[finite]).all() and (wanted[~finite] == -np.inf).all()):
        return float("inf")
    if not (found[~finite] < found[finite].min()).all():
        return float("inf")
    difference, size = found[finite] - wanted[finite], np.mean(np.square(wanted[finite]))
    return float(np.sqrt(np.mean(np.square(difference)) / max(size, 1e-30)))


def _prompt(generator: Generator) -> list[int]:
    """A chunk and a rest, so that both functions run."""
    length = min(generator.chunk + 3, max(generator.context // 2, 1))
    return [int(token) for token in np.random.default_rng(0).integers(1, 50, length)]
