"""Why two forward passes part: rules that measure, each with the sentence it gives.

A cause is named when a measurement shows it: one thing is changed to what the other half has and the
difference is gone, or a simple expression gives the numbers of one half and another those of the other.
"""

from collections import Counter

import numpy as np

from twins.frameworks import TORCH
from twins.models import weights
from twins.parity.diagnosis import attention, changes, expressions
from twins.parity.diagnosis.calls import arranged
from twins.parity.diagnosis.divergence import AGREE, Departure
from twins.parity.fairness_gate import relative

FACTOR = 1e-3  # by which two values are at least a factor apart


def random(d: Departure) -> str:
    """The value changes from one pass to the next of the same half."""
    halves, sides = d.make("float32"), []
    for half in halves:
        if relative(d.again(half, d.batch), d.again(half, d.batch)) > 0:
            sides.append(half.framework.name)
    where = " and in ".join(sides)
    return f"it changes from pass to pass in {where}: dropout, or another random step, is on" if sides else ""


def types(d: Departure) -> str:
    """The halves compute in different types."""
    ours, theirs = d.pair.mlx.dtype, d.pair.torch.dtype
    if ours == theirs:
        return ""
    return f"MLX computes in {ours} and PyTorch in {theirs}"


def added_vector(d: Departure) -> str:
    """The halves differ by one vector at every position, which is a bias of the model."""
    mlx, other = d.values
    for torch_value in arranged(other, mlx.shape):
        difference = (torch_value - mlx).reshape(-1, mlx.shape[-1])
        vector = difference.mean(0)
        if relative(np.broadcast_to(vector, difference.shape), difference) > 1e-3:
            continue
        for name, bias in d.make("float32")[1].model.named_parameters():
            numbers = TORCH.numpy(bias)
            for side, sign in (("MLX", 1), ("PyTorch", -1)):
                if numbers.shape == vector.shape and relative(sign * vector, numbers) < 1e-3:
                    return f"the difference is `{name}` at every position: {side} does not add this bias"
    return ""


def functions(d: Departure) -> str:
    """Each half's value is a simple expression of what it had at hand, and not the same one."""
    return _computed(*_expressions(d))


def _expressions(d: Departure) -> tuple[str, str]:
    ours, theirs = (expressions.recognised(*each) for each in zip(d.known(), d.values, strict=True))
    return ours, theirs


def _computed(ours: str, theirs: str) -> str:
    return f"MLX computes {ours}, PyTorch {theirs}" if ours and theirs and ours != theirs else ""


def attended(d: Departure) -> str:
    """Each half's value is attention over what it had at hand, and some part of it is not the same."""
    masks = d.batch[1:-1]
    ours, theirs = (attention.recognised(k, v, masks) for k, v in zip(d.known(), d.values, strict=True))
    parted = [
        f"its {k} {ours[k]} in MLX and {theirs[k]} in PyTorch" for k in ours if theirs.get(k) != ours[k]
    ]
    return f"both compute attention; {', '.join(parted)}" if theirs and parted else ""


def called(d: Departure) -> str:
    """One half has called a layer with weights more often than the other."""
    owners = {name.rpartition(".")[0] for name in weights.mlx_weights(d.make("float32")[0].model)}
    ours, theirs = (Counter(c.told for c in calls if c.mlx_path in owners) for calls in d.before())
    for name in dict.fromkeys([*ours, *theirs]):
        if ours[name] != theirs[name]:
            times = f"{_times(ours[name])} in MLX and {_times(theirs[name])} in PyTorch"
            return f"before it, {name} is called {times}"
    return ""


def _times(count: int) -> str:
    return f"{count} time{'s' * (count != 1)}"


def half_told(d: Departure) -> str:
    """One half's value is a simple expression of what it had at hand, the other's is none that is known."""
    ours, theirs = _expressions(d)
    if bool(ours) == bool(theirs):
        return ""
    side, other = ("MLX", "PyTorch") if ours else ("PyTorch", "MLX")
    return f"{side} computes {ours or theirs}, {other} something else"


def order(d: Departure) -> str:
    """Both values hold the same numbers in another order."""
    mlx, torch_value = (value.reshape(len(value), -1) if value.ndim else value for value in d.values)
    if mlx.shape != torch_value.shape or relative(np.sort(mlx), np.sort(torch_value)) > AGREE:
        return ""
    return (
        "both hold the same numbers in another order: layouts are swapped, as when channels-last (MLX) and "
        "channels-first (PyTorch) are flattened or transposed alike"
    )


def looks_ahead(d: Departure) -> str:
    """One half's value at earlier positions depends on the last one."""
    first = d.batch[0]
    mlx = d.values[0]
    if first.ndim < 2 or mlx.ndim < 3 or mlx.shape[:2] != first.shape[:2] or first.shape[1] < 2:
        return ""
    changed = first.copy()
    changed[:, -1] = np.roll(changed, 1, axis=0)[:, 0]
    sides = []
    for half in d.make("float32"):
        before, after = (d.again(half, (each, *d.batch[1:])) for each in (first, changed))
        if relative(after[:, :-1], before[:, :-1]) > AGREE:
            sides.append(half.framework.name)
    if len(sides) != 1:
        return ""
    return f"in {sides[0]} earlier positions depend on the last one: its causal mask is missing"


def sees_padding(d: Departure) -> str:
    """One half's value depends on what stands where the batch's mask says nothing does."""
    masks = [a for a in d.batch[1:-1] if a.ndim > 1 and set(np.unique(a)) == {0, 1}]
    ids = d.batch[0]
    if not masks or masks[0].shape != ids.shape or ids.dtype.kind != "i":
        return ""
    real = masks[0].astype(bool)
    changed = np.where(real, ids, (ids + 1) % (ids.max() + 1))
    sides = []
    for half in d.make("float32"):
        before, after = (_at(d.again(half, (x, *d.batch[1:])), real) for x in (ids, changed))
        if relative(after, before) > AGREE:
            sides.append(half.framework.name)
    if len(sides) != 1:
        return ""
    return f"in {sides[0]} it depends on padded positions: its padding mask is missing or ignored"


def _at(value: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The value at real positions, where it has one for every position; else all of it."""
    rows = real.reshape(-1, real.shape[-1])
    return value[rows] if value.shape[:2] == rows.shape else value


def multiple(d: Departure) -> str:
    """One value is a constant times the other."""
    mlx, other = d.values
    for torch_value in arranged(other, mlx.shape):
        size = float((torch_value.astype(np.float64) ** 2).sum())
        factor = float((mlx.astype(np.float64) * torch_value).sum()) / size if size else 0.0
        if abs(factor - 1) > FACTOR and factor and relative(mlx, factor * torch_value) < AGREE:
            return f"MLX's value is {factor:.4g} times PyTorch's at every place"
    return ""


RULES = (
    random,
    types,
    changes.mapped,
    changes.settings,
    changes.compatible,
    changes.turned_weight,
    changes.turned_input,
    added_vector,
    order,
    sees_padding,
    looks_ahead,
    multiple,
    functions,
    attended,
    called,
    half_told,
)


def cause(d: Departure) -> str:
    """The sentence of the first rule that fits; empty when none does."""
    return next(filter(None, (rule(d) for rule in RULES)), "")
