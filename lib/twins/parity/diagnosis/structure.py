"""Whether two halves can be compared at all: the names, shapes and numbers of their weights, the batch."""

import numpy as np

from twins.frameworks import MLX
from twins.models import name_fits
from twins.models.name_fits import Shape, Shapes
from twins.parity import checks, indices
from twins.parity.checks import Batch
from twins.parity.diagnosis.calls import LOSS, Trace
from twins.parity.differences import arrays_of, relative
from twins.parity.interception.bounds import BEGINS
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after frameworks: the BLAS)

Told = tuple[str, str, str | None]  # where, what differs, the cause: empty, or None where none was sought


def names(mlx: Half, torch_half: Half) -> Told | None:
    """The first weight that one half lacks or that has two shapes: where, what departs, and the cause."""
    ours, theirs = ({k: v.shape for k, v in each.items()} for each in checks.both_weights(mlx, torch_half))
    alone = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    if alone[0] or alone[1]:
        return _alone(*alone, ours, theirs) if alone[1] else _only_mlx(alone[0], mlx, torch_half)
    for name, shape in ours.items():
        if shape != theirs[name]:
            departs = f"`{name}` is {shape} in MLX and {theirs[name]} in PyTorch (both in MLX's layout)"
            return f"`{name}`", departs, _other_shape(name, shape, mlx, torch_half)
    return None


def _other_shape(name: str, shape: Shape, mlx: Half, torch_half: Half) -> str:
    """Which entry of the map makes one shape of the other, if one can."""
    link = next(each for each in checks.links(mlx, torch_half).links if name in each.mlx)
    given = torch_half.model.state_dict()[link.torch[0]].shape if len(link.torch) == 1 else ()
    entry = name_fits.changed(link.torch[0], tuple(given), name, shape)
    if len(shape) == len(given) and sorted(shape) == sorted(given):
        return (
            f"the axes are swapped: one half keeps this weight in another layout; if so, NAMES = {{{entry}}}"
        )
    return f"both hold as many numbers: if these are in the same order, NAMES = {{{entry}}}" if entry else ""


def _alone(ours: list[str], theirs: list[str], mlx: Shapes, torch_shapes: Shapes) -> Told:
    """The sentence for weights that one half has and the other has not."""
    fits = name_fits.entries({k: torch_shapes[k] for k in theirs}, {k: mlx[k] for k in ours})
    if fits:
        listed = ", ".join(fits[:3])
        more = f" and {len(fits) - 3} more like these" if len(fits) > 3 else ""
        said = "they look like the same weights under two names"
        if not all(entry.startswith('"') and entry.endswith('"') for entry in fits):
            said = "their shapes fit if the weights are kept in other forms"
        where = ours[0] if ours else theirs[0]
        departs = f"{max(len(ours), len(theirs))} weights have names that only one half knows"
        return f"`{where}`", departs, f"{said}: NAMES = {{{listed}}}{more}"
    side, other, lone = ("MLX", "PyTorch", ours) if ours else ("PyTorch", "MLX", theirs)
    if ours and theirs:
        departs = f"only MLX has {_listed(ours)}; only PyTorch has {_listed(theirs)}"
        return f"`{ours[0]}`", departs, ""
    kind = "a bias is missing" if lone[0].rpartition(".")[2] == "bias" else "a weight is missing"
    layer = lone[0].rpartition(".")[0]
    return f"`{layer or lone[0]}`", f"only {side} has {_listed(lone)}", f"{kind} in {other}'s half"


def _only_mlx(lone: list[str], mlx: Half, torch_half: Half) -> Told:
    """The sentence for weights that only MLX's half has, some of which are constants in PyTorch's."""
    for name in lone:
        path, _, leaf = name.rpartition(".")
        owner = dict(torch_half.model.named_modules()).get(path)
        kept = getattr(owner, leaf, None) if owner is not None else None
        if hasattr(kept, "requires_grad") and name in checks.links(mlx, torch_half).trained_mlx:
            mend = "freeze it there, or give it a name that begins with an underscore"
            cause = f"it is a constant in PyTorch and trained in MLX: {mend}"
            return f"`{name}`", f"only MLX has `{name}` as a weight", cause
    return _alone(lone, [], dict.fromkeys(lone, ()), {})


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(f"`{name}`" for name in found[:3]) + more


