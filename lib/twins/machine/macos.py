"""Readings of macOS: its tools and system calls in one place, each answer read by its own parser.

Only the standard library, and only what Python 3.9 knows, because `make doctor` reads this before anything is
installed. A tool that is missing, fails or hangs gives "", and a parser returns None for an unknown answer.
Sources: sysctl(8), ioreg(8), pmset(1), vm_stat(1), notifyutil(1), xcrun(1) and the SDK's <sys/resource.h>.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess

PATIENCE = 5.0  # seconds a tool may take; the system's tools answer in a tenth of one
LIBRARY = "/usr/lib/libSystem.B.dylib"
THERMAL = "com.apple.system.thermalpressurelevel"
PRESSURES = ("nominal", "moderate", "heavy", "trapping", "sleeping")  # OSThermalNotification.h, 0 to 4
SOURCES = {"AC Power": "mains", "Battery Power": "battery", "UPS Power": "battery"}
RUSAGE_INFO_V4 = 4
RUSAGE_FIELDS = (
    "user_time system_time pkg_idle_wkups interrupt_wkups pageins wired_size resident_size "
    "phys_footprint proc_start_abstime proc_exit_abstime child_user_time child_system_time "
    "child_pkg_idle_wkups child_interrupt_wkups child_pageins child_elapsed_abstime diskio_bytesread "
    "diskio_byteswritten cpu_time_qos_default cpu_time_qos_maintenance cpu_time_qos_background "
    "cpu_time_qos_utility cpu_time_qos_legacy cpu_time_qos_user_initiated cpu_time_qos_user_interactive "
    "billed_system_time serviced_system_time logical_writes lifetime_max_phys_footprint instructions "
    "cycles billed_energy serviced_energy interval_max_phys_footprint runnable_time"
)


class Usage(ctypes.Structure):
    """rusage_info_v4 of <sys/resource.h>, with room behind it for what later systems append."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        *((name, ctypes.c_uint64) for name in RUSAGE_FIELDS.split()),
        ("later", ctypes.c_uint64 * 32),
    ]


def here() -> bool:
    """Whether this is macOS."""
    return platform.system() == "Darwin"


def output(*command: str, seconds: float = PATIENCE) -> str:
    """What a tool prints; empty when it is missing, fails or takes longer than `seconds`."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def sysctl(name: str) -> str:
    """The value of one name of sysctl; empty where it does not exist."""
    return output("sysctl", "-n", name)


def gpu_cores(ioreg: str) -> int | None:
    """The GPU's cores, from `ioreg -rc AGXAccelerator`."""
    found = re.search(r'"gpu-core-count"\s*=\s*(\d+)', ioreg)
    return int(found[1]) if found else None


def version(text: str) -> tuple[int, ...] | None:
    """A version such as 14.6.1 as numbers, as sysctl's kern.osproductversion and sw_vers print it."""
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+(\.\d+)*", text) else None


def power_source(batt: str) -> str | None:
    """'mains' or 'battery', from `pmset -g batt`; a desktop draws from mains as well."""
    found = re.search(r"Now drawing from '(.+?)'", batt)
    return SOURCES.get(found[1]) if found else None


def low_power(settings: str) -> bool | None:
    """Whether low power mode is on, from `pmset -g`; a desktop and an old system have no such line."""
    found = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d+)", settings, re.M)
    return found[1] == "1" if found else None


def swapped(vm_stat: str) -> int | None:
    """Bytes swapped in and out since the system started, from `vm_stat`; its pageins are reads of files."""
    size = re.search(r"page size of (\d+) bytes", vm_stat)
    pages = re.findall(r"^Swap(?:ins|outs):\s+(\d+)\.", vm_stat, re.M)
    return int(size[1]) * sum(map(int, pages)) if size and len(pages) == 2 else None


def thermal_pressure(notification: str) -> int | None:
    """A place in PRESSURES, from `notifyutil -g` with the name THERMAL, which needs no root."""
    found = re.search(rf"{re.escape(THERMAL)}\s+(\d+)", notification)
    return int(found[1]) if found else None


def wheel_system(tag: str) -> tuple[int, ...] | None:
    """The macOS a wheel was built for: (26, 0), from py3-none-macosx_26_0_arm64."""
    found = re.search(r"macosx_(\d+)_(\d+)_", tag)
    return (int(found[1]), int(found[2])) if found else None


def product_version() -> tuple[int, ...] | None:
    """The version of macOS itself; a Python of an older SDK gets another one (10.16, or 16.0 on 26)."""
    return version(sysctl("kern.osproductversion")) or version(output("sw_vers", "-productVersion"))


def rosetta() -> bool:
    """Whether this process is Intel code that Rosetta translates on Apple silicon."""
    return sysctl("sysctl.proc_translated") == "1"


def xctest() -> bool:
    """Whether XCTest exists here: Xcode brings it, the Command Line Tools alone do not."""
    return bool(output("xcrun", "--find", "xctest", seconds=30))


def _library() -> ctypes.CDLL | None:
    """The C library of macOS; None where it cannot be loaded."""
    try:
        return ctypes.CDLL(LIBRARY) if here() else None
    except OSError:
        return None


def _usage() -> Usage | None:
    """What the system counts of this process (proc_pid_rusage); None where it does not."""
    library, usage = _library(), Usage()
    if library is None or library.proc_pid_rusage(os.getpid(), RUSAGE_INFO_V4, ctypes.byref(usage)):
        return None
    return usage


def footprint() -> int | None:
    """Bytes of memory that count as this process's now, Metal's included; a resident set leaves those out."""
    usage = _usage()
    return usage.phys_footprint if usage else None


def reset_peak_footprint() -> None:
    """Start a new peak where the system can (macOS 10.14 and later)."""
    library = _library()
    if library and hasattr(library, "proc_reset_footprint_interval"):
        library.proc_reset_footprint_interval(os.getpid())


def peak_footprint() -> int | None:
    """Bytes at the peak since the last reset; of the process's whole life where no reset was possible."""
    usage = _usage()
    return (usage.interval_max_phys_footprint or usage.lifetime_max_phys_footprint) if usage else None
