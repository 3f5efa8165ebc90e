"""What a machine did while something was timed on it: load, other processes, paging, throttling.

Counters come from psutil (https://psutil.readthedocs.io) and from the system where it keeps them; a
fixed piece of work before and after shows a clock that changed, whatever the system tells.
"""

import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

DRIFT = 1.15  # the fixed work may change this much before the clock counts as unsteady
TICK = 0.01  # seconds; systems count the CPU time of a core in such steps
PAGED = 64 * 2**20  # bytes swapped before a run counts as paged


@dataclass(frozen=True)
class Conditions:
    """Counters around one run. Loads and shares are in cores, memory in bytes, drift is a factor."""

    cores: int
    load_before: float
    others: float
    swapped: int
    memory_share: float
    drift: float
    throttled: int
    power: str

    def warnings(self) -> list[str]:
        """One sentence for each thing that spoils a timing."""
        found = []
        if self.load_before > self.cores:
            found.append(
                f"The machine was busy: load {self.load_before:.1f} on {self.cores} cores before a run."
            )
        if self.others > self.cores / 2:
            found.append(f"Other processes used {self.others:.1f} of {self.cores} cores during a run.")
        if self.swapped > PAGED or self.memory_share > 0.95:
            found.append(f"Memory was paged during a run: {self.swapped / 2**20:.0f} MB swapped.")
        if not 1 / DRIFT < self.drift < DRIFT:
            found.append(
                f"The clock was not steady: at a run's end fixed work took {self.drift:.2f} times as long."
            )
        if self.throttled:
            found.append(f"The processor was throttled {self.throttled} times during a run.")
        if self.power == "battery":
            found.append("The machine ran on battery.")
        return found


def power() -> str:
    """'mains', 'battery' or 'not readable'."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return "not readable" if battery is None else "mains" if battery.power_plugged else "battery"


def throttle_count() -> int:
    """Thermal throttling so far: Linux's counters; on macOS whether pmset reports a speed limit now."""
    if sys.platform == "darwin":
        told = subprocess.run(["pmset", "-g", "therm"], capture_output=True, text=True, check=False).stdout
        limit = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", told)
        return int(limit is not None and int(limit[1]) < 100)
    files = Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/core_throttle_count")
    return sum(int(file.read_text()) for file in files)


def _throttled(before: int, after: int) -> int:
    """Throttling between two readings: a counter's growth; on macOS whether either found a limit."""
    return max(before, after) if sys.platform == "darwin" else after - before


def _fixed_work() -> float:
    """Seconds of a fixed product, the fastest of seven."""
    x = np.full((384, 384), 1.5, np.float32)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        x @ x
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _busy() -> float:
    """CPU seconds of every process on every core so far."""
    times = psutil.cpu_times()
    return sum(getattr(times, kind, 0.0) for kind in ("user", "system", "nice", "irq", "softirq", "steal"))


def _own() -> float:
    """CPU seconds of this process and of the children that ended, such as a compiler's, so far."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def watch() -> Iterator[Callable[[], Conditions]]:
    """Watch the machine during a block; the callable it yields gives the Conditions afterwards."""
    load, swap, throttled = os.getloadavg()[0], psutil.swap_memory(), throttle_count()
    work, busy, own, wall = _fixed_work(), _busy(), _own(), time.perf_counter()
    seen = {}
    yield lambda: Conditions(**seen)
    elapsed = time.perf_counter() - wall
    cores = os.cpu_count() or 1
    others = (_busy() - busy) - (_own() - own) - cores * TICK
    swap_after = psutil.swap_memory()
    seen.update(
        cores=cores,
        load_before=load,
        others=max(0.0, others / elapsed),
        swapped=swap_after.sin + swap_after.sout - swap.sin - swap.sout,
        memory_share=psutil.virtual_memory().percent / 100,
        drift=_fixed_work() / work,
        throttled=_throttled(throttled, throttle_count()),
        power=power(),
    )


def system() -> str:
    """The operating system and its version, without a host name."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]} ({platform.machine()})"
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return f"{release.get('PRETTY_NAME', platform.system())} ({platform.machine()})"
