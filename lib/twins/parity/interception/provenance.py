"""What the arrays of a pass are, in words: weights, results of modules, and views of either."""

from collections.abc import Sequence

import numpy as np

from twins.frameworks import MLX
from twins.parity.interception.operations import Operation, arrays
from twins.parity.interception.option import is_array, kind, numpy, shape
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after frameworks: the BLAS)

VIEWS = {
    *(
        "reshape",
        "transpose",
        "permute",
        "swapaxes",
        "moveaxis",
        "movedim",
        "flatten",
        "unflatten",
        "unsqueeze",
    ),
    *(
        "squeeze",
        "expand_dims",
        "contiguous",
        "to",
        "astype",
        "float",
        "expand",
        "broadcast_to",
        "chunk",
        "split",
    ),
    *("getitem", "unbind", "view_as_complex", "view_as_real", "repeat", "repeat_interleave", "clone"),
}
OF = {  # functions whose results have a name of their own
    "sigmoid": "a gate, the sigmoid of {}",
    "exp": "the exponential of {}",
    "softmax": "shares, the softmax of {}",
    "cos": "cosines of {}",
    "sin": "sines of {}",
}


def named(half: Half, seen: Sequence[Operation], known: dict[int, str]) -> dict[int, str]:
    """Words for arrays by id: those already known, the weights, and views of either."""
    found = dict(known)
    if half.framework is MLX:
        listed = tree_flatten(half.model.parameters())
    else:
        listed = [*half.model.named_parameters(), *half.model.named_buffers()]
    for name, array in listed:
        found.setdefault(id(array), f"the weight `{name}`")
    for op in seen:
        first = op.args[0] if op.args else None
        if op.name in VIEWS and id(first) in found:
            part = "part of " if op.name in ("getitem", "chunk", "split", "unbind") else ""
            source = found[id(first)]
            for each in arrays(op.result):
                found.setdefault(id(each), source if source.startswith("part of") else part + source)
        elif op.name in OF and is_array(op.result):
            source = found.get(id(first), "an earlier value")
            found.setdefault(id(op.result), OF[op.name].format(source))
        elif (
            op.name == "add"
            and len(op.args) == 2
            and not is_array(op.args[1])
            and found.get(id(first), "").startswith("the weight")
        ):
            found.setdefault(id(op.result), f"{op.args[1]} plus {found[id(first)]} (plus 1)")
    return found


def told(array: object, around_named: dict[int, str]) -> str:
    """An array in words: its name, what it evidently is, or its shape."""
    if not is_array(array):
        return "a number"
    known = around_named.get(id(array), f"an array of shape {shape(array)}")
    values = numpy(array).astype(np.float64) if shape(array) else None
    if kind(array) == "bool":
        return f"a mask, {known}"
    if values is None or not values.size or values.size > 100_000:
        return known
    if (
        values.ndim > 1
        and values.shape[-1] == values.shape[-2]
        and np.array_equal(values, np.broadcast_to(np.eye(values.shape[-1]), values.shape))
    ):
        return "the identity (eye: the diagonal, a loop at every entry)"
    if set(np.unique(values)) == {0.0, 1.0}:
        return f"a mask, {known}" if id(array) in around_named else f"a mask of shape {shape(array)}"
    return known


def causal(array: object) -> bool:
    """Whether a mask hides what follows: its upper triangle differs from the rest, which is one value."""
    sizes = array.shape if isinstance(array, np.ndarray) else shape(array)
    if len(sizes) < 2 or sizes[-1] < 2 or sizes[-2] < 2:
        return False
    values = (array if isinstance(array, np.ndarray) else numpy(array)).reshape(-1, *sizes[-2:])
    if len(values) > 64 or values[0].size > 100_000:
        return False
    rows, columns = values.shape[1:]
    for diagonal in (0, columns - rows):
        lower = np.tril(np.ones((rows, columns), bool), diagonal)
        if lower.all() or not lower.any():
            continue
        shows, hides = values[:, lower], values[:, ~lower]
        if (hides == hides[0, 0]).all() and (shows != hides[0, 0]).any():
            return True
    return False
