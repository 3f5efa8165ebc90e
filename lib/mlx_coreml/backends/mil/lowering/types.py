"""The types of MIL that stand for MLX's, and constants in them.

MIL computes in fp16, fp32, int32 and bool. Every other integer type of MLX becomes int32, every other
floating-point type the one the program computes in.
"""

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.block import curr_opset_version

from mlx_coreml.backends.mil.ranges.interval import FP16_LIMIT
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Tensor

NUMPY = {"fp16": np.float16, "fp32": np.float32, "int32": np.int32, "bool": np.bool_}
MIL = {"fp16": types.fp16, "fp32": types.fp32, "int32": types.int32, "bool": types.bool}
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def word(tensor: Tensor, floating: str) -> str:
    """The MIL type of a tensor, where floating-point numbers are `floating` (fp16 or fp32).

    Errors: ConversionError for complex numbers.
    """
    if tensor.is_float:
        return floating
    if tensor.dtype == "bool":
        return "bool"
    if tensor.dtype in INTEGERS:
        return "int32"
    raise ConversionError(
        f"{tensor.name} is {tensor.dtype}; Core ML has floating-point numbers, integers and bool"
    )


def array(tensor: Tensor, kind: str) -> np.ndarray:
    """The value of a constant in a MIL type; what lies beyond a type's range becomes its bound.

    Masks hold -inf or float32's lowest number, which fp16 cannot represent; fp16's lowest number replaces it.
    Errors: ConversionError for an integer that int32 cannot hold.
    """
    value = tensor.numpy()
    if kind == "fp16":
        return np.clip(value, -FP16_LIMIT, FP16_LIMIT).astype(np.float16)
    if kind == "int32" and value.size:
        bounds = np.iinfo(np.int32)
        low, high = int(value.min()), int(value.max())
        if low < bounds.min or high > bounds.max:
            raise ConversionError(
                f"constant {tensor} holds {low if low < bounds.min else high}, beyond int32"
            )
    return value.astype(NUMPY[kind])


def at_least(target: ct.target) -> bool:
    """Whether the program being built is for this system or a later one."""
    return curr_opset_version() >= target
