"""Whether two halves can be compared at all: the names, shapes and numbers of their weights, the batch."""

from collections.abc import Iterator

import numpy as np

from twins.frameworks import MLX
from twins.models import weights
from twins.parity import checks
from twins.parity.checks import Batch
from twins.parity.diagnosis.calls import LOSS, Trace
from twins.parity.differences import arrays_of, relative
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after frameworks: the BLAS)

Shapes = dict[str, tuple[int, ...]]


def _both(mlx: Half, torch_half: Half) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights of both halves under MLX's names and in its layout."""
    return checks.both_weights(mlx, torch_half)


def names(mlx: Half, torch_half: Half) -> tuple[str, str, str] | None:
    """The first weight that one half lacks or that has two shapes: where, what departs, and the cause."""
    ours, theirs = ({k: v.shape for k, v in each.items()} for each in _both(mlx, torch_half))
    alone = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    if alone[0] or alone[1]:
        return _alone(*alone, ours, theirs)
    for name, shape in ours.items():
        if shape != theirs[name]:
            departs = f"`{name}` is {shape} in MLX and {theirs[name]} in PyTorch (both in MLX's layout)"
            swapped = sorted(shape) == sorted(theirs[name])
            cause = "the axes are swapped: one half keeps this weight in another layout" if swapped else ""
            return f"`{name}`", departs, cause
    return None


def _alone(ours: list[str], theirs: list[str], mlx: Shapes, torch_shapes: Shapes) -> tuple[str, str, str]:
    """The sentence for weights that one half has and the other has not."""
    renamed = list(_same_shapes(ours, theirs, mlx, torch_shapes)) if len(ours) == len(theirs) else []
    if renamed:
        listed = ", ".join(f'"{torch_name}": "{name}"' for torch_name, name in renamed[:3])
        more = f" and {len(renamed) - 3} more like these" if len(renamed) > 3 else ""
        cause = f"they look like the same weights under two names: NAMES = {{{listed}}}{more}"
        return f"`{ours[0]}`", f"{len(ours)} weights have names that only one half knows", cause
    side, other, lone = ("MLX", "PyTorch", ours) if ours else ("PyTorch", "MLX", theirs)
    if ours and theirs:
        departs = f"only MLX has {_listed(ours)}; only PyTorch has {_listed(theirs)}"
        return f"`{ours[0]}`", departs, "a weight is missing in one half, or in the map of names"
    kind = "a bias is missing" if lone[0].rpartition(".")[2] == "bias" else "a weight is missing"
    layer = lone[0].rpartition(".")[0]
    return f"`{layer or lone[0]}`", f"only {side} has {_listed(lone)}", f"{kind} in {other}'s half"


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(f"`{name}`" for name in found[:3]) + more


def _same_shapes(ours: list[str], theirs: list[str], mlx: Shapes, other: Shapes) -> Iterator[tuple[str, str]]:
    """Pairs of names (PyTorch's, MLX's) in order, when all of their shapes hold the same sizes."""
    pairs = list(zip(theirs, ours, strict=True))
    if all(sorted(other[t]) == sorted(mlx[m]) for t, m in pairs):
        yield from pairs


def numbers(mlx: Half, torch_half: Half) -> tuple[str, str, str] | None:
    """The first weight whose first numbers differ: where, what departs, and the cause."""
    ours, theirs = _both(mlx, torch_half)
    types = _types(mlx), _types(torch_half)
    for name, value in ours.items():
        if types[0][name] != types[1].get(name, types[0][name]):
            departs = f"`{name}` is {types[0][name]} in MLX and {types[1][name]} in PyTorch"
            return f"`{name}`", departs, "the halves compute in different types"
        if relative(value, theirs[name]) == 0:
            continue
        departs = f"`{name}` starts {relative(value, theirs[name]):.2g} of its size away from PyTorch's"
        if not np.isfinite(value).all():
            sides = [s for s, v in (("MLX", value), ("PyTorch", theirs[name])) if not np.isfinite(v).all()]
            cause = f"it is not finite in {' and in '.join(sides)}"
        elif not value.any() or not theirs[name].any():
            cause = f"it is all zeros in {'MLX' if theirs[name].any() else 'PyTorch'}"
        elif _turned(value, theirs[name]):
            cause = "it is transposed: the layouts of the weight are swapped"
        else:
            cause = "the halves do not start from the same weights"
        return f"`{name}`", departs, cause
    return None


def _types(half: Half) -> dict[str, str]:
    """The type of every weight by MLX's name."""
    if half.framework is MLX:
        found = dict(tree_flatten(half.model.parameters()))
    else:
        found = {weights.renamed(k, half.names): v for k, v in half.model.state_dict().items()}
    return {name: str(value.dtype).rpartition(".")[2] for name, value in found.items()}


def _turned(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one holds the other's numbers along other axes."""
    return a.ndim > 1 and np.array_equal(np.sort(a, axis=None), np.sort(b, axis=None))


def refusal(half: Half, trace: Trace) -> tuple[str, str, str] | None:
    """Where a half refuses the batch, or that its loss is not one number, in the form of names()."""
    side = half.framework.name
    if trace.loss is not None and trace.loss.ndim:
        departs = f"the loss of {side}'s half is an array of shape {trace.loss.shape}, not one number"
        return "the loss", departs, "it lacks a reduction to the mean"
    if trace.failed is None:
        return None
    if trace.failed == LOSS:
        return LOSS, f"{LOSS} of {side}'s half fails ({trace.why})", ""
    where = f"`{trace.failed}`" if trace.failed else "the whole model"
    shapes = " and ".join(str(value.shape) for value in trace.given)
    departs = f"{where} of {side}'s half, given {shapes or 'no array'}, refuses the batch ({trace.why})"
    return where, departs, _confused(half, trace)


def output(half: Half, batch: Batch) -> tuple[str, str, str] | None:
    """Whether the model gives no array of all arrays of the batch but the last."""
    made = half.model(*half.batch(batch)[:-1])
    if arrays_of(made):
        return None
    departs = f"{half.framework.name}'s model gives a {type(made).__name__}, which holds no array to compare"
    return "the whole model", departs, ""


def cut(half: Half, batch: Batch) -> tuple[str, str, str] | None:
    """Whether torch's loss depends on no weight; MLX's then has gradients of zero, which training reports."""
    if half.framework is MLX or half.loss(half.model, *half.batch(batch)).requires_grad:
        return None
    why = "the graph is cut (detach, item, no_grad), or every weight is frozen"
    return LOSS, f"{LOSS} of PyTorch's half depends on none of its weights", why


def _confused(half: Half, trace: Trace) -> str:
    """Whether the channels the refusing layer needs stand on another axis of what it was given."""
    layer = dict(half.model.named_modules()).get(trace.failed)
    weight = getattr(layer, "weight", None)
    shape = trace.given[0].shape if trace.given else ()
    if weight is None or len(shape) < 3 or len(weight.shape) != len(shape):
        return ""
    mlx = half.framework.key == "mlx"
    channels = weight.shape[-1] if mlx else weight.shape[1] * getattr(layer, "groups", 1)
    found, other = (-1, 1) if mlx else (1, -1)
    if shape[found] == channels or shape[other] != channels:
        return ""
    layouts = ("channels-last", "channels-first") if mlx else ("channels-first", "channels-last")
    return f"its {channels} channels are on another axis: it takes {layouts[0]} and is given {layouts[1]}"
