"""Opens a saved model: the manifest of an `.mlpackage`, the specification that it names, its weight files.

Weight files hold little-endian records. They are memory-mapped, so nothing is copied before it is used.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from coreml_runtime.format.memory import BUFFER, Weights
from coreml_runtime.format.specification import Model_pb2

# iOS15 introduced ML Programs with version 6; iOS26 writes 10.
SPECIFICATION_VERSIONS = range(6, 11)
_PREFIX = "@model_path/"
SENTINEL = 0xDEADBEEF
RECORD = struct.Struct("<IIQQ")


class WeightFile:
    """One memory-mapped weight file; `record` returns what a metadata offset points to, uncopied."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise FileNotFoundError(f"weight file {path} is missing; the program stores constants in it")
        self.path = path
        self.bytes = np.zeros(0, np.uint8)
        if path.stat().st_size:
            # Copy on write: torch needs writable memory, and the file never changes.
            self.bytes = np.memmap(path, np.uint8, mode="c")

    def record(self, offset: int) -> np.ndarray:
        """The bytes of a record; ValueError when the file is cut short or has no record at `offset`."""
        if offset + RECORD.size > self.bytes.size:
            raise ValueError(self._truncated(offset, offset + RECORD.size))
        sentinel, _, size, start = RECORD.unpack(self.bytes[offset : offset + RECORD.size].tobytes())
        if sentinel != SENTINEL:
            raise ValueError(f"weight file {self.path} has no record at byte {offset}: found {sentinel:#x}")
        if start + size > self.bytes.size:
            raise ValueError(self._truncated(offset, start + size))
        return self.bytes[start : start + size]

    def _truncated(self, offset: int, needed: int) -> str:
        return (
            f"weight file {self.path} is truncated: the record at byte {offset} needs {needed} bytes, "
            f"the file has {self.bytes.size}"
        )


def unpack_bits(packed: np.ndarray, count: int, bits: int, signed: bool) -> np.ndarray:
    """`count` integers of `bits` bits each, stored lowest bit first, as int8 or uint8."""
    width = math.lcm(bits, 8) // 8  # bytes that hold a whole number of values
    words = packed[: -(-count * bits // 8)]
    words = np.pad(words, (0, -words.size % width)).reshape(-1, width) if width > 1 else words[:, None]
    places = np.array([1 << 8 * i for i in range(width)], np.uint64)
    word = words.astype(np.uint64) @ places if width > 1 else words[:, 0]
    each = 8 * width // bits
    values = BUFFER.take(word.size * each, np.uint8).reshape(-1, each)
    for i in range(each):
        np.bitwise_and(word >> bits * i, (1 << bits) - 1, out=values[:, i], casting="unsafe")
    flat = values.reshape(-1)[:count]
    if not signed:
        return flat
    sign = 1 << (bits - 1)  # flipping the sign bit and taking it away again extends it
    np.bitwise_xor(flat, sign, out=flat)
    return np.subtract(flat, sign, out=flat).view(np.int8)


@dataclass(frozen=True)
class Package:
    """A saved model: its `path` as given, the `folder` of its weights, and the parsed `specification`."""

    path: Path
    folder: Path
    specification: Any  # a protobuf Model
    opened: dict[str, WeightFile] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)

    def function(self, name: str) -> Any:
        """The protobuf message of one function; ValueError lists the functions."""
        functions = self.specification.mlProgram.functions
        if name not in functions:
            raise ValueError(f"{self.path} has no function '{name}'; it has {', '.join(sorted(functions))}")
        return functions[name]

    def weight_file(self, name: str) -> WeightFile:
        """The weight file that a constant names, opened once."""
        if name not in self.opened:
            self.opened[name] = WeightFile(_inside(self.folder, name.removeprefix(_PREFIX), self.path))
        return self.opened[name]


def open_package(path: str | Path) -> Package:
    """Open the ML Program saved at `path`.

    Raises FileNotFoundError for a missing file, and ValueError for anything but an ML Program of a supported
    version.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no package at {path}")
    file = _root_model(path) if path.is_dir() else path
    specification = _parse(file, path)
    _check(specification, path)
    return Package(path, file.parent, specification)


def _root_model(path: Path) -> Path:
    manifest = path / "Manifest.json"
    if path.suffix == ".mlmodelc":
        raise ValueError(f"{path} is a compiled model; give the .mlpackage it was compiled from")
    if not manifest.is_file():
        raise ValueError(f"{path} is not a package: it has no Manifest.json")
    try:
        entries = json.loads(manifest.read_text())
        name = str(entries["itemInfoEntries"][entries["rootModelIdentifier"]]["path"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{manifest} is not the manifest of a package: {error!r:.300}") from error
    file = _inside(path / "Data", name, path)
    if not file.is_file():
        raise FileNotFoundError(f"{path} names the specification {name}, which is missing")
    return file


def _inside(folder: Path, name: str, path: Path) -> Path:
    """A file that a package names, which must lie in it. Errors: ValueError for another."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or not parts.parts:
        raise ValueError(f"{path} names the file {name!r:.100}, which is not a path inside the package")
    return folder / name


def _parse(file: Path, path: Path) -> Any:
    specification = Model_pb2.Model()
    try:
        specification.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path} is not a Core ML model: {file.name} does not parse") from error
    return specification


def _check(specification: Any, path: Path) -> None:
    kind = specification.WhichOneof("Type")
    version = specification.specificationVersion
    if kind is None:
        raise ValueError(f"{path} is not a Core ML model: its specification holds no model")
    if kind.startswith("neuralNetwork"):
        raise ValueError(
            f"{path} is a neural network model ({kind}, specification {version}), the format before "
            "ML Programs; convert the source again with convert_to='mlprogram'"
        )
    if kind != "mlProgram":
        raise ValueError(f"{path} holds a model of type {kind}; only an mlProgram can be run")
    if version not in SPECIFICATION_VERSIONS:
        first, last = SPECIFICATION_VERSIONS[0], SPECIFICATION_VERSIONS[-1]
        raise ValueError(f"{path} has specification version {version}; supported are {first} to {last}")


def every_operation(block: Any) -> Iterator[Any]:
    """The operations of a block, each followed by those of the blocks inside it."""
    for operation in block.operations:
        yield operation
        for nested in operation.blocks:
            yield from every_operation(nested)


def description_of(description: Any, function: str) -> Any:
    """The part of a model's description that declares the inputs and outputs of one function."""
    named = (candidate for candidate in description.functions if candidate.name == function)
    return next(named, description)
