"""Whole numbers: division, and bitwise operations, which MIL lacks and which are computed by arithmetic."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import wrapped
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.capture.releases import divmod_truncates
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Node

AND, OR, XOR, LEFT, RIGHT = range(5)  # mlx/primitives.h, BitwiseBinary::Op
LOGIC = {AND: "logical_and", OR: "logical_or", XOR: "logical_xor"}
COMBINED = {AND: mb.mul, OR: mb.maximum, XOR: lambda x, y: mb.abs(x=mb.sub(x=x, y=y))}
POWERS = (2 ** np.arange(32, dtype=np.int64)).astype(np.int32)  # the last one is the lowest number


@lowering("Divide")
def divide(node: Node, x, y):
    """x / y; of whole numbers, as MLX 0.31 exports it, rounded towards zero."""
    if types.is_float(x.dtype):
        return mb.real_div(x=x, y=y)
    return wrapped(node, _towards_zero(x, y))


def _towards_zero(x, y):
    sign = mb.mul(x=mb.sign(x=x), y=mb.sign(x=y))
    return mb.mul(x=mb.floor_div(x=mb.abs(x=x), y=mb.abs(x=y)), y=sign)


@lowering("DivMod")
def divide_with_remainder(node: Node, x, y):
    """The quotient rounded down, and the remainder with the sign of the divisor, in MLX's latest releases."""
    if divmod_truncates():
        quotient = _towards_zero(x, y)
        return wrapped(node, quotient), mb.sub(x=x, y=mb.mul(x=quotient, y=y))
    return wrapped(node, mb.floor_div(x=x, y=y)), mb.mod(x=x, y=y)


@lowering("BitwiseBinary")
def bitwise(node: Node, x, y):
    """And, or, exclusive or, and shifts."""
    (kind,) = node.unpack(1)
    if types.is_bool(x.dtype):
        if kind not in LOGIC:
            raise ConversionError(f"{node.where} shifts truth values; allowed are whole numbers")
        return getattr(mb, LOGIC[kind])(x=x, y=y)
    if kind == LEFT:
        return wrapped(node, mb.mul(x=x, y=_looked_up(POWERS, y)))
    if kind == RIGHT:
        return _shifted_right(node, x, y)
    if kind == AND and y.val is not None and _low_bits(y.val):
        return mb.mod(x=x, y=np.int32(y.val.max() + 1))
    return _bit_by_bit(x, y, COMBINED[kind])


def _looked_up(table: np.ndarray, index):
    return mb.gather(x=table, indices=index, axis=0) if index.val is None else table[index.val]


def _shifted_right(node: Node, x, y):
    """Rounded down; of an unsigned number, zeros come in where the sign is: half of 2**(32 - y), twice."""
    one = np.append(POWERS[:31], POWERS[30])
    made = mb.floor_div(x=x, y=_looked_up(one, y))
    if y.val is None or np.any(y.val == 31):
        made = mb.floor_div(x=made, y=_looked_up(np.append(np.ones(31, np.int32), np.int32(2)), y))
    if node.output.dtype not in ("uint32", "uint64") or node.inputs[0].node is None:
        return made
    half = _looked_up(np.append(np.int32(0), POWERS[30::-1]), y)
    half = mb.mul(x=mb.cast(x=mb.less(x=x, y=0), dtype="int32"), y=half)
    return mb.add(x=mb.add(x=made, y=half), y=half)


@lowering("View")
def view(node: Node, x):
    """The same bits as a whole number of the other sign, or a truth value as a whole number."""
    source, wanted = (tensor.dtype.removeprefix("u") for tensor in (node.inputs[0], node.output))
    if types.is_bool(x.dtype) and wanted == "int8":
        return mb.cast(x=x, dtype="int32")
    if source != wanted or not wanted.startswith("int"):
        raise ConversionError(
            f"{node.where} reads the bits of {node.inputs[0].dtype} as {node.output.dtype}; "
            "allowed are whole numbers of one size"
        )
    return wrapped(node, x)


def _low_bits(mask: np.ndarray) -> bool:
    """Whether a mask keeps the same number of low bits everywhere."""
    value = int(mask.max())
    return bool((mask == value).all()) and 0 <= value < 2**30 and value & (value + 1) == 0


def _bit_by_bit(x, y, combine):
    """The bits on a new last axis combined; the highest counts -2**31."""
    made = combine(x=_bits(x), y=_bits(y))
    return mb.reduce_sum(x=mb.mul(x=made, y=POWERS), axes=[-1])


def _bits(x):
    x = mb.expand_dims(x=x, axes=[-1])
    low = mb.mod(x=mb.floor_div(x=x, y=POWERS[:31]), y=2)
    return mb.concat(values=[low, mb.cast(x=mb.less(x=x, y=0), dtype="int32")], axis=-1)
