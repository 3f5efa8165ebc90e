"""Reads weight files: little-endian records, memory-mapped, so that nothing is copied before it is used.

A record starts with 64 bytes of metadata (sentinel, type, size, offset, padding bits); see
https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
"""

import struct
from pathlib import Path

import numpy as np

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
            # Copy on write: torch wants writable memory, the file is never changed.
            self.bytes = np.memmap(path, np.uint8, mode="c")

    def record(self, offset: int) -> np.ndarray:
        """The bytes of a record; ValueError when the file is cut short or has no record at `offset`."""
        if offset + RECORD.size > self.bytes.size:
            raise ValueError(self._truncated(offset, offset + RECORD.size))
        sentinel, _, size, start = RECORD.unpack(self.bytes[offset : offset + RECORD.size].tobytes())
        if sentinel != SENTINEL:
            raise ValueError(
                f"weight file {self.path} has no record at byte {offset}: found {sentinel:#010x}"
            )
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
    digits = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    values = digits @ (1 << np.arange(bits, dtype=np.uint8))
    if not signed:
        return values.astype(np.uint8)
    return np.where(values >= 1 << (bits - 1), values.astype(np.int16) - (1 << bits), values).astype(np.int8)
