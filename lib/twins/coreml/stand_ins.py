"""Functions of MLX that its exporter cannot export, and what takes their place while a capture runs."""

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first


def contiguous(a: mx.array, allow_col_major: bool = False, *, stream=None) -> mx.array:
    """The same array: a layout in memory means nothing in a graph."""
    return a


def bitwise_invert(a: mx.array, *, stream=None) -> mx.array:
    """Every bit flipped: -1 - a in two's complement."""
    return mx.logical_not(a) if a.dtype == mx.bool_ else mx.subtract(mx.array(-1, a.dtype), a)


def logcumsumexp(
    a: mx.array, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream=None
) -> mx.array:
    """The logarithm of running sums of exponentials, shifted by the largest value of the axis."""
    if axis is None:
        a, axis = a.reshape(-1), 0
    largest = mx.max(a, axis=axis, keepdims=True)
    sums = mx.cumsum(mx.exp(a - largest), axis=axis, reverse=reverse, inclusive=inclusive)
    return mx.log(sums) + largest


STAND_INS = [
    (mx, "contiguous", contiguous),
    (mx, "bitwise_invert", bitwise_invert),
    (mx, "logcumsumexp", logcumsumexp),
]
