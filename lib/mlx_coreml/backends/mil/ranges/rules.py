"""The range that a node makes of its inputs' ranges, by kind of node; the numbers of others are ORDINARY."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from mlx_coreml.backends.mil.ranges.arithmetic import (
    add,
    divide,
    joined,
    larger,
    multiply,
    negative,
    scaled,
    smaller,
    total,
)
from mlx_coreml.backends.mil.ranges.interval import (
    BOOLEAN,
    LARGEST,
    ORDINARY,
    ZERO,
    Range,
    between,
    of_type,
    power,
)
from mlx_coreml.ir.graph import Node, Tensor

Rule = Callable[..., Range]
RULES: dict[str, Rule] = {}  # rule(node, *ranges of the inputs) -> range of every output
MOVING = (
    *("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose", "Broadcast", "Full", "Slice"),
    *("Split", "identity", "DynamicSlice", "GatherAxis", "Sort", "Partition", "max_pool"),
    *("avg_pool", "upsample_nearest", "windows", "mean", "bounded"),
)
JOINING = ("Concatenate", "SliceUpdate", "Pad", "Depends")
BOUNDED = {"Sin": (-1, 1), "Cos": (-1, 1), "Tanh": (-1, 1), "Erf": (-1, 1), "Sign": (-1, 1)}
BOUNDED |= {"ArcTan": (-1.6, 1.6), "ArcTan2": (-3.2, 3.2), "ArcSin": (-1.6, 1.6), "ArcCos": (0, 3.2)}
KEEPING_SMALL = ("Sin", "Tanh", "Erf", "ArcTan", "ArcSin")  # near zero, these are about their input
MATRIX = ("linear", "matmul", "Matmul")
PRODUCTS = (*MATRIX, "conv", "conv_transpose")
VANISHING = 1e-9  # what fp16 rounds to 0, with a margin for how many of it a product adds up
NOTABLE = 1e-3  # a constant that is larger does not guard anything
TAIL = 1e-8  # the least number of an exponential that may matter
CANCELLED = 1e-7  # what is left of 1 - p in float32
FEW = 4  # terms of a product with a matrix that is mere arithmetic: an outer product, coordinates in space
WEIGHTS = ("Softmax", "masked_softmax")  # they add up to 1
AND, OR, SUM, PRODUCT = range(4)  # mlx/primitives.h, Reduce::ReduceType
SCANNED_SUM, SCANNED_PRODUCT = 2, 3  # Scan::ReduceType
LOGARITHMS = (math.log(2), math.log(10), 1.0)  # of the bases that the argument of Log names


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """File a rule for kinds of node."""

    def file(made: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, made))
        return made

    return file


RULES |= {kind: lambda node, x, *rest: x for kind in MOVING}
RULES |= {kind: lambda node, *inputs: joined(inputs) for kind in JOINING}
RULES |= {kind: lambda node, *inputs: between(0, 1, TAIL) for kind in WEIGHTS}
RULES["DynamicSliceUpdate"] = lambda node, x, update, start: x | update
RULES["Maximum"] = lambda node, a, b: larger(a, b)
RULES["Minimum"] = lambda node, a, b: smaller(a, b)
RULES["Negative"] = lambda node, x: negative(x)
RULES["Abs"] = lambda node, x: replace(x, low=max(x.low, 0.0), high=x.most)
RULES["Square"] = lambda node, x: multiply(x, x, same=True)
RULES["Multiply"] = lambda node, a, b: multiply(a, b, node.inputs[0] is node.inputs[1], _known(node))
RULES["Divide"] = lambda node, a, b: divide(a, b, *(t.value is not None for t in node.inputs))


def _known(node: Node) -> bool:
    return any(tensor.value is not None for tensor in node.inputs)


@rule("Add", "Subtract")
def total_of_two(node: Node, a: Range, b: Range) -> Range:
    """A sum. A bias, or a number that is not small, does not make a network's values small; it may cancel
    what is as large as itself at most.
    """
    constants = [n for t, n in zip(node.inputs, (a, b), strict=True) if t.value is not None]
    made = add(a, b if node.kind == "Add" else negative(b))
    if (a.given and b.given) or not any(number.most > NOTABLE for number in constants):
        return made
    if made.low < 0 < made.high:
        return replace(made, least=ORDINARY.least)
    return replace(made, least=min(abs(made.low), abs(made.high)) or CANCELLED)


@rule("batch_norm")
def affine(node: Node, x: Range, scale: Range, shift: Range) -> Range:
    """A product and a sum with constants."""
    return add(multiply(x, scale, known=True), shift)


@rule(*BOUNDED)
def bounded(node: Node, x: Range, *rest: Range) -> Range:
    """Functions between two bounds."""
    least = x.least if node.kind in KEEPING_SMALL else 1e-2
    return between(*BOUNDED[node.kind], least)


@rule("Gather", "gather")
def gather(node: Node, table: Range, *index: Range) -> Range:
    """Numbers of a table: an embedding is a network's; whole numbers, or one per index, are given."""
    if table.whole or node.inputs[0].rank == 1:
        return table
    return replace(table, given=False, least=max(table.least, ORDINARY.least))


