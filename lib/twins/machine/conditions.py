"""What a machine did while something was timed on it: load, other processes, paging, throttling.

Counters come from psutil (https://psutil.readthedocs.io) and, on macOS, from the system's own tools
(macos.py); a fixed piece of work before and after shows whether the clock changed.
"""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from twins.machine import macos

DRIFT = 1.05  # the fixed work may change this much before the clock is unsteady; a tie is no tighter
PROBED = 0.15  # seconds that the fixed work is repeated for
CLOCKS = ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")  # Linux: one that goes on while the system sleeps, one not
TICK = 0.01  # seconds; systems count the CPU time of a core in such steps
PAGED = 64 * 2**20  # bytes swapped before a run counts as paged


@dataclass(frozen=True)
class Conditions:
    """Counters around one run. Loads and shares are in cores, memory in bytes, drift is a factor.

    `throttled` counts Linux's thermal throttling; `pressure` is the larger thermal pressure of macOS before
    and after (a place in macos.PRESSURES). `low_power` is macOS's low power mode. None means not readable.
    """

    cores: int
    load_before: float
    others: float
    swapped: int | None
    memory_share: float
    drift: float
    throttled: int
    power: str
    pressure: int | None = None
    low_power: bool | None = None


@dataclass(frozen=True)
class Disturbance:
    """Something that spoils a timing: when it happened, how bad it was, and how to say so."""

    happened: Callable[[Conditions], bool]
    size: Callable[[Conditions], float]
    sentence: str


DISTURBANCES = (
    Disturbance(
        lambda c: c.load_before > c.cores,
        lambda c: c.load_before,
        "The machine was busy: load up to {size:.1f} on {cores} cores",
    ),
    Disturbance(
        lambda c: c.others > c.cores / 2,
        lambda c: c.others,
        "Other processes used up to {size:.1f} of {cores} cores",
    ),
    Disturbance(
        lambda c: (c.swapped or 0) > PAGED or c.memory_share > 0.95,
        lambda c: (c.swapped or 0) / 2**20,
        "Memory was paged: up to {size:.0f} MB swapped",
    ),
    Disturbance(
        lambda c: not 1 / DRIFT < c.drift < DRIFT,
        lambda c: max(c.drift, 1 / c.drift),
        "The clock was not steady: fixed work changed its time up to {size:.2f}-fold",
    ),
    Disturbance(
        lambda c: c.throttled > 0,
        lambda c: c.throttled,
        "The processor was throttled, up to {size:.0f} times in a run",
    ),
    Disturbance(
        lambda c: (c.pressure or 0) > 0,
        lambda c: c.pressure or 0,
        "The system reported thermal pressure, up to level {size:.0f} of 4",
    ),
    Disturbance(lambda c: c.power == "battery", lambda c: 0.0, "The machine ran on battery"),
    Disturbance(lambda c: bool(c.low_power), lambda c: 0.0, "Low power mode was on"),
)


def warnings(seen: list[Conditions]) -> list[str]:
    """One sentence for each kind of disturbance: the worst of it, and in how many runs it happened."""
    found = []
    for kind in DISTURBANCES:
        hit = [conditions for conditions in seen if kind.happened(conditions)]
        if hit:
            worst = max(hit, key=kind.size)
            told = kind.sentence.format(size=kind.size(worst), cores=worst.cores)
            found.append(f"{told} (in {len(hit)} of {len(seen)} runs).")
    return found


def asleep() -> float:
    """Seconds that the system has slept since it started; 0 where it does not tell.

    Times are taken with a clock that stands still meanwhile: clock_gettime(2), and clock_gettime(3) of macOS.
    """
    through, awake = ("CLOCK_MONOTONIC", "CLOCK_UPTIME_RAW") if macos.here() else CLOCKS
    if not (hasattr(time, through) and hasattr(time, awake)):
        return 0.0
    return time.clock_gettime(getattr(time, through)) - time.clock_gettime(getattr(time, awake))


def power() -> str:
    """'mains', 'battery' or 'not readable'."""
    if macos.here():
        return macos.power_source(macos.output("pmset", "-g", "batt")) or "not readable"
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return "not readable" if battery is None else "mains" if battery.power_plugged else "battery"


def low_power() -> bool | None:
    """Whether macOS's low power mode is on; None where there is none."""
    return macos.low_power(macos.output("pmset", "-g")) if macos.here() else None


def pressure() -> int | None:
    """The thermal pressure macOS reports now (0 is nominal); None where it is not readable."""
    return macos.thermal_pressure(macos.output("notifyutil", "-g", macos.THERMAL)) if macos.here() else None


def swapped() -> int | None:
    """Bytes swapped so far; on macOS by the system's own counter, for psutil counts the reading of files."""
    if macos.here():
        return macos.swapped(macos.output("vm_stat"))
    swap = psutil.swap_memory()
    return swap.sin + swap.sout


def throttle_count() -> int:
    """Thermal throttling so far, by Linux's counters; macOS has none (see `pressure`)."""
    files = Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/core_throttle_count")
    return sum(int(file.read_text()) for file in files)


def _worst(before: int | None, after: int | None) -> int | None:
    """The larger of two readings; None when neither could be read."""
    return max((each for each in (before, after) if each is not None), default=None)


def _grown(before: int | None, after: int | None) -> int | None:
    """How much a counter grew; None when it could not be read."""
    return None if before is None or after is None else after - before


def _fixed_work() -> float:
    """Seconds of fixed work, the fastest call: short and on one thread, so as not to wait for a core."""
    x = np.linspace(1, 2, 2**14)
    result, fastest, end = np.empty_like(x), float("inf"), time.perf_counter() + PROBED
    while (start := time.perf_counter()) < end:
        np.exp(x, out=result)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


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
    load, swap, throttled, heat = os.getloadavg()[0], swapped(), throttle_count(), pressure()
    work, busy, own, wall = _fixed_work(), _busy(), _own(), time.perf_counter()
    seen: dict[str, Any] = {}
    yield lambda: Conditions(**seen)
    elapsed = time.perf_counter() - wall
    cores = os.cpu_count() or 1
    others = (_busy() - busy) - (_own() - own) - cores * TICK
    seen.update(
        cores=cores,
        load_before=load,
        others=max(0.0, others / elapsed),
        swapped=_grown(swap, swapped()),
        memory_share=psutil.virtual_memory().percent / 100,
        drift=_fixed_work() / work,
        throttled=throttle_count() - throttled,
        power=power(),
        pressure=_worst(heat, pressure()),
        low_power=low_power(),
    )


def system() -> str:
    """The operating system and its version, without a host name."""
    if macos.here():
        version = macos.product_version()
        release = ".".join(map(str, version)) if version else platform.mac_ver()[0]
        return f"macOS {release} ({platform.machine()})"
    told = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return f"{told.get('PRETTY_NAME', platform.system())} ({platform.machine()})"
