"""mlx-lm's caches with arrays of fixed size, as Core ML's states have: written in place, read through a mask.

KVCache and ChunkedKVCache become as many slots as the context has tokens, RotatingKVCache (a sliding window)
a ring of slots, QuantizedKVCache plain fp16 slots; ArraysCache (state-space models) keeps its arrays; what a
CacheList holds is treated one by one.
https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/models/cache.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as caches

from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.language_models.positions import Position

KEYED = (caches.KVCache, caches.RotatingKVCache, caches.ChunkedKVCache)
DIGITS = 2048  # whole numbers up to here are exact in fp16: larger ones are kept as two digits


@dataclass(frozen=True)
class Sizes:
    """How many tokens fit, how many one call writes at most, and whether windows are rings."""

    context: int
    chunk: int
    rings: bool = True

    def slots(self, window: int | None, keep: int) -> int:
        """Slots of a cache; a ring is a multiple of `chunk` that still holds the whole window."""
        ring = -(-((window or self.context) + self.chunk - 1) // self.chunk) * self.chunk
        return ring if self.rings and window and not keep and ring < self.context else self.context


class SlotCache(caches._BaseCache):
    """Keys and values (1, heads, slots, size), written at a position, in the place of mlx-lm's caches."""

    def __init__(self, keys: mx.array, values: mx.array, position: Position, old: Any, context: int):
        self.keys, self.values, self.offset, self.start = keys, values, position, position
        self.max_size, self.keep = getattr(old, "max_size", None), getattr(old, "keep", 0)
        self.is_ring = keys.shape[2] < context
        self.start_position = 0

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Write the new rows and return all slots."""
        slots = self.keys.shape[2]
        where = (mx.remainder(self.offset, slots) if self.is_ring else self.offset).reshape(1)
        self.keys = mx.slice_update(self.keys, keys.astype(self.keys.dtype), where, (2,))
        self.values = mx.slice_update(self.values, values.astype(self.values.dtype), where, (2,))
        self.offset = self.offset + keys.shape[2]
        return self.keys, self.values

    def keys_and_values(self) -> tuple[mx.array, mx.array]:
        """All slots."""
        return self.keys, self.values

    def make_mask(self, N: int, window_size: int | None = None, return_array: bool = False) -> mx.array:
        """Which slots each of the N new tokens sees: (N, slots); one token's (1, 1, 1, slots)."""
        rows = (self.start.base + mx.arange(N))[:, None]
        slots = mx.arange(self.keys.shape[2])[None]
        if self.is_ring:
            last = self.start.base + (N - 1)
            slots = last - mx.remainder(last - slots, self.keys.shape[2])
        seen = slots <= rows
        if self.is_ring:
            seen = seen & (slots >= 0)
        limits = [size for size in (window_size, self.max_size and self.max_size - self.keep) if size]
        if limits:
            near = slots > rows - min(limits)
            seen = seen & (near | (slots < self.keep) if self.keep else near)
        return seen if N > 1 else seen[None, None]

    def maybe_trim_front(self) -> None:
        """Nothing: the chunk's mask leaves out what is before it."""

    def empty(self) -> bool:
        """False: it may hold something."""
        return False


def unpacked(cache: Any) -> Any:
    """The cache, or in the place of one with quantized rows one with plain ones: a state holds fp16 only."""
    if isinstance(cache, caches.CacheList):
        return caches.CacheList(*map(unpacked, cache.caches))
    return caches.KVCache() if isinstance(cache, caches.QuantizedKVCache) else cache


def arrays_of(cache: Any, sizes: Sizes) -> dict[str, tuple[tuple[int, ...], mx.Dtype]]:
    """Name, shape and type of what a cache that has been used once keeps. Errors: ConversionError."""
    if isinstance(cache, caches.CacheList):
        parts = [arrays_of(each, sizes) for each in cache.caches]
        return {f"{i}_{name}": kept for i, part in enumerate(parts) for name, kept in part.items()}
    if isinstance(cache, caches.ArraysCache):
        return {f"array_{i}": _kept(each) for i, each in enumerate(cache.cache) if each is not None}
    if not isinstance(cache, KEYED):
        raise ConversionError(
            f"the model keeps a cache of type {type(cache).__name__}; known are KVCache, RotatingKVCache, "
            "ChunkedKVCache, QuantizedKVCache, ArraysCache and CacheList"
        )
    slots = sizes.slots(getattr(cache, "max_size", None), getattr(cache, "keep", 0))
    return {
        name: ((*array.shape[:2], slots, array.shape[3]), array.dtype)
        for name, array in (("keys", cache.keys), ("values", cache.values))
        if array is not None
    }


def _kept(array: mx.array) -> tuple[tuple[int, ...], mx.Dtype]:
    """Whole numbers are kept as two digits, because Core ML's states are fp16."""
    is_float = mx.issubdtype(array.dtype, mx.floating)
    return (array.shape, array.dtype) if is_float else ((2, *array.shape), mx.float32)


def fixed(cache: Any, kept: dict[str, mx.array], position: Position, context: int) -> Any:
    """A cache with fixed arrays in the place of one of mlx-lm's."""
    if isinstance(cache, caches.CacheList):
        parts = [
            {name.partition("_")[2]: a for name, a in kept.items() if name.partition("_")[0] == str(i)}
            for i in range(len(cache.caches))
        ]
        pairs = zip(cache.caches, parts, strict=True)
        return caches.CacheList(*(fixed(each, part, position, context) for each, part in pairs))
    if isinstance(cache, caches.ArraysCache):
        made = caches.ArraysCache(len(cache.cache))
        for name, array in kept.items():
            place = int(name.removeprefix("array_"))
            made[place] = array if _is_float(cache[place]) else _joined(array, cache[place].dtype)
        return made
    if not kept:
        return SlotCache(mx.zeros((1, 1, context, 1)), mx.zeros((1, 1, context, 1)), position, cache, context)
    return SlotCache(kept["keys"], kept["values"], position, cache, context)


def kept_by(cache: Any, names: Sequence[str]) -> dict[str, mx.array]:
    """The arrays of a fixed cache after a call, by name."""
    return dict(_kept_by(cache, names))


def _kept_by(cache: Any, names: Sequence[str]) -> Iterator[tuple[str, mx.array]]:
    for name in names:
        part, held = name, cache
        if isinstance(cache, caches.CacheList):
            place, _, part = name.partition("_")
            yield name, kept_by(cache.caches[int(place)], [part])[part]
        elif isinstance(cache, caches.ArraysCache):
            array = held[int(part.removeprefix("array_"))]
            yield name, array if _is_float(array) else _digits(array)
        else:
            yield name, getattr(held, part)


def _is_float(array: mx.array) -> bool:
    return mx.issubdtype(array.dtype, mx.floating)


def _digits(array: mx.array) -> mx.array:
    return mx.stack([array // DIGITS, array % DIGITS]).astype(mx.float32)


def _joined(digits: mx.array, dtype: mx.Dtype) -> mx.array:
    return (digits[0].astype(mx.int32) * DIGITS + digits[1].astype(mx.int32)).astype(dtype)