@rule("Select")
def select(node: Node, condition: Range, a: Range, b: Range) -> Range:
    """One of two."""
    return joined((a, b))


@rule("clip")
def clip(node: Node, x: Range) -> Range:
    """Limited from below and above."""
    low, high = node.unpack(2)
    made = replace(x, low=min(max(x.low, low), high), high=max(min(x.high, high), low))
    return replace(made, least=low if low > 0 else x.least)


@rule("relu", "gelu", "silu", "elu", "leaky_relu")
def rectified(node: Node, x: Range) -> Range:
    """Little or nothing below zero."""
    return replace(x, low=max(x.low, -1.0 if node.kind != "leaky_relu" else x.low), high=max(x.high, 0.0))


@rule("Floor", "Ceil", "Round", "FloorDivide", "DivMod", "Remainder")
def rounded(node: Node, x: Range, *by: Range) -> Range:
    """Whole numbers, or what is left of a division."""
    if node.kind == "Remainder":
        return replace(x, low=min(0.0, by[0].low), high=max(0.0, by[0].high))
    if by and node.inputs[1].value is not None:
        x = divide(x, by[0], False, True)
    return between(x.low - 1, x.high + 1, 1, whole=True, given=x.given)


@rule("AsType")
def cast(node: Node, x: Range) -> Range:
    """Another type: whole numbers stay whole."""
    whole = not node.inputs[0].is_float or not node.output.is_float or x.whole
    if node.inputs[0].dtype == "bool" or node.output.dtype == "bool":
        return replace(BOOLEAN, given=x.given)
    return replace(x, whole=whole, least=1.0 if whole and x.least < 1 else x.least)


@rule("Sqrt")
def root(node: Node, x: Range) -> Range:
    """The root, or one over it."""
    (reciprocal,) = node.unpack(1)
    least, most = power(x.least, 0.5), power(max(x.most, x.least), 0.5)
    if not reciprocal:
        return between(0, most, least, given=x.given)
    return between(0, 1 / max(least, 1 / LARGEST), 1 / most, given=x.given, inverse=True)


@rule("Power")
def powers(node: Node, x: Range, exponent: Range) -> Range:
    """With one known exponent; else as large as can be."""
    p = exponent.low
    if p != exponent.high or node.inputs[1].value is None:
        return between(-LARGEST, LARGEST, 0.0, given=x.given and exponent.given)
    ends = sorted((power(x.least, p), power(max(x.most, x.least), p)))
    low = -ends[1] if p % 2 == 1 and x.low < 0 else 0.0
    return between(low, ends[1], ends[0], given=x.given, inverse=p < 0)


@rule("Exp", "Expm1", "Sinh", "Cosh", "Tan")
def exponential(node: Node, x: Range) -> Range:
    """As large as the largest input says."""
    if node.kind == "Tan":
        return between(-LARGEST, LARGEST, x.least, given=x.given)
    high = math.exp(min(max(x.high, x.most if node.kind != "Exp" else x.high), 88.72))
    if node.kind == "Exp":
        return between(0, high, _tail(x), given=x.given, fine=True)
    return between(-high if node.kind == "Sinh" else -1, high, x.least, given=x.given)


