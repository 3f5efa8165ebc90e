"""Where two forward passes first part, and why: rules that measure, each with the sentence it gives.

A cause is named when a measurement shows it: one thing is changed to what the other half has and the
difference is gone, or a simple expression gives the numbers of one half and another those of the other.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from twins.diagnosis import expressions
from twins.diagnosis.calls import Pair, Trace, apart, arranged, pairs, record
from twins.diagnosis.expressions import Known
from twins.frameworks import TORCH
from twins.parity import Batch, Halves, relative
from twins.train import Half

import torch  # isort: skip  (after frameworks: the BLAS)

AGREE = 5e-6  # relative L2 between values that agree; correct twins reach 6e-7 (parity.THRESHOLDS)


@dataclass(frozen=True)
class Departure:
    """The first value that departs: an output or an input of which call, and what agrees before it."""

    pair: Pair
    index: int
    given: int | None  # which input departs; None for the output
    known: tuple[Known, ...]
    make: Halves
    batch: Batch

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """The value in MLX and in PyTorch."""
        if self.given is None:
            return self.pair.mlx.output, self.pair.torch.output
        return self.pair.mlx.inputs[self.given], self.pair.torch.inputs[self.given]

    def again(self, half: Half, batch: Batch) -> np.ndarray:
        """The value of one half in another pass, over another batch."""
        trace = record(half, batch)
        own = self.pair.torch if half.framework is TORCH else self.pair.mlx
        call = [c for c in trace.calls if c.path == own.path][self.index]
        return call.output if self.given is None else call.inputs[self.given]

    def __str__(self) -> str:
        mlx, torch_value = self.values
        size = f"by {apart(mlx, torch_value):.2g} of its size"
        if not arranged(torch_value, mlx.shape):
            size = f"in shape, {mlx.shape} in MLX and {torch_value.shape} in PyTorch"
        if self.given is None:
            return f"the output of {self.pair.where} departs {size}, what it is given agrees"
        before = f"; before it, {self.known[-1].name} agrees" if self.known else ""
        return f"what {self.pair.where} is given departs {size}{before}"


def departure(make: Halves, batch: Batch, traces: tuple[Trace, Trace]) -> Departure | None:
    """The first departing value of two passes; None when every matched value agrees."""
    known: list[Known] = []
    seen: dict[str, int] = {}
    for pair in pairs(*traces):
        index = seen[pair.mlx.path] = seen.get(pair.mlx.path, -1) + 1
        inputs = list(zip(pair.mlx.inputs, pair.torch.inputs, strict=False))
        for given, values in enumerate(inputs):
            if apart(*values) > AGREE:
                return Departure(pair, index, given, tuple(known), make, batch)
            known.append(Known(f"the input of {pair.where}", *values))
        if apart(pair.mlx.output, pair.torch.output) > AGREE:
            return Departure(pair, index, None, tuple(known), make, batch)
        known.append(Known(f"the output of {pair.where}", pair.mlx.output, pair.torch.output))
    return None


# --- rules: a departure -> the sentence, or nothing ------------------------------------------------


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


def _layer(d: Departure) -> torch.nn.Module:
    """A copy of the torch module, free to be changed."""
    model = d.make("float32")[1].model
    return copy.deepcopy(model.get_submodule(d.pair.torch.path))


def _gives(d: Departure, layer: torch.nn.Module, inputs: Sequence[np.ndarray] | None = None) -> bool:
    """Whether a changed torch module gives MLX's output of PyTorch's inputs."""
    try:
        with torch.no_grad():
            made = layer(*[TORCH.array(value) for value in inputs or d.pair.torch.inputs])
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False  # the change does not fit this layer
    return isinstance(made, torch.Tensor) and apart(d.pair.mlx.output, TORCH.numpy(made)) < AGREE


def settings(d: Departure) -> str:
    """One setting of the layer, such as epsilon, is another in MLX, and with it torch gives MLX's output."""
    if d.given is not None:
        return ""
    ours = dict(d.make("float32")[0].model.named_modules())[d.pair.mlx.path]
    mine = {**vars(ours), **ours, "training": ours.training}
    for name, value in ((k, v) for k, v in mine.items() if isinstance(v, bool | int | float | tuple)):
        layer = _layer(d)
        theirs = vars(layer).get(name)
        if theirs is not None and theirs != value and isinstance(theirs, bool | int | float | tuple):
            setattr(layer, name, value)
            if _gives(d, layer):
                return f"its `{name}` is {value} in MLX and {theirs} in PyTorch"
    return ""


def turned_weight(d: Departure) -> str:
    """PyTorch's layer gives MLX's output once its weight is transposed or flipped."""
    if d.given is not None:
        return ""
    for name, weight in _layer(d).named_parameters(recurse=False):
        for how, change in TURNS.items():
            layer = _layer(d)
            other = change(weight.detach()) if weight.ndim > 1 else weight
            if other.shape == weight.shape and weight.ndim > 1:
                getattr(layer, name).data = other.contiguous()
                if _gives(d, layer):
                    return f"MLX's output is that of the `{name}` {how}: its layouts are swapped"
    return ""


TURNS: dict[str, Callable] = {
    "transposed": lambda w: w.transpose(0, 1),
    "with its last two axes swapped": lambda w: w.transpose(-1, -2),
    "flipped along its last axis": lambda w: w.flip(-1),
    "flipped along its last two axes": lambda w: w.flip(-1, -2),
}


def turned_input(d: Departure) -> str:
    """PyTorch's layer gives MLX's output of an input with its channels moved."""
    if d.given is not None or not d.pair.torch.inputs or d.pair.torch.inputs[0].ndim < 3:
        return ""
    first, *rest = d.pair.torch.inputs
    for source, target, axis in ((-1, 1, "last axis"), (1, -1, "axis 1")):
        if _gives(d, _layer(d), [np.ascontiguousarray(np.moveaxis(first, source, target)), *rest]):
            return (
                f"PyTorch's layer gives MLX's output when the {axis} of what it is given holds the channels: "
                "channels-last (MLX) and channels-first (PyTorch) are confused"
            )
    return ""


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
    """Each half's value is a simple expression of values that agree, and not the same one."""
    ours, theirs = expressions.both(d.known, *d.values)
    if ours and theirs and ours != theirs:
        return f"MLX computes {ours}, PyTorch {theirs}"
    if ours or theirs:
        side, other = ("MLX", "PyTorch") if ours else ("PyTorch", "MLX")
        return f"{side} computes {ours or theirs}, {other} something else"
    return ""


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
        if factor and relative(mlx, factor * torch_value) < AGREE:
            return f"MLX's value is {factor:.4g} times PyTorch's at every place"
    return ""


RULES = (
    random,
    types,
    settings,
    turned_weight,
    turned_input,
    added_vector,
    order,
    sees_padding,
    looks_ahead,
    multiple,
    functions,
)


def cause(d: Departure) -> str:
    """The sentence of the first rule that fits; empty when none does."""
    return next(filter(None, (rule(d) for rule in RULES)), "")
