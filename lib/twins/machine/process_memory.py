"""Memory of this process: what it holds now, and its peak since a reset; one reading for both frameworks.

On macOS the physical footprint, which counts Metal's memory; elsewhere the resident set (proc(5)). On macOS
the resident set leaves out what Metal allocates, and its peak cannot be reset.
"""

import os
import resource
from pathlib import Path

import psutil

from twins.machine import macos

FOOTPRINT, RESIDENT = "physical footprint", "resident set"
SHARE = 0.7  # of what is free that may be used; above it a system starts to compress or page


def room(needed: int, what: str) -> int:
    """The bytes that `what` is estimated to need.

    Errors: MemoryError, with the estimate, when they are not free.
    """
    free = psutil.virtual_memory().available
    if needed > SHARE * free:
        raise MemoryError(
            f"{what} is estimated to need {needed / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free "
            f"and {SHARE:.0%} of that may be used"
        )
    return needed


def at_once(needed: int) -> int:
    """How many processes that need so many bytes each may run at the same time: at most one a core."""
    fitting = SHARE * psutil.virtual_memory().available / needed
    return max(1, min(os.cpu_count() or 1, int(fitting / 2)))


def meaning() -> str:
    """Which memory is read on this system, in words."""
    return RESIDENT if macos.footprint() is None else FOOTPRINT


def held() -> int:
    """Bytes held now."""
    found = macos.footprint()
    return psutil.Process().memory_info().rss if found is None else found


def reset_peak() -> None:
    """Start a new peak where the system allows it (on Linux clear_refs of proc(5))."""
    macos.reset_peak_footprint()
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def peak() -> int:
    """Bytes at the peak since the last reset, or of the process's life where there is no reset."""
    found = macos.peak_footprint()
    return _peak_resident() if found is None else found


def _peak_resident() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if macos.here() else 1024)
