"""The table of MIL operations with inputs: data shared by all Core ML tests.

A case names an operation, its inputs (NumPy arrays, given when the program runs) and its constants (Python
values, stored in it). Its expected result is what coremltools folds the same operation to, unless `expected`
computes it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Case:
    """One operation on given inputs; `label` tells apart the cases of an operation."""

    operation: str
    label: str
    inputs: dict[str, np.ndarray | tuple[np.ndarray, ...]]
    constants: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    expected: Callable | None = None
    tolerance: float = 1e-5

    def __str__(self) -> str:
        return (
            f"{self.operation}-{self.label}-{self.opset}" if self.label else f"{self.operation}-{self.opset}"
        )


def floats(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Random float32 values between two bounds; the same for the same arguments."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(np.float32)


def integers(*shape: int, low: int = -5, high: int = 6, seed: int = 0) -> np.ndarray:
    """Random int32 values from low to high - 1."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(np.int32)


SIGNALS = {1: floats(2, 4, 11), 2: floats(2, 4, 9, 8), 3: floats(1, 4, 6, 7, 5)}


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    """Arrays as torch tensors."""
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def booleans(*shape: int, seed: int = 0) -> np.ndarray:
    """Random truth values."""
    return np.random.default_rng([seed, *shape]).integers(0, 2, shape).astype(bool)


CASES: list[Case] = []
FAMILIES: dict[str, list[Case]] = {}  # the cases of each file, by what its name says


def add(operation: str, label: str = "", opset: int = 17, expected=None, tolerance=1e-5, **arguments) -> None:
    """File a case: arrays and tuples of arrays become inputs, everything else constants.

    `expected` takes the inputs in order.
    """
    inputs = {name: value for name, value in arguments.items() if _is_input(value)}
    constants = {name: value for name, value in arguments.items() if name not in inputs}
    CASES.append(Case(operation, label, inputs, constants, opset, expected, tolerance))


def add_stored(operation: str, label: str = "", opset: int = 17, expected=None, **constants) -> None:
    """File a case without inputs: all arguments are stored in the program."""
    CASES.append(Case(operation, label, {}, constants, opset, expected))


def assigned(x: np.ndarray, index: tuple, update: np.ndarray) -> np.ndarray:
    """A copy of x with `update` at `index`."""
    y = x.copy()
    y[index] = update
    return y


def all_cases() -> list[Case]:
    """Every case of the files `cases_*.py`, which file their own when imported."""
    for file in sorted(Path(__file__).parent.glob("cases_*.py")):
        known = len(CASES)
        import_module(file.stem)
        FAMILIES.setdefault(file.stem.removeprefix("cases_"), CASES[known:])
    return CASES


def _is_input(value) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(item, np.ndarray) for item in value)
    return isinstance(value, np.ndarray)
