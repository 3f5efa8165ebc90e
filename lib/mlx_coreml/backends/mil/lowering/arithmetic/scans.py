"""Running sums, products and extremes, and the logarithm of sums of exponentials."""

from collections.abc import Callable

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import as_numbers, number, wrapped
from mlx_coreml.backends.mil.lowering.arithmetic.special_functions import LARGEST, log_of_sum
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node

MAXIMUM, MINIMUM, SUM, PRODUCT, LOG_ADD_EXP = range(5)  # mlx/primitives.h, Scan::ReduceType
COMBINED: dict[int, Callable] = {MAXIMUM: mb.maximum, MINIMUM: mb.minimum, PRODUCT: mb.mul}
COMBINED[LOG_ADD_EXP] = log_of_sum


@lowering("Scan")
@as_numbers
def scan(node: Node, x):
    """What comes before each element of an axis, or after it, combined; with the element or without."""
    kind, axis, reverse, inclusive = node.unpack(4)
    if kind == SUM:
        return wrapped(node, mb.cumsum(x=x, axis=axis, reverse=reverse, exclusive=not inclusive))
    made = mb.reverse(x=x, axes=[axis]) if reverse else x
    start, distance = _neutral(kind, x), 1
    while distance < x.shape[axis]:  # after each round, every element stands for twice as many
        made = COMBINED[kind](x=made, y=_moved(made, axis, distance, start))
        distance *= 2
    made = wrapped(node, made if inclusive else _moved(made, axis, 1, start))
    return mb.reverse(x=made, axes=[axis]) if reverse else made


def _neutral(kind: int, x: Var) -> np.generic:
    if kind == PRODUCT:
        return number(x, 1)
    lowest = kind != MINIMUM
    if types.is_float(x.dtype):
        return number(x, -np.inf if lowest else np.inf)
    return np.int32(np.iinfo(np.int32).min if lowest else np.iinfo(np.int32).max)


def _moved(x: Var, axis: int, distance: int, start: np.generic) -> Var:
    """x moved along an axis, with `start` in the places that become free."""
    shape = list(x.shape)
    kept = [*shape[:axis], shape[axis] - distance, *shape[axis + 1 :]]
    free = np.full([*shape[:axis], distance, *shape[axis + 1 :]], start)
    if not kept[axis]:
        return mb.const(val=free)
    return mb.concat(values=[free, mb.slice_by_size(x=x, begin=[0] * len(shape), size=kept)], axis=axis)


@lowering("LogSumExp")
def log_sum_exp(node: Node, x):
    """Over the last axis, which stays as 1, shifted by the largest element: MIL's own may overflow."""
    largest = mb.clip(x=mb.reduce_max(x=x, axes=[-1], keep_dims=True), alpha=-LARGEST, beta=LARGEST)
    total = mb.reduce_sum(x=mb.exp(x=mb.sub(x=x, y=largest)), axes=[-1], keep_dims=True)
    return mb.add(x=mb.log(x=total, epsilon=0.0), y=largest)
