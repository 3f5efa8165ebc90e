"""The time a check may take: as long as the conversion took, for models that are large enough to matter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGE = 2**26  # bytes of weights from which on the number of calls follows from the time
LEAST = 2.0  # seconds that a check may take, however fast the conversion was


def weights_in(package: str | Path) -> int:
    """The bytes of a package's weight files; Core AI keeps weights and program in one."""
    files = (file for file in Path(package).rglob("*") if file.suffix in (".bin", ".mlirb"))
    return sum(file.stat().st_size for file in files)


class Budget:
    """Whether there is time for another call, which is taken to last as long as the longest so far."""

    def __init__(self, seconds: float, weights: int, planned: int):
        self.is_limited = weights >= LARGE
        self.planned, self.made = planned, 0  # calls
        self.seconds = max(seconds, LEAST)
        self.longest = 0.0
        self._start = time.monotonic()

    @property
    def share(self) -> float:
        """How much of the check lies behind, from 0 to 1: of the calls, or of the time if limited."""
        if not self.is_limited:
            return min(self.made / self.planned, 1.0)
        return min((time.monotonic() - self._start) / self.seconds, 1.0)

    @contextmanager
    def spent(self, calls: int = 1) -> Iterator[None]:
        """One call in the block, or several together."""
        start = time.monotonic()
        yield
        self.made += calls
        self.longest = max(self.longest, time.monotonic() - start)

    def allows_another(self) -> bool:
        """Whether another call ends in time; always for small models."""
        spent = time.monotonic() - self._start
        return not self.is_limited or spent + self.longest <= self.seconds