@rule("Sigmoid", "softplus")
def sigmoid(node: Node, x: Range) -> Range:
    """Small where the input is far below zero."""
    high = 1.0 if node.kind == "Sigmoid" else max(x.high, 1.0)
    return between(0, high, min(0.5, _tail(x)), given=x.given)


def _tail(x: Range) -> float:
    """The least exponential of a range."""
    return max(math.exp(max(x.low, -700.0)), TAIL)


@rule("Log", "Log1p")
def logarithm(node: Node, x: Range) -> Range:
    """Between the logarithms of the least and the greatest."""
    one = 1.0 if node.kind == "Log1p" else 0.0
    base = LOGARITHMS[node.arguments[0]] if node.kind == "Log" else 1.0
    ends = [math.log(max(end + one, 1 / LARGEST)) / base for end in (x.least, x.most)]
    least = min(x.least, 1e-2) if one else 1e-2
    return between(min(*ends, -1.0), max(*ends, 1.0), least, given=x.given)


@rule("LogSumExp", "LogAddExp")
def log_of_sum(node: Node, x: Range, *other: Range) -> Range:
    """Little above the largest."""
    made = joined((x, *other))
    return between(made.low, made.high + 20, TAIL if other else 1e-2, given=made.given)


@rule("Reduce", "reduce")
def reduce(node: Node, x: Range) -> Range:
    """Sums grow with their terms, products without bound."""
    kind = node.arguments[0]
    terms = node.inputs[0].size // max(node.output.size, 1)
    if kind in (AND, OR):
        return BOOLEAN
    if kind == PRODUCT:
        return between(-LARGEST, LARGEST, 0.0, given=x.given) if terms > 1 else x
    return total(x, terms) if kind == SUM else x


@rule("Scan")
def scan(node: Node, x: Range) -> Range:
    """As the reductions, along an axis."""
    kind, axis = node.arguments[:2]
    if kind == SCANNED_PRODUCT:
        return between(-LARGEST, LARGEST, 0.0, given=x.given)
    return total(x, node.output.shape[axis]) if kind == SCANNED_SUM else x


@rule("ArgReduce", "ArgSort", "ArgPartition", "SearchSorted")
def place(node: Node, x: Range, *rest: Range) -> Range:
    """A place along an axis."""
    return between(0, max(node.inputs[0].shape, default=1), 1, whole=True)


@rule("top_k")
def best(node: Node, x: Range) -> Range:
    """Some of the numbers, or their places."""
    return place(node, x) if node.arguments[3] else x


@rule("Scatter", "scatter", "ScatterAxis")
def scattered(node: Node, x: Range, *rest: Range) -> Range:
    """Some numbers replaced, or added to; counts add up."""
    made, updates = x | rest[-1], node.inputs[-1]
    return total(made, updates.size) if made.whole else made


@rule("Arange")
def positions(node: Node) -> Range:
    """Numbers from a start to before a stop."""
    start, stop, step = node.unpack(3)
    low, high = sorted((float(start), float(stop)))
    return between(low, high, abs(step), whole=step == round(step), given=True)


@rule(*MATRIX)
def product(node: Node, a: Range, b: Range, *bias: Range) -> Range:
    """Of a few terms, which is arithmetic; with many, it is a network's."""
    if not (a.given and b.given):
        return of_type(node.output.dtype)
    return add(scaled(multiply(a, b), contracted(node)), joined((*bias, ZERO)))


def contracted(node: Node) -> int:
    """How many terms each number of a product with a matrix has."""
    shape = node.inputs[0].shape
    transposed = node.kind == "matmul" and node.arguments[0]
    return shape[-2 if transposed and len(shape) > 1 else -1] if shape else 1


def outcome(node: Node, ranges: Mapping[Tensor, Range]) -> Range:
    """The range of a node's outputs; the weights of large products are not looked at."""
    if node.kind in PRODUCTS and not (node.kind in MATRIX and contracted(node) <= FEW):
        least = math.prod(ranges[t].least for t in node.inputs if t.value is None)
        return replace(of_type(node.output.dtype), least=least if least < VANISHING else ORDINARY.least)
    if node.kind not in RULES:
        return of_type(node.outputs[0].dtype)
    made = RULES[node.kind](node, *(ranges[tensor] for tensor in node.inputs))
    return made if node.outputs[0].dtype != "bool" else replace(BOOLEAN, given=made.given)
