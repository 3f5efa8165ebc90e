"""Which single change to a half removes a difference: a setting, the map of names, a weight or an input.

Each rule makes the change, checks whether the difference is gone, and returns the sentence that says so.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from twins.frameworks import TORCH
from twins.models import user_model, weights
from twins.models.name_map import Names
from twins.parity.diagnosis.calls import Call, record
from twins.parity.diagnosis.divergence import AGREE, Departure
from twins.parity.differences import apart
from twins.training.train import Half

import torch  # isort: skip  (after frameworks: the BLAS)

SETTING = bool | int | float | str | tuple | None  # the types of a layer's settings
MAPS = 64  # at most tried, one pass each
USUAL = {"padding_mode": "zeros"}  # settings of torch's layers that MLX's have not, at what MLX computes


def settings(d: Departure) -> str:
    """With settings of a layer, such as epsilon, at what they are in MLX, torch's value is MLX's.

    The layer is the one that departs, one before it or one around it; its settings are tried one by one, then
    all of them.
    """
    halves = d.make("float32")
    for call in _near(d):
        parted = _parted(halves, call)
        for chosen in [*([name] for name in parted), *([list(parted)] if len(parted) > 1 else [])]:
            half = d.make("float32")[1]
            changes = {name: _like(*parted[name]) for name in chosen}
            vars(half.model.get_submodule(call.path)).update(changes)
            if _mends(d, half):
                owner = "its" if call.path == d.pair.torch.path else f"{call.told}'s"
                both = ((f"`{n}`", *parted[n]) for n in chosen)
                return "; ".join(f"{owner} {n} is {one} in MLX and {two} in PyTorch" for n, one, two in both)
    return ""


def _near(d: Departure) -> list[Call]:
    """One call of each of torch's layers that can affect the value, the nearest first."""
    path = d.pair.torch.path
    around = [c for c in d.traces[1].calls if path.startswith(f"{c.path}.") or c.path in ("", path)]
    here = [d.pair.torch] if d.given is None else []
    return list({c.path: c for c in [*here, *reversed(d.before()[1]), *around]}.values())


def _parted(halves: tuple[Half, Half], call: Call) -> dict[str, tuple[object, object]]:
    """The settings of a layer that differ, by name: MLX's value and PyTorch's."""
    ours = dict(halves[0].model.named_modules()).get(call.mlx_path)
    if ours is None:
        return {}  # a container that only torch calls
    theirs = vars(halves[1].model.get_submodule(call.path))
    mine = {**USUAL, **vars(ours), **ours, "training": ours.training}
    both = {k: (mine[k], theirs[k]) for k in mine if k in theirs}
    return {k: v for k, v in both.items() if all(isinstance(x, SETTING) for x in v) and _like(*v) != v[1]}


def _like(mine: object, theirs: object) -> object:
    """MLX's setting as torch writes it: one number for all axes is a tuple of it."""
    return (mine,) * len(theirs) if isinstance(theirs, tuple) and isinstance(mine, int) else mine


def _mends(d: Departure, half: Half) -> bool:
    """Whether a changed torch half gives MLX's value."""
    try:
        value = d.again(half, d.batch)
    except user_model.FAULTS:
        return False  # the change does not fit this layer
    return apart(d.values[0], value) < min(AGREE, d.size / 2)


def compatible(d: Departure) -> str:
    """MLX's layer gives PyTorch's output with `pytorch_compatible`; GroupNorm groups otherwise by default."""
    mlx = d.make("float32")[0]
    layer = dict(mlx.model.named_modules()).get(d.pair.mlx.path)
    if d.given is not None or getattr(layer, "pytorch_compatible", True):
        return ""
    layer.pytorch_compatible = True
    if not apart(d.again(mlx, d.batch), d.values[1]) < AGREE:
        return ""
    return "its `pytorch_compatible` is False in MLX (the default), which groups other channels"


def mapped(d: Departure) -> str:
    """With another map of names the outputs agree: an entry left out, all of them, or two exchanged."""
    for changed, what in itertools.islice(_maps(d.make("float32")[1].names), MAPS):
        mlx, torch_half = d.make("float32")
        try:
            weights.copy_to_mlx(torch_half.model, mlx.model, changed)
        except user_model.FAULTS:
            continue  # no map of these weights
        outputs = [record(half, d.batch).calls for half in (mlx, torch_half)]
        if all(outputs) and apart(*(calls[-1].output for calls in outputs)) < AGREE:
            return f"the map of names gives weights to the wrong layers: with {what} the outputs agree"
    return ""


def _maps(names: Names) -> Iterator[tuple[Names, str]]:
    """Other maps to try, and what was changed in each."""
    if names:
        yield {}, "no map at all"
    for name in names if len(names) > 1 else []:
        yield {k: v for k, v in names.items() if k != name}, f"no entry {name!r}"
    for one, two in itertools.combinations(names, 2):
        exchanged = {**names, one: names[two], two: names[one]}
        yield exchanged, f"{one!r}: {names[two]!r} and {two!r}: {names[one]!r}"
    for name, parts in names.items():
        for order in itertools.permutations(parts) if isinstance(parts, list) else []:
            yield {**names, name: list(order)}, f"{name!r}: {list(order)!r}"


def _layer(d: Departure) -> torch.nn.Module:
    """A copy of the torch module, free to be changed."""
    model = d.make("float32")[1].model
    return copy.deepcopy(model.get_submodule(d.pair.torch.path))


def _gives(d: Departure, layer: torch.nn.Module, inputs: Sequence[np.ndarray] | None = None) -> bool:
    """Whether a changed torch module gives MLX's output of PyTorch's inputs."""
    try:
        with torch.no_grad():
            made = layer(*[TORCH.array(value) for value in inputs or d.pair.torch.inputs])
    except user_model.FAULTS:
        return False  # the change does not fit this layer
    return isinstance(made, torch.Tensor) and apart(d.pair.mlx.output, TORCH.numpy(made)) < AGREE


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
