"""Operations that one half has and the other lacks: leaving it out gives the other half's value."""

from collections.abc import Iterator, Sequence

import numpy as np

from twins.parity.alternatives.numbers import number, said
from twins.parity.interception import provenance
from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    LAST,
    USUAL,
    Around,
    Option,
    is_array,
    kind,
    numpy,
    shape,
)

SAID = {
    "softmax": "takes a softmax",
    "log_softmax": "takes a log softmax",
    "normalize": "normalises a vector",
    "clamp": "limits values (clamp)",
    "layer_norm": "has a layer norm",
    "rms_norm": "has an RMS norm",
    "batch_norm": "has a batch norm",
    "group_norm": "has a group norm",
    "flip": "flips an axis (reverses its order)",
    "roll": "rolls (shifts) an axis, which may exchange its halves,",
    "cumsum": "takes a cumulative sum",
    "exp": "takes an exponential",
    "log": "takes a log",
    "sqrt": "takes a root",
    "rsqrt": "takes a root",
    "square": "squares",
    "abs": "takes an absolute value",
    "tril": "keeps a lower triangle",
    "triu": "keeps an upper triangle",
    "neg": "changes the sign",
    "rope": "turns by rotary positions",
    "logical_not": "inverts a mask",
    "dropout": "has dropout",
    "detach": "cuts the graph (detach, stop_gradient)",
    "relu": "has ReLU",
    "gelu": "has GELU",
    "silu": "has SiLU",
    "tanh": "has tanh",
    "sigmoid": "has a sigmoid",
    "sort": "sorts",
    "linear": "has a linear layer",
    "matmul": "takes a matrix product (of neighbours, if they are that)",
    "repeat": "repeats",
    "gelu_approx": "has the tanh approximation of GELU",
    "sum": "sums",
    "mean": "takes a mean",
    "expand_dims": "adds an axis",
    "leaky_relu": "has leaky ReLU",
    "pow": "raises to a power",
    "instance_norm": "has an instance norm",
    "conv1d": "has a convolution",
    "conv2d": "has a convolution",
}
NEVER = {
    *(
        "getitem",
        "reshape",
        "flatten",
        "transpose",
        "permute",
        "swapaxes",
        "to",
        "astype",
        "float",
        "contiguous",
    ),
    *(
        "type",
        "long",
        "cat",
        "stack",
        "__setitem__",
        "grad_mode",
        "zeros_like",
        "ones_like",
        "clone",
        "squeeze",
    ),
    *("moveaxis", "movedim", "unsqueeze", "type_as", "requires_grad_", "eq", "__eq__", "__lt__", "__gt__"),
    *(
        "__le__",
        "__ge__",
        "__ne__",
        "lt",
        "gt",
        "le",
        "ge",
        "ne",
        "less",
        "greater",
        "attention",
        "int",
        "cpu",
    ),
    *(
        "new_zeros",
        "new_ones",
        "full_like",
        "expand_as",
        "expand",
        "broadcast_to",
        "bool",
        "data",
        "rand_like",
    ),
    *("empty_like", "randn_like", "rsub", "rdiv"),
}


