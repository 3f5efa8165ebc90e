"""Turns a protobuf `Value` into what operations compute with: tensors, strings, lists, dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.format.dtypes import TensorType, tensor_type
from coreml_runtime.format.memory import BUFFER, LARGE
from coreml_runtime.format.package import Package, unpack_bits

if TYPE_CHECKING:
    import torch  # loaded by the first value, not by reading a package


def read_value(value, package: Package):
    """The contents of a protobuf `Value`, in the carrier type; file constants of that type are not copied."""
    kind = value.type.WhichOneof("type")
    if kind == "tensorType":
        declared: Any = tensor_type(value.type)
        if declared.dtype.name == "STRING":
            return _strings(value, declared)
        # What is packed in bits is not kept: it only serves to make a weight, which is.
        if is_large(value) and declared.dtype.stored is not None:
            stored = value.blobFileValue
            key = (stored.fileName, stored.offset)
            return package.weights.get(key, lambda: carry(_from_file(value, declared, package), declared))
        array = _from_file(value, declared, package) if _in_file(value) else _immediate(value, declared)
        return carry(array, declared)
    if kind == "listType":
        return [read_value(item, package) for item in value.immediateValue.list.values]
    if kind == "tupleType":
        return [read_value(item, package) for item in value.immediateValue.tuple.values]
    if kind == "dictionaryType":
        pairs = value.immediateValue.dictionary.values
        return {read_value(pair.key, package): read_value(pair.value, package) for pair in pairs}
    raise ValueError(f"a constant is of type {kind}; supported are tensors, lists, tuples and dictionaries")


def is_large(value) -> bool:
    """Whether a protobuf `Value` is a large tensor in a file that is converted when it is read."""
    if not _in_file(value) or value.type.WhichOneof("type") != "tensorType":
        return False
    declared: Any = tensor_type(value.type)
    converted = declared.dtype.stored is None or declared.dtype.stored != _numpy_carrier(declared)
    return bool(declared.size >= LARGE and converted)


def check_value(value, package: Package) -> None:
    """Raise now for a constant whose file is missing or too short, without reading its data."""
    if _in_file(value):
        record = package.weight_file(value.blobFileValue.fileName).record(value.blobFileValue.offset)
        declared: Any = tensor_type(value.type)
        _check_bytes(record, declared, value.blobFileValue.fileName)


def carry(array: np.ndarray, declared: TensorType) -> torch.Tensor:
    """`array` as a tensor of the declared shape and carrier type, sharing memory when it can."""
    import torch

    carrier = _numpy_carrier(declared)
    if array.dtype != carrier and array.size >= LARGE:
        converted = BUFFER.take(array.size, carrier)
        np.copyto(converted, array.reshape(-1))
        array = converted
    tensor = torch.from_numpy(array.astype(carrier, copy=False))
    return tensor if declared.shape is None else tensor.reshape(declared.shape)  # type: ignore[arg-type]


def _numpy_carrier(declared: TensorType) -> np.dtype:
    return np.dtype(declared.dtype.carried)


def _in_file(value) -> bool:
    return value.WhichOneof("value") == "blobFileValue"


def _check_bytes(stored: np.ndarray, declared: TensorType, where: str) -> None:
    needed = -(-declared.size * declared.dtype.bits // 8)
    if stored.size < needed:
        raise ValueError(f"a constant {declared} in {where} needs {needed} bytes, it has {stored.size}")


def _from_file(value, declared: TensorType, package: Package) -> np.ndarray:
    name = value.blobFileValue.fileName
    stored = package.weight_file(name).record(value.blobFileValue.offset)
    _check_bytes(stored, declared, name)
    return _decode(stored, declared)


def _decode(stored: np.ndarray, declared: TensorType) -> np.ndarray:
    dtype = declared.dtype
    if dtype.stored is None:
        return unpack_bits(stored, declared.size, dtype.bits, signed=dtype.name == "INT4")
    return stored[: declared.size * dtype.stored.itemsize].view(dtype.stored)


def _immediate(value, declared: TensorType) -> np.ndarray:
    contents = value.immediateValue.tensor
    kind = contents.WhichOneof("value")
    if kind is None:  # a tensor without elements
        if declared.size:
            raise ValueError(f"a constant {declared} in the program has no data")
        return np.zeros(0, _numpy_carrier(declared))
    if kind == "bytes":
        return _decode(np.frombuffer(bytearray(contents.bytes.values), np.uint8), declared)
    return np.array(getattr(contents, kind).values, _numpy_carrier(declared))


def _strings(value, declared: TensorType) -> str | list[str]:
    texts = list(value.immediateValue.tensor.strings.values)
    return texts[0] if declared.shape == () else texts
