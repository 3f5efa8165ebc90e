"""Memory for large weights: a bounded cache of converted ones, and buffers that are used again.

A package may be larger in float32 than memory, and as a file a fraction of it. So a large weight that is
stored compressed or in fp16 is converted when an operation reads it, and dropped after; the first ones
stay, up to a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

LARGE = 2**20  # elements from which a weight is not kept as a matter of course
KEPT = 2**29  # bytes of converted large weights that stay with a package
BUFFERS = 3  # the weight of one operation, what it is computed from, and the one before


class Weights:
    """The converted large weights of a package, by what they are read from."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._room = KEPT
        self._recent: tuple[Hashable, Any] = (None, None)

    def get(self, key: Hashable, read: Callable[[], Any]) -> Any:
        """What `read` returns, from memory if it was kept. A tensor or a tuple of tensors; nobody
        writes into it.
        """
        if key in self._kept:
            return self._kept[key]
        if key == self._recent[0]:
            return self._recent[1]
        self._recent = (None, None)  # its buffer may be used for the next
        made = read()
        size = sum(each.nbytes for each in (made if isinstance(made, tuple) else (made,)))
        if size <= self._room:
            self._room -= size
            made = tuple(each.clone() for each in made) if isinstance(made, tuple) else made.clone()
            self._kept[key] = made
        else:
            self._recent = (key, made)
        return made


class Buffers:
    """Buffers of large arrays that are given out again once nothing refers to them.

    New memory costs more than the arithmetic of dequantizing: the system clears it page by page.
    """

    def __init__(self) -> None:
        self._all: list[np.ndarray] = []
        self._lock = Lock()

    def take(self, count: int, dtype: np.dtype | type) -> np.ndarray:
        """An array of `count` elements with any contents; a small one is new."""
        wanted = count * np.dtype(dtype).itemsize
        if count < LARGE:
            return np.empty(count, dtype)
        with self._lock:
            return self._taken(wanted).view(dtype)

    def _taken(self, wanted: int) -> np.ndarray:
        # Free is what only the list and the argument of getrefcount refer to.
        free = [i for i in range(len(self._all)) if sys.getrefcount(self._all[i]) == 2]
        by_size = sorted(free, key=lambda i: self._all[i].nbytes)
        if fitting := [i for i in by_size if self._all[i].nbytes >= wanted]:
            return self._all[fitting[0]][:wanted]
        made = np.empty(wanted, np.uint8)
        if len(self._all) >= BUFFERS and by_size:
            del self._all[by_size[0]]
        if len(self._all) < BUFFERS:
            self._all.append(made)
        return made[:]


BUFFER = Buffers()


def new_tensor(shape: tuple[int, ...], like: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of float32, or of the type of `like`, with any contents."""
    import torch

    kind = like or torch.float32
    if kind != torch.float32:
        return torch.empty(shape, dtype=kind)
    return torch.from_numpy(BUFFER.take(int(np.prod(shape, dtype=np.int64)), np.float32)).reshape(shape)
