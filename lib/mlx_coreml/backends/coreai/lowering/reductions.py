"""Reductions, running sums, sorting. As in MLX, equal values keep their order and nan comes last."""

from __future__ import annotations

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import (
    add,
    as_numbers,
    either,
    equal,
    less,
    mul,
    not_equal,
    sub,
)
from mlx_coreml.backends.coreai.lowering.functions import finite, log_of_sum
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.values import (
    Value,
    axes_of,
    cast,
    concat,
    dtype,
    is_float,
    number,
    part,
    reshape,
    shape,
)
from mlx_coreml.ir.graph import Node

AND, OR, SUM, PRODUCT, MINIMUM, MAXIMUM = range(6)  # mlx/primitives.h, Reduce::ReduceType
REDUCTIONS = {SUM: ca.reduce_sum, PRODUCT: ca.reduce_product, MINIMUM: ca.reduce_min, MAXIMUM: ca.reduce_max}
SCANS = {0: "max", 1: "min", 2: "sum", 3: "product"}  # mlx/primitives.h, Scan::ReduceType; 4 is log-add-exp


@lowering("Reduce")
def reduce(node: Node, x: Value) -> Value:
    """A reduction whose axes stay with size 1. Truth values count as 0 and 1; any number but 0 is true."""
    kind, axes = node.unpack(2)
    wanted = node.output.dtype
    if kind in (AND, OR):
        x = x if dtype(x).kind == "b" else not_equal(x, number(x, 0))
        return (ca.all_ if kind == AND else ca.any_)(x, axes_of(axes, x)) if axes else x
    if not is_float(x):
        x = cast(x, "int32" if wanted == "bool" else wanted)
    made = REDUCTIONS[kind](x, axes_of(axes, x)) if axes else x
    return not_equal(made, 0) if wanted == "bool" else made


@lowering("reduce")
def reduce_dropping(node: Node, x: Value) -> Value:
    """A reduction that drops its axes."""
    return reshape(reduce(node, x), node.output.shape)


@lowering("mean")
def mean(node: Node, x: Value) -> Value:
    """The mean over axes, which stay as 1 or go."""
    _, axes = node.unpack(2)
    return reshape(ca.reduce_mean(x, axes_of(axes, x)), node.output.shape)


@lowering("Softmax")
def softmax(node: Node, x: Value) -> Value:
    """Over the last axis; the argument tells MLX how to accumulate."""
    node.unpack(1)
    return ca.softmax(x, np.int32(len(shape(x)) - 1))


@lowering("LogSumExp")
def log_sum_exp(node: Node, x: Value) -> Value:
    """Over the last axis, which stays as 1, shifted by the largest element."""
    axes = axes_of([-1], x)
    largest = finite(ca.reduce_max(x, axes))
    return add(ca.log(ca.reduce_sum(ca.exp(sub(x, largest)), axes)), largest)


@lowering("Scan")
@as_numbers
def scan(node: Node, x: Value) -> Value:
    """What comes before each element of an axis, or after it, combined; with the element or without."""
    kind, axis, reverse, inclusive = node.unpack(4)
    axis %= len(shape(x))
    if not is_float(x) and node.output.dtype != "bool":
        x = cast(x, node.output.dtype)
    made = _scanned(x, kind, axis, reverse)
    if inclusive:
        return made
    free = np.full([1 if i == axis else size for i, size in enumerate(shape(x))], _neutral(kind, x))
    places = [range(size) for size in shape(x)]
    places[axis] = places[axis][1:] if reverse else places[axis][:-1]
    kept = part(made, places)
    return concat([kept, free] if reverse else [free, kept], axis)


def _scanned(x: Value, kind: int, axis: int, reverse: bool) -> Value:
    if kind in SCANS:
        return ca.scan(x, np.uint32(axis), np.bool_(reverse), SCANS[kind])
    made, distance = ca.reverse(x, axes_of([axis], x)) if reverse else x, 1
    while distance < shape(x)[axis]:  # after each round, every element stands for twice as many
        sizes = [distance if i == axis else size for i, size in enumerate(shape(x))]
        places = [range(size - distance if i == axis else size) for i, size in enumerate(shape(x))]
        made = log_of_sum(made, concat([np.full(sizes, number(x, -np.inf)), part(made, places)], axis))
        distance *= 2
    return ca.reverse(made, axes_of([axis], x)) if reverse else made


def _neutral(kind: int, x: Value) -> np.ndarray:
    if kind in (2, 3):
        return number(x, kind - 2)
    limits = (-np.inf, np.inf) if is_float(x) else (np.iinfo(dtype(x)).min, np.iinfo(dtype(x)).max)
    return number(x, limits[kind == 1])


def _ordered(operation, x: Value, axis: int, descending: bool = False) -> Value:
    return operation(x, np.int32(axis % len(shape(x))), np.bool_(descending), np.bool_(True))


@lowering("Sort", "Partition")
@as_numbers
def sort(node: Node, x: Value) -> Value:
    """The sorted values, ascending; a sorted array is also a valid partition."""
    return _ordered(ca.sort, x, node.unpack(1, 2)[-1])


@lowering("ArgSort", "ArgPartition")
def order(node: Node, x: Value) -> Value:
    """The indices that sort."""
    x = cast(x, np.int32) if dtype(x).kind == "b" else x
    return cast(_ordered(ca.argsort, x, node.unpack(1, 2)[-1]), node.output.dtype)


@lowering("top_k")
def top_k(node: Node, x: Value) -> Value:
    """The k smallest or largest elements, ascending, or their indices, best first (see top_k.py)."""
    k, axis, smallest, indices = node.unpack(4)
    axis %= len(shape(x))
    places = [range(size) for size in shape(x)]
    if indices:
        made = _ordered(ca.argsort, x, axis, descending=not smallest)
        places[axis] = range(k)
        return cast(part(made, places), node.output.dtype)
    places[axis] = range(k) if smallest else range(shape(x)[axis] - k, shape(x)[axis])
    return part(_ordered(ca.sort, x, axis), places)


@lowering("ArgReduce")
def arg_reduce(node: Node, x: Value) -> Value:
    """The index of the smallest (0) or largest (1) element; the axis stays as 1."""
    kind, axis = node.unpack(2)
    x = cast(x, np.int32) if dtype(x).kind == "b" else x
    if kind == 0:  # Core AI has only the largest
        x = mul(x, -1.0) if is_float(x) else _opposite(x)
    return cast(ca.argmax(x, np.int32(axis % len(shape(x)))), node.output.dtype)


def _opposite(x: Value) -> Value:
    """Whole numbers in the opposite order: -1 - x, or the largest one less x."""
    largest = np.iinfo(dtype(x)).max
    return sub(number(x, -1 if dtype(x).kind == "i" else largest), x)


@lowering("SearchSorted")
def search_sorted(node: Node, x: Value, values: Value) -> Value:
    """How many elements of the sorted x are below each value, or, from the right, not above it."""
    (right,) = node.unpack(1)
    values = reshape(values, (*shape(values), 1))
    below = either(less(x, values), equal(x, values)) if right else less(x, values)
    found = ca.reduce_sum(cast(below, np.int32), axes_of([-1], below))
    return cast(reshape(found, node.output.shape), node.output.dtype)
