"""The element types of MIL tensors: how they are stored, and the torch type that carries them.

torch computes with neither uint16 nor uint32, so a wider signed type carries them; fp16 is carried as
float32, because half precision kernels on a CPU are 15 to 50 times slower. Source: mlmodel/format/MIL.proto,
enum DataType.
"""

from dataclasses import dataclass

import numpy as np
import torch
from coremltools.proto import MIL_pb2


@dataclass(frozen=True)
class DType:
    """One element type: `bits` as stored, `stored` in NumPy (None below a byte), `carrier` in torch."""

    name: str
    bits: int
    stored: np.dtype | None
    carrier: torch.dtype | None


_CARRIERS = {
    "BOOL": torch.bool,
    "FLOAT16": torch.float32,
    "FLOAT32": torch.float32,
    "FLOAT64": torch.float64,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "UINT8": torch.uint8,
    "UINT16": torch.int32,
    "UINT32": torch.int64,
    "UINT64": torch.int64,
}
_SUB_BYTE = {"INT4": torch.int8} | {f"UINT{bits}": torch.uint8 for bits in (1, 2, 3, 4, 6)}


def _whole_bytes(name: str, carrier: torch.dtype) -> DType:
    stored = np.dtype(name.lower())
    return DType(name, 8 * stored.itemsize, stored, carrier)


DTYPES = (
    {name: _whole_bytes(name, carrier) for name, carrier in _CARRIERS.items()}
    | {name: DType(name, int(name.lstrip("UINT")), None, carrier) for name, carrier in _SUB_BYTE.items()}
    | {"STRING": DType("STRING", 0, None, None)}
)

# What a `dtype` or `output_dtype` parameter may say.
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
        raise ValueError(
            f"element type '{text}' is not known; known are fp16, fp32, bool and (u)int8 to (u)int64"
        )
    return DTYPES[name]


@dataclass(frozen=True)
class TensorType:
    """A declared tensor: its element type and shape, with None for a dimension known only when it runs."""

    dtype: DType
    shape: tuple[int | None, ...] | None

    @property
    def size(self) -> int:
        """Elements in a tensor whose shape is known."""
        return int(np.prod(self.shape, dtype=np.int64))

    def matches(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` is one of the declared ones."""
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
