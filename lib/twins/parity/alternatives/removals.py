"""Operations that one half has and the other lacks: leaving it out gives the other half's value."""

from collections.abc import Iterator, Sequence

from twins.parity.alternatives.interception import Operation
from twins.parity.alternatives.numbers import number, said
from twins.parity.alternatives.option import (
    COARSE,
    LAST,
    USUAL,
    Around,
    Option,
    is_array,
    kind,
    shape,
)

SAID = {
    **{"softmax": "takes a softmax", "log_softmax": "takes a log softmax", "normalize": "normalises a vector"},
    **{"clamp": "limits values (clamp)", "layer_norm": "has a layer norm", "rms_norm": "has an RMS norm"},
    **{"batch_norm": "has a batch norm", "group_norm": "has a group norm", "flip": "turns an axis round"},
    **{"roll": "rolls an axis", "cumsum": "takes a cumulative sum", "exp": "takes an exponential", "log": "takes a log"},
    **{"sqrt": "takes a root", "rsqrt": "takes a root", "square": "squares", "abs": "takes an absolute value"},
    **{"tril": "keeps a lower triangle", "triu": "keeps an upper triangle", "neg": "changes the sign"},
    **{"rope": "turns by rotary positions", "logical_not": "inverts a mask", "dropout": "has dropout"},
    **{"detach": "cuts the graph (detach, stop_gradient)", "relu": "has ReLU", "gelu": "has GELU"},
    **{"silu": "has SiLU", "tanh": "has tanh", "sigmoid": "has a sigmoid", "sort": "sorts"},
    **{"linear": "has a linear layer", "matmul": "multiplies by a matrix", "repeat": "repeats"},
    **{"gelu_approx": "has the tanh approximation of GELU", "sum": "sums", "mean": "takes a mean"},
    **{"expand_dims": "adds an axis", "leaky_relu": "has leaky ReLU", "pow": "raises to a power"},
    **{"instance_norm": "has an instance norm", "conv1d": "has a convolution", "conv2d": "has a convolution"},
}
NEVER = {
    *("getitem", "reshape", "flatten", "transpose", "permute", "swapaxes", "to", "astype", "float", "contiguous"),
    *("type", "long", "cat", "stack", "__setitem__", "grad_mode", "zeros_like", "ones_like", "clone", "squeeze"),
    *("moveaxis", "movedim", "unsqueeze", "type_as", "requires_grad_", "eq", "__eq__", "__lt__", "__gt__"),
    *("__le__", "__ge__", "__ne__", "lt", "gt", "le", "ge", "ne", "less", "greater", "attention", "int", "cpu"),
    *("new_zeros", "new_ones", "full_like", "expand_as", "expand", "broadcast_to", "bool", "data", "rand_like"),
    *("empty_like", "randn_like", "rsub", "rdiv"),
}
ADDED = ("add", "sub")


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
    name = around.named.get(id(lost), "an array") if lost is not None else ""
    if op.name in ADDED and lost is not None:
        what = name if name != "an array" else f"an array of shape {shape(lost)}"
        verb = "adds" if op.name == "add" else "subtracts"
        if _hides(lost):
            return "{this} hides scores with a mask that it adds, {other} does not: its mask is missing", USUAL
        told = f"{{this}} {verb} {what}, {{other}} does not"
        if shape(lost) == shape(op.result) and op.name == "add":
            told = f"{{this}} adds {what} (a residual connection, if it is one), {{other}} does not"
        return told, USUAL
    if op.name in ("where", "masked_fill"):
        return "{this} hides entries by a mask, {other} does not: its mask is missing or ignored", USUAL
    if op.name in ("mul", "div", "pow", "add", "sub", "maximum", "minimum"):
        verbs = {"mul": "multiplies by", "div": "divides by", "pow": "raises to the power", "add": "adds"}
        verbs |= {"sub": "subtracts", "maximum": "has at least", "minimum": "has at most"}
        if scalar is not None:
            return f"{{this}} {verbs[op.name]} {said(scalar)}, {{other}} does not", USUAL
        if lost is not None:
            what = name if name != "an array" else f"an array of shape {shape(lost)}"
            return f"{{this}} {verbs[op.name]} {what}, {{other}} does not", USUAL
        return f"{{this}} {verbs[op.name]} a number, {{other}} does not", USUAL
    known = op.name in SAID
    return f"{{this}} {SAID.get(op.name, f'calls `{op.name}`')} where {{other}} does not", COARSE if known else LAST


def _hides(lost: object) -> bool:
    """Whether an added array holds what hides scores."""
    return kind(lost) == "float" and float(lost.min()) < -1e3


def graph(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A part computed without a graph."""
    if op.name == "grad_mode" and op.args and op.args[0] is False:
        told = "{this} computes a part without a graph (no_grad), {other} does not"
        yield Option(told, {op.place: lambda f, a, o, s: f(True)}, USUAL)


FAMILIES = (left_out, graph)
