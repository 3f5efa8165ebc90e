"""One package of several: a function each, and every weight stored once, whichever function reads it.

The weight files are copied blob by blob, so that memory holds one blob at a time.
https://apple.github.io/coremltools/docs-guides/source/multifunction-models.html
"""

import hashlib
import shutil
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import coremltools as ct
from coremltools.proto import MIL_pb2, Model_pb2

SENTINEL, HEADER, ALIGNED = 0xDEADBEEF, 64, 64  # MLModel/src/MILBlob/Blob/StorageFormat.hpp
WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")
MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")


def join(packages: Mapping[str, Path], path: Path) -> None:
    """Write one package with the main function of each, by name; the first is the default.

    The first package is moved, the others are only read.
    """
    first = next(iter(packages))
    shutil.rmtree(path, ignore_errors=True)
    shutil.move(packages[first], path)
    whole = _read(path / MODEL)
    places = {digest: offset for digest, offset, _ in _blobs(path / WEIGHTS)}
    whole.description.CopyFrom(_described(whole.description, first))
    whole.mlProgram.functions[first].CopyFrom(whole.mlProgram.functions["main"])
    del whole.mlProgram.functions["main"]
    for name in list(packages)[1:]:
        part = _read(packages[name] / MODEL)
        moved = _appended(packages[name] / WEIGHTS, path / WEIGHTS, places)
        function = part.mlProgram.functions["main"]
        for block in function.block_specializations.values():
            _point(block, moved)
        whole.mlProgram.functions[name].CopyFrom(function)
        whole.description.functions.append(_described(part.description, name).functions[0])
    (path / MODEL).write_bytes(whole.SerializeToString(deterministic=True))


def _read(path: Path) -> Model_pb2.Model:
    return ct.utils.load_spec(str(path))


def _described(alone: Model_pb2.ModelDescription, name: str) -> Model_pb2.ModelDescription:
    """The description of a package with one function as that of a function with a name."""
    function = Model_pb2.FunctionDescription(
        name=name, input=alone.input, output=alone.output, state=alone.state
    )
    return Model_pb2.ModelDescription(functions=[function], defaultFunctionName=name, metadata=alone.metadata)


def _blobs(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """Digest, offset and bytes of every blob of a weight file, its own header included."""
    with path.open("rb") as file:
        count = struct.unpack("<I", file.read(4))[0]
        at = HEADER
        for _ in range(count):
            head, data = _blob(file, at)
            yield hashlib.sha256(head[:8] + data).digest(), at, head + data
            at = _aligned(at + HEADER + len(data))


def _blob(file: BinaryIO, at: int) -> tuple[bytes, bytes]:
    """The header of a blob, without the place of its data, and its data."""
    file.seek(at)
    head = file.read(HEADER)
    sentinel, kind, size, begin, padding = struct.unpack_from("<IIQQQ", head)
    if sentinel != SENTINEL:
        raise ValueError(f"{file.name} has no blob at {at}")
    file.seek(begin)
    return struct.pack("<IIQQQ", sentinel, kind, size, 0, padding).ljust(HEADER, b"\0"), file.read(size)


def _aligned(at: int) -> int:
    return -(-at // ALIGNED) * ALIGNED


def _appended(source: Path, target: Path, places: dict[bytes, int]) -> dict[int, int]:
    """Where each blob of `source`, by its offset, lies in `target`, which gets those it lacks."""
    moved, added = {}, 0
    with target.open("r+b") as file:
        end = _aligned(file.seek(0, 2))
        for digest, offset, whole in _blobs(source):
            if digest not in places:
                head = bytearray(whole[:HEADER])
                struct.pack_into("<Q", head, 16, end + HEADER)
                file.seek(end)
                file.write(bytes(head) + whole[HEADER:])
                places[digest] = end
                end, added = _aligned(end + len(whole)), added + 1
            moved[offset] = places[digest]
        file.seek(0)
        count = struct.unpack("<I", file.read(4))[0]
        file.seek(0)
        file.write(struct.pack("<I", count + added))
    return moved


def _point(block: MIL_pb2.Block, moved: Mapping[int, int]) -> None:
    """Let every constant of a block read its blob at the new place."""
    for operation in block.operations:
        for inner in operation.blocks:
            _point(inner, moved)
        values = list(operation.attributes.values())
        for argument in operation.inputs.values():
            values += [binding.value for binding in argument.arguments if binding.HasField("value")]
        for value in values:
            if value.HasField("blobFileValue"):
                value.blobFileValue.offset = moved[value.blobFileValue.offset]
