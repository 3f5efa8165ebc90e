"""Why two forward passes part: rules that measure, each with the sentence it gives.

A cause is named when it is shown: one thing is changed to what the other half has and the difference is gone,
or a simple expression gives the numbers of one half and another those of the other.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from twins.frameworks import TORCH
from twins.models import user_model
from twins.parity.diagnosis import attention, changes, expressions, trials
from twins.parity.diagnosis.calls import Call
from twins.parity.diagnosis.divergence import AGREE, Departure
from twins.parity.differences import arranged, relative

from mlx.utils import tree_flatten  # isort: skip  (after frameworks: the BLAS)

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
    if not ours or not theirs or ours == theirs:
        return ""
    told = f"MLX computes {ours}, PyTorch {theirs}"
    for side, more, less in (("MLX", ours, theirs), ("PyTorch", theirs, ours)):
        if more.startswith(f"{less} plus "):
            other = "PyTorch" if side == "MLX" else "MLX"
            return f"{told}: the sum, such as a residual connection, is missing in {other}"
    return told


def shown(d: Departure) -> str:
    """The mildest of the changes of single operations that mends it."""
    return trials.cause(d.place())


def attended(d: Departure) -> str:
    """Each half's value is attention over what it had at hand, and some part of it is not the same."""
    masks = d.batch[1:-1]
    ours, theirs = (attention.recognised(k, v, masks) for k, v in zip(d.known(), d.values, strict=True))
    if not ours or not theirs:
        return ""  # a part that only one half's value shows is no cause
    parted = [f"its {k} {ours[k]} in MLX and {theirs[k]} in PyTorch" for k in ours if theirs[k] != ours[k]]
    return f"both compute attention; {', '.join(parted)}" if parted else ""


def called(d: Departure) -> str:
    """One half calls a module more often than the other; without that call the values agree."""
    ours, theirs = ({c.mlx_path: c for c in calls} for calls in d.before())
    counts = [Counter(c.mlx_path for c in calls) for calls in d.before()]
    inner = [m for m in counts[0] | counts[1] if counts[0][m] != counts[1][m] and m]
    for name in sorted(inner, key=lambda path: path.count(".")):
        side = 0 if counts[0][name] > counts[1][name] else 1
        call = (ours, theirs)[side][name]
        if not _in_both(d, side, call):
            continue  # what the other half computes without a module cannot be counted
        for index in range(max(counts[0][name], counts[1][name])):
            if trials.vanishes(d.place(), side, call.path, index):
                return _called(d, side, call, (counts[0][name], counts[1][name]))
    return ""


def _in_both(d: Departure, side: int, call: Call) -> bool:
    """Whether a module has weights, which then lie in both halves, or the other half has one of its name."""
    half, other = (d.make("float32")[each] for each in (side, 1 - side))
    module = dict(half.model.named_modules())[call.path]
    known = {path for path, _ in other.model.named_modules()}
    weighted = (
        bool(tree_flatten(module.parameters())) if side == 0 else any(True for _ in module.parameters())
    )
    return weighted or (call.mlx_path if side else call.path) in known


def _called(d: Departure, side: int, call: Call, counts: tuple[int, int]) -> str:
    """The sentence for a call that the other half lacks."""
    half = d.make("float32")[side]
    kind = type(dict(half.model.named_modules())[call.path]).__name__
    totals = [sum(each.mlx_path == call.mlx_path for each in trace.calls) for trace in d.traces]
    without = "without that call the values agree"
    if totals[0] == totals[1]:
        sides = ("MLX", "PyTorch") if side == 0 else ("PyTorch", "MLX")
        told = f"{sides[0]} calls {call.told} ({kind}) before it and {sides[1]} after, in another order"
        return f"{told}; {without}"
    times = f"{_times(counts[0])} in MLX and {_times(counts[1])} in PyTorch"
    return f"before it, {call.told} ({kind}) is called {times}; {without}"


def _times(count: int) -> str:
    return f"{count} time{'s' * (count != 1)}"


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
    called,
    functions,
    attended,
    shown,
    multiple,
)


def cause(d: Departure) -> str:
    """The sentence of the first rule that fits; empty when none does."""
    return next(filter(None, (_told(rule, d) for rule in RULES)), "")


def _told(rule: Callable[[Departure], str], d: Departure) -> str:
    """What a rule says; nothing where the halves' own code refuses what it tries."""
    try:
        return rule(d)
    except (*user_model.FAULTS, StopIteration):
        return ""
