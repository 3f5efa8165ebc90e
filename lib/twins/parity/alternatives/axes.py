"""Over which axis, and with which reduction: softmax, sums and means, joins, sorts."""

import itertools
from collections.abc import Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    MILD,
    Around,
    Option,
    compare,
    is_array,
    shape,
    value,
    with_value,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import torch  # isort: skip

NAMES = ("dim", "axis", "axes", "dims")
REDUCTIONS = {  # an operation of either framework, in words
    "mean": "the mean",
    "sum": "the sum",
    "prod": "the product",
    "median": "the median",
    "max": "the largest value",
    "amax": "the largest value",
    "min": "the smallest value",
    "amin": "the smallest value",
    "logsumexp": "logsumexp",
    "nanmean": "the mean",
}
TORCH_REDUCTIONS = {"the mean": torch.mean, "the sum": torch.sum, "the largest value": torch.amax}
MLX_REDUCTIONS = {"the mean": mx.mean, "the sum": mx.sum, "the largest value": mx.max}
ALONG = {  # operations along an axis: what is told of them, and the axis when none is given
    "softmax": "softmax is taken",
    "log_softmax": "log softmax is taken",
    "softmin": "softmin is taken",
    "cumsum": "the cumulative sum runs",
    "cumprod": "the cumulative product runs",
    "std": "the standard deviation is taken",
    "var": "the variance is taken",
    "var_mean": "it is taken",
    "argmax": "the largest is sought",
    "sort": "it is sorted",
    "argsort": "it is sorted",
    "flip": "an axis is flipped (reversed)",
    "roll": "it is rolled (shifted)",
    "cat": "parts are joined",
    "unsqueeze": "an axis is added (broadcast)",
    "expand_dims": "an axis is added (broadcast)",
    "stack": "parts are stacked",
    "glu": "the gated unit is split",
    "chunk": "it is split",
    "split": "it is split",
    "normalize": "vectors are normalised",
    "norm": "the norm is taken",
    "cosine_similarity": "the cosine is taken",
    "unbind": "it is split",
    "logcumsumexp": "it runs",
    "repeat_interleave": "it is repeated",
    "repeat": "it is repeated",
    "diff": "differences are taken",
}
AT = {  # the position of the axis among the arguments
    "roll": 2,
    "chunk": 2,
    "split": 2,
    "normalize": 2,
    "norm": 2,
    "cosine_similarity": 2,
    "repeat_interleave": 2,
    "repeat": 2,
    "diff": 2,
}
DEFAULTS = {"cat": 0, "stack": 0, "glu": -1, "chunk": 0, "split": 0, "normalize": 1, "cosine_similarity": 1}


def along(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The same along other axes."""
    topic = ALONG.get(op.name) or (f"{REDUCTIONS[op.name]} is taken" if op.name in REDUCTIONS else "")
    first = op.args[0] if op.args else None
    array = first[0] if isinstance(first, tuple | list) and first else first
    if not topic or not is_array(array) or (op.name == "repeat" and op.torch):
        return
    rank, at = len(array.shape), AT.get(op.name, 1)
    default = -1 if op.name == "split" and not op.torch else DEFAULTS.get(op.name)
    now = value(op, at, *NAMES, default=default)
    if op.name in ("max", "min") and is_array(now):
        return
    names = NAMES if op.torch else ("axis", "axes", "dim")
    for new in _others(now, rank, op.name in REDUCTIONS or op.name in ("std", "var")):
        if op.name == "roll" and isinstance(op.args[1], int) and not op.args[1] % array.shape[new or 0]:
            continue  # which leaves the array as it is
        told = compare(op, topic, _over(now), _over(new), with_value(at, names, new), MILD)
        yield told


def _others(now: object, rank: int, several: bool) -> Iterator[int | tuple[int, ...] | None]:
    """Other axes: single ones, the sets of axes of an image, and all."""
    own = None if now is None else {a % rank for a in (now if isinstance(now, tuple | list) else [now])}
    for axis in range(rank) if rank > 1 else []:
        if own != {axis}:
            yield axis if axis < rank - 1 or rank == 1 else -1
    if several:
        for count in range(2, rank):
            for axes in itertools.combinations(range(rank), count):
                if own != set(axes):
                    yield axes
        if own is not None and len(own) < rank:
            yield tuple(range(rank))


def _over(axes: object) -> str:
    if axes is None:
        return "over all axes"
    if isinstance(axes, tuple | list):
        return f"over axes {tuple(axes)}" if len(axes) > 1 else f"over axis {axes[0]}"
    return "over the last axis" if axes == -1 else f"over axis {axes}"


def reduced(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Another reduction of the same axis, or one position of it."""
    if op.name not in REDUCTIONS or not op.args or not shape(op.args[0]) or len(shape(op.args[0])) < 1:
        return
    axes = value(op, 1, *NAMES)
    if is_array(axes):
        return
    own, keep = REDUCTIONS[op.name], bool(value(op, 2, "keepdim", "keepdims", default=False))
    made_of = TORCH_REDUCTIONS if op.torch else MLX_REDUCTIONS
    pair = op.torch and op.name in ("max", "min", "median") and axes is not None
    for words, function in made_of.items():
        if words != own:
            yield compare(
                op, "over an axis it takes", own, words, _by(function, axes, keep, pair, op.torch), MILD
            )
    if isinstance(axes, int) and not keep:
        for words, index in (("the first position", 0), ("the last position", -1)):
            yield compare(
                op,
                "over an axis it takes",
                f"{own} (of all positions, pooled)",
                words,
                _position(index, axes, pair),
            )


def _by(function, axes, keep, pair, in_torch):
    options = {} if axes is None else {"dim" if in_torch else "axis": axes}
    options |= {"keepdim" if in_torch else "keepdims": True} if keep else {}
    if in_torch and function is torch.amax and axes is None:
        function = torch.max

    def instead(_, args, given_options, seen):
        result = function(args[0], **options)
        return (result, result) if pair else result

    return instead


def _position(index: int, axis: int, pair: bool):
    def instead(_, args, options, seen):
        array = args[0]
        result = array[(slice(None),) * (axis % len(array.shape)) + (index,)]
        return (result, result) if pair else result

    return instead


FAMILIES = (along, reduced)