def trained(mlx: Half, torch_half: Half) -> Told | None:
    """The first weight that one half trains and the other does not, or that PyTorch trains in two parts."""
    told = next(iter(checks.untrained(mlx, torch_half)), None)
    if told is None:
        return None
    name, sentence = told
    fact, _, mend = sentence.partition(": ")
    return f"`{name}`", f"`{name}` is not trained alike in both halves", f"{fact}: {mend}" if mend else fact


def numbers(mlx: Half, torch_half: Half) -> Told | None:
    """The first weight whose first numbers differ: where, what departs, and the cause."""
    ours, theirs = checks.both_weights(mlx, torch_half)
    types = _types(mlx, torch_half)
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


def _types(mlx: Half, torch_half: Half) -> tuple[dict[str, str], dict[str, str]]:
    """The type of every weight by MLX's name, in MLX and in PyTorch."""
    ours = {k: str(v.dtype).rpartition(".")[2] for k, v in tree_flatten(mlx.model.parameters())}
    state = torch_half.model.state_dict()
    links = checks.links(mlx, torch_half).links
    theirs = {n: str(state[link.torch[0]].dtype).rpartition(".")[2] for link in links for n in link.mlx}
    return ours, theirs


def _turned(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one holds the other's numbers along other axes."""
    return a.ndim > 1 and np.array_equal(np.sort(a, axis=None), np.sort(b, axis=None))


def refusal(half: Half, trace: Trace) -> Told | None:
    """Where a half refuses the batch, or that its loss is not one number, in the form of names()."""
    side = half.framework.name
    if trace.loss is not None and trace.loss.ndim:
        departs = f"the loss of {side}'s half is an array of shape {trace.loss.shape}, not one number"
        return "the loss", departs, "it lacks a reduction to the mean"
    if trace.failed is None:
        return None
    why, cure = trace.why, _beyond(half, trace)
    if trace.failed == LOSS:
        return LOSS, f"{LOSS} of {side}'s half fails ({why})", cure
    where = f"`{trace.failed}`" if trace.failed else "the whole model"
    shapes = " and ".join(str(value.shape) for value in trace.given)
    departs = f"{where} of {side}'s half, given {shapes or 'no array'}, refuses the batch ({why})"
    return where, departs, cure or _confused(half, trace)


def _beyond(half: Half, trace: Trace) -> str | None:
    """What is to be said of an index out of range; None of another error."""
    if not trace.why.startswith(BEGINS):
        return None
    if half.framework is not MLX:
        return "an index is out of range"
    below = trace.why.startswith(f"{BEGINS}-") and trace.failed == LOSS
    return indices.CURE if below else "an index is out of range, which ends the process in MLX"


def output(half: Half, batch: Batch) -> Told | None:
    """Whether the model gives no array of all arrays of the batch but the last."""
    made = half.model(*half.batch(batch)[:-1])
    if arrays_of(made):
        return None
    departs = f"{half.framework.name}'s model gives a {type(made).__name__}, which holds no array to compare"
    return "the whole model", departs, None


def cut(half: Half, batch: Batch) -> Told | None:
    """Whether torch's loss depends on no weight; MLX's then has gradients of zero, which training reports."""
    if half.framework is MLX or half.loss(half.model, *half.batch(batch)).requires_grad:
        return None
    why = "the graph is cut (detach, item, no_grad), or every weight is frozen"
    return LOSS, f"{LOSS} of PyTorch's half depends on none of its weights", why


def _confused(half: Half, trace: Trace) -> str | None:
    """Whether the channels the refusing layer needs stand on another axis of what it was given."""
    layer = dict(half.model.named_modules()).get(trace.failed)
    weight = getattr(layer, "weight", None)
    shape = trace.given[0].shape if trace.given else ()
    if weight is None or len(shape) < 3 or len(weight.shape) != len(shape):
        return None
    mlx = half.framework.key == "mlx"
    channels = weight.shape[-1] if mlx else weight.shape[1] * getattr(layer, "groups", 1)
    found, other = (-1, 1) if mlx else (1, -1)
    if shape[found] == channels or shape[other] != channels:
        return None
    layouts = ("channels-last", "channels-first") if mlx else ("channels-first", "channels-last")
    return f"its {channels} channels are on another axis: it takes {layouts[0]} and is given {layouts[1]}"
