"""How far two values are apart, and the check that a difference and its limit make."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass

import numpy as np

from twins.parity.limits import limit as limit_of


@dataclass(frozen=True)
class Check:
    """One comparison: what was compared, the worst value, its limit, and the tensor or step it was at."""

    name: str
    value: float
    limit: float
    where: str

    @property
    def passed(self) -> bool:
        """Whether the value is within the limit; a value that is not a number is not."""
        return bool(self.value <= self.limit)

    def plain(self) -> dict:
        """The check as records hold it: JSON has no nan and no infinity, so None stands for both."""
        value = self.value if np.isfinite(self.value) else None
        return asdict(self) | {"value": value, "passed": self.passed}

    def __str__(self) -> str:
        sign = "is within" if self.passed else "EXCEEDS"
        return f"{self.name}: {self.value:.2g} {sign} {self.limit:.2g} ({self.where})"


@dataclass(frozen=True)
class Verdict:
    """All checks of one twin, the first losses of every run, one per step, and what was not checked."""

    twin: str
    checks: tuple[Check, ...]
    losses: dict[str, list[float]]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def failures(self) -> list[str]:
        """One sentence per failed check."""
        return [f"{self.twin}: {check}" for check in self.checks if not check.passed]


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| / |b| in L2; 0 when both are zero, infinite when only b is."""
    difference, size = np.linalg.norm(a.astype(np.float64) - b), np.linalg.norm(b.astype(np.float64))
    return 0.0 if difference == 0 else float(difference / size) if size else float("inf")


def worst(name: str, differences: Mapping[str, float], limit: float) -> Check:
    """The check made of the largest difference and the tensor it is at (nan counts as largest)."""
    if not differences:
        return Check(name, float("inf"), limit, "no tensor to compare")
    where = max(differences, key=lambda k: np.inf if np.isnan(differences[k]) else differences[k])
    return Check(name, differences[where], limit, where)


def arrays_of(made: object) -> list:
    """Every array of what a model gives: one, or several in tuples, lists, dicts and dataclasses."""
    if hasattr(made, "shape"):
        return [made]
    if is_dataclass(made) and not isinstance(made, type):
        made = vars(made)
    if isinstance(made, Mapping):
        made = [made[key] for key in sorted(made)]
    return [array for each in made for array in arrays_of(each)] if isinstance(made, tuple | list) else []


def compared(name: str, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Check:
    """The check made of outputs, the worst of several; of other shapes they are infinitely far apart.

    PyTorch's may have its channels on axis 1 where MLX's has them last.
    """
    limit, shapes = limit_of(name), [[value.shape for value in each] for each in (ours, theirs)]
    told = [", ".join(map(str, each)) or "no array" for each in shapes]
    if len(ours) != len(theirs) or not ours:
        return Check(name, float("inf"), limit, f"MLX {told[0]}, PyTorch {told[1]}")
    found = [apart(*pair) for pair in zip(ours, theirs, strict=True)]
    if not all(map(np.isfinite, found)) and shapes[0] != shapes[1]:
        return Check(name, float("inf"), limit, f"MLX {told[0]}, PyTorch {told[1]}")
    return Check(name, max(found, key=lambda x: np.inf if np.isnan(x) else x), limit, told[0])


def arranged(value: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The arrangements of a torch array that have MLX's shape: as it is, and with channels last."""
    turned = [value, np.moveaxis(value, 1, -1)] if value.ndim > 2 else [value]
    return [each for each in turned if each.shape == shape]


def apart(mlx: np.ndarray, torch_value: np.ndarray) -> float:
    """Relative L2 between two values in the arrangement that fits best; infinite when no shape does.

    Numbers that are not finite agree with the same ones at the same places only.
    """
    return min((_apart(mlx, each) for each in arranged(torch_value, mlx.shape)), default=float("inf"))


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    if np.isfinite(one).all() and np.isfinite(two).all():
        return relative(one, two)
    real = np.isfinite(one)
    same = np.array_equal(real, np.isfinite(two)) and np.array_equal(one[~real], two[~real], equal_nan=True)
    return relative(one[real], two[real]) if same else float("inf")


def median(name: str, differences: dict[str, float]) -> Check:
    """The check made of the median over tensors; the worst tensor is named as well.

    The median, because Adam normalises the noise in a gradient that is truly zero to full size.
    """
    if not differences:
        return Check(name, float("inf"), limit_of(name), "no weight is trained")
    ordered = sorted(differences, key=differences.__getitem__)
    largest = f"worst {ordered[-1]}: {differences[ordered[-1]]:.2g}"
    return Check(name, differences[ordered[len(ordered) // 2]], limit_of(name), largest)