def left_out(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The operation left out: its result is one of the arrays it is given."""
    if op.name in NEVER or not is_array(op.result):
        return
    for at, each in enumerate(op.args):
        fits = is_array(each) and shape(each) == shape(op.result) and kind(each) == kind(op.result)
        if not fits or (op.name in ("embedding", "gather", "take")):
            continue
        told, rank = _told(op, at, around)
        yield Option(told, {op.place: lambda f, a, o, s, at=at: a[at]}, rank)


def _told(op: Operation, kept: int, around: Around) -> tuple[str, int]:
    """The sentence for an operation that keeps only one of its arguments."""
    rest = [each for i, each in enumerate(op.args) if i != kept]
    scalar = next((each for each in rest if number(each)), None)
    lost = next((each for each in rest if is_array(each) and shape(each)), None)
    if op.name in ("where", "masked_fill"):
        what = "a causal mask" if any(provenance.causal(each) for each in rest) else "a mask"
        return f"{{this}} hides entries by {what}, {{other}} does not: its mask is missing or ignored", USUAL
    if op.name in WITHOUT and (scalar is not None or lost is None):
        text = WITHOUT[op.name].format(said(scalar) if scalar is not None else "a term (one number)")
        off = kind(op.args[kept]) == "int" and scalar in (1, -1)
        return text + (": a position is off by one" if off else ""), USUAL
    if op.name in WITHOUT:
        return _without(op, op.args[kept], lost, around), USUAL
    if op.name == "rope":
        source = around.named.get(id(op.args[0]), "an array")
        told = (
            "{this} turns {what} by rotary positions (rope), {other} does not: only one of queries and keys "
        )
        told += "is turned"
        return told.replace("{what}", source), USUAL
    known = op.name in SAID
    return (
        f"{{this}} {SAID.get(op.name, f'calls `{op.name}`')} where {{other}} does not",
        COARSE if known else LAST,
    )


WITHOUT = {
    "mul": "{{this}} multiplies by the factor {} (scales), {{other}} does not",
    "div": "{{this}} divides by {} (a factor that scales), {{other}} does not",
    "pow": "{{this}} raises to the power {}, {{other}} does not",
    "add": "{{this}} adds {0} (plus), {{other}} does not",
    "sub": "{{this}} subtracts {}, {{other}} does not",
    "maximum": "{{this}} allows at least {} (maximum), {{other}} has no such bound",
    "minimum": "{{this}} allows at most {} (minimum), {{other}} has no such bound",
}


def _without(op: Operation, kept: object, lost: object, around: Around) -> str:
    """The sentence for an array that one half combines with another and the other half does not."""
    what = provenance.told(lost, around.named)
    if op.name in ("add", "sub") and _hides(lost):
        mask = "a causal mask" if provenance.causal(lost) else "a mask"
        return f"{{this}} hides scores with {mask} that it adds, {{other}} does not: its mask is missing"
    if op.name == "add" and shape(lost) == shape(op.result) == shape(kept):
        return f"{{this}} adds {what}, {{other}} does not: the sum, such as a residual connection, is missing"
    if op.name == "div":
        normal = _normal(kept, lost)
        if normal:
            return f"{{this}} divides by {normal} (normalises), {{other}} does not"
    if op.name == "mul" and what.startswith("a mask"):
        return (
            f"{{this}} multiplies by {what}, {{other}} does not: its mask (of padding) is missing or ignored"
        )
    if op.name == "mul":
        source = f"{around.named[id(kept)]} " if id(kept) in around.named else ""
        turned = " (complex: it is rotated, as by rotary positions)" if "complex" in str(lost.dtype) else ""
        return f"{{this}} multiplies {source}by {what}{turned}, {{other}} does not"
    return WITHOUT[op.name].format(what)


def _normal(kept: object, lost: object) -> str:
    """Whether an array is divided by a sum or a length of its own."""
    if not is_array(kept) or not is_array(lost):
        return ""
    x, y = numpy(kept).astype(np.float64), numpy(lost).astype(np.float64)
    for axis in range(x.ndim):
        with np.errstate(invalid="ignore"):
            for words, made in (
                ("its sum, so that it sums to one", x.sum(axis, keepdims=True)),
                ("its length, so that vectors have norm 1", np.sqrt((x * x).sum(axis, keepdims=True))),
                ("its standard deviation", x.std(axis, keepdims=True)),
            ):
                if made.shape == y.shape and np.allclose(made, y, rtol=1e-3):
                    return words
    return ""


def _hides(lost: object) -> bool:
    """Whether an added array holds what hides scores."""
    return kind(lost) == "float" and float(lost.min()) < -1e3


def graph(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A part computed without a graph."""
    if op.name == "grad_mode" and op.args and op.args[0] is False:
        told = "{this} computes a part without a graph (no_grad), {other} does not"
        yield Option(told, {op.place: lambda f, a, o, s: f(True)}, USUAL)


FAMILIES = (left_out, graph)
