"""The element types of MIL tensors: how they are stored, and the torch type that carries them.

Every result is converted to its carrier type, rounded to fp16 in strict mode, and checked for its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.format.specification import MIL_pb2

if TYPE_CHECKING:
    import torch  # loaded by the first value, not by reading a package


@dataclass(frozen=True)
class DType:
    """One element type: `bits` as stored, `stored` in NumPy (None below a byte), `carried` in torch."""

    name: str
    bits: int
    stored: np.dtype | None
    carried: str

    @property
    def carrier(self) -> torch.dtype:
        """The torch type that carries its values; strings have none."""
        import torch

        return getattr(torch, self.carried)

    @property
    def is_float(self) -> bool:
        """Whether its values are floating-point numbers."""
        return self.name.startswith("FLOAT")


_CARRIERS = {
    "BOOL": "bool",
    "FLOAT16": "float32",
    "FLOAT32": "float32",
    "FLOAT64": "float64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "int32",
    "UINT32": "int64",
    "UINT64": "int64",
}
_SUB_BYTE = {"INT4": "int8"} | {f"UINT{bits}": "uint8" for bits in (1, 2, 3, 4, 6)}


def _whole_bytes(name: str, carrier: str) -> DType:
    stored = np.dtype(name.lower())
    return DType(name, 8 * stored.itemsize, stored, carrier)


DTYPES = (
    {name: _whole_bytes(name, carrier) for name, carrier in _CARRIERS.items()}
    | {name: DType(name, int(name.lstrip("UINT")), None, carrier) for name, carrier in _SUB_BYTE.items()}
    | {"STRING": DType("STRING", 0, None, "")}
)

# The short names that a `dtype` or `output_dtype` parameter may have.
_SPELLINGS = {"fp16": "FLOAT16", "fp32": "FLOAT32", "fp64": "FLOAT64", "int": "INT32", "float": "FLOAT32"}


def dtype_of(code: int) -> DType:
    """The element type of a protobuf `DataType` code; ValueError for one without a rule."""
    name = MIL_pb2.DataType.Name(code)
    if name not in DTYPES:
        raise ValueError(f"element type {name} is not supported; supported are {', '.join(DTYPES)}")
    return DTYPES[name]


def dtype_named(text: str) -> DType:
    """The element type a parameter names, as in `cast(dtype="fp16")`; ValueError lists the known."""
    name = _SPELLINGS.get(text, text.upper())
    if name not in DTYPES:
        raise ValueError(f"element type '{text}' is not known; known are fp16, fp32, bool and (u)int8 to 64")
    return DTYPES[name]


@dataclass(frozen=True)
class TensorType:
    """A declared tensor: its element type and shape, with None for a dimension known only when it runs."""

    dtype: DType
    shape: tuple[int | None, ...] | None

    @property
    def size(self) -> int:
        """The number of elements; the shape must be known."""
        return int(np.prod(self.shape, dtype=np.int64))  # type: ignore[arg-type]

    def matches(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` fits the declaration."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            w in (None, g) for w, g in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        dims = (
            "any shape" if self.shape is None else ", ".join("?" if n is None else str(n) for n in self.shape)
        )
        return f"({dims}) {self.dtype.name.lower()}"


def tensor_type(value_type) -> TensorType | None:
    """The tensor type in a protobuf `ValueType` or in its state; None for lists and dictionaries."""
    kind = value_type.WhichOneof("type")
    if kind == "stateType":
        return tensor_type(value_type.stateType.wrappedType)
    if kind != "tensorType":
        return None
    declared = value_type.tensorType
    if declared.rank < 0 or any(dimension.unknown.variadic for dimension in declared.dimensions):
        return TensorType(dtype_of(declared.dataType), None)
    sizes = (
        d.constant.size if d.WhichOneof("dimension") == "constant" else None for d in declared.dimensions
    )
    return TensorType(dtype_of(declared.dataType), tuple(sizes))


def makes_fp16(operations: Iterable[Any]) -> bool:
    """Whether any protobuf operation has a result in fp16."""
    kinds = (tensor_type(result.type) for operation in operations for result in operation.outputs)
    return any(kind is not None and kind.dtype.name == "FLOAT16" for kind in kinds)


def result_check(
    declared: TensorType | None, strict: bool, arithmetic: bool, owned: bool = False
) -> Callable:
    """A function that converts one result to its declared type and checks its shape (ValueError).

    With `arithmetic` and `strict` it rounds fp16 results to fp16, in place if nothing else refers to them
    (`owned`).
    """
    if declared is None or not declared.dtype.carried:
        return lambda value: value
    carrier = declared.dtype.carrier
    rounds = strict and arithmetic and declared.dtype.name == "FLOAT16"
    exact_shape = declared.shape if declared.shape is not None and None not in declared.shape else None

    def check(value: torch.Tensor) -> torch.Tensor:
        if value.dtype != carrier:
            value = value.to(carrier)
        if rounds:
            value = _rounded_in_place(value) if owned else value.half().float()
        if value.shape != exact_shape and not declared.matches(value.shape):
            raise ValueError(f"the result has shape {tuple(value.shape)}, the program declares {declared}")
        return value

    return check


def _rounded_in_place(value: torch.Tensor) -> torch.Tensor:
    value = value.contiguous()
    for part in value.view(-1).split(
        2**15
    ):  # torch shares out longer ones among threads, which wait each time
        part.copy_(part.half())
    return value
