"""macOS tells about itself: a parser for each source, tried with what the tools print on several Macs."""

import ast
import sys
from pathlib import Path

import pytest
from machines import MACS, install

from twins.machine import macos

TOLD = {name: machine.answers() for name, machine in MACS.items()}
every_machine = pytest.mark.parametrize("name", MACS)
UNREADABLE = ["", "no", "Error: 5", "12..4", "(null)"]
TUPLES = {"14.6.1": (14, 6, 1), "26.1": (26, 1), "15": (15,), "16.0": (16, 0), "10.16": (10, 16)}


def clang_sized() -> int:
    """Bytes of rusage_info_v4: a UUID and 35 numbers of 64 bits, as <sys/resource.h> lists them."""
    return 16 + 35 * 8


def test_only_the_standard_library_and_python_3_9_are_needed():
    """`make doctor` reads this module before anything is installed."""
    tree = ast.parse(Path(macos.__file__).read_text(), feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} <= set(sys.stdlib_module_names)


@every_machine
def test_the_gpu_cores_of_every_machine(name):
    assert macos.gpu_cores(TOLD[name]["ioreg -rc AGXAccelerator"]) == MACS[name].gpu


@every_machine
def test_the_version_of_every_machine(name):
    expected = tuple(map(int, MACS[name].macos.split(".")))
    assert macos.version(TOLD[name]["sysctl -n kern.osproductversion"]) == expected
    assert macos.version(TOLD[name]["sw_vers -productVersion"]) == expected


@every_machine
def test_power_and_low_power_of_every_machine(name):
    machine = MACS[name]
    source = {"AC Power": "mains", "Battery Power": "battery"}[machine.battery]
    assert macos.power_source(TOLD[name]["pmset -g batt"]) == source
    low = bool(machine.low_power) if machine.portable else None  # a desktop has no such setting
    assert macos.low_power(TOLD[name]["pmset -g"]) is low


@every_machine
def test_thermal_pressure_and_swap_of_every_machine(name):
    notified = TOLD[name][f"notifyutil -g {macos.THERMAL}"]
    assert macos.thermal_pressure(notified) == MACS[name].pressure
    assert macos.swapped(TOLD[name]["vm_stat"]) == (2048 + 4096) * 16384  # Pageins are not among them


@pytest.mark.parametrize(("text", "numbers"), TUPLES.items())
def test_versions_are_numbers(text, numbers):
    assert macos.version(text) == numbers


@pytest.mark.parametrize(
    "parser",
    [
        macos.gpu_cores,
        macos.version,
        macos.power_source,
        macos.low_power,
        macos.swapped,
        macos.thermal_pressure,
        macos.wheel_system,
    ],
)
@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_not_readable_is_none(parser, text):
    assert parser(text) is None


@pytest.mark.parametrize(
    ("settings", "low"),
    [
        (" lowpowermode         1\n", True),
        (" lowpowermode         0\n", False),
        (" powermode            1\n", True),
        (" powermode            2\n", False),  # high power
        (" displaysleep         1\n", None),
    ],
)
def test_low_power_mode_by_both_names(settings, low):
    assert macos.low_power(f"Currently in use:\n{settings} sleep                1\n") is low


@pytest.mark.parametrize(
    ("tag", "system"),
    [
        ("py3-none-macosx_15_0_arm64", (15, 0)),
        ("py3-none-macosx_26_0_arm64", (26, 0)),
        ("cp311-cp311-manylinux_2_35_x86_64", None),
    ],
)
def test_the_system_of_a_wheel(tag, system):
    assert macos.wheel_system(tag) == system


@pytest.mark.parametrize(("pages", "size"), [("16384", 16384), ("4096", 4096)])
def test_swap_is_in_pages_of_the_system(pages, size):
    text = f"(page size of {pages} bytes)\nPageins: 7.\nPageouts: 9.\nSwapins: 3.\nSwapouts: 2."
    assert macos.swapped(text) == 5 * size


# --- tools and system calls ------------------------------------------------------------------------


def tool(folder: Path, script: str) -> None:
    """A command `tool` in a folder."""
    (folder / "tool").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "tool").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "told"),
    [("echo ' 12 '", "12"), ("echo no; exit 1", ""), ("exec sleep 5", ""), ("", "")],
)
def test_a_tool_that_fails_or_hangs_says_nothing(monkeypatch, tmp_path, script, told):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool(tmp_path, script)
    assert macos.output("tool", seconds=1.0 if "sleep" in script else 30.0) == told
    assert macos.output("no-such-tool") == ""


def test_a_tool_that_cannot_be_run_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "tool").write_bytes(b"\x7fELF of another processor")
    (tmp_path / "tool").chmod(0o755)
    assert macos.output("tool") == ""


@every_machine
def test_a_machine_is_read_through_its_tools(monkeypatch, tmp_path, name):
    machine = MACS[name]
    monkeypatch.setenv("PATH", f"{install(name, tmp_path)}:/usr/bin:/bin")
    assert macos.sysctl("machdep.cpu.brand_string") == machine.chip
    assert macos.sysctl("no.such.name") == ""
    assert macos.product_version() == tuple(map(int, machine.macos.split(".")))
    assert macos.rosetta() is bool(machine.translated)
    assert macos.xctest() is (machine.xcode == "Xcode")


def test_the_version_comes_from_sw_vers_where_sysctl_has_none(monkeypatch):
    answers = {("sysctl", "-n", "kern.osproductversion"): "", ("sw_vers", "-productVersion"): "14.6.1"}
    monkeypatch.setattr(macos, "output", lambda *command, **_: answers[command])
    assert macos.product_version() == (14, 6, 1)


def test_the_systems_count_of_a_process_is_laid_out_as_its_header_says():
    usage = macos.Usage
    assert usage.later.offset == clang_sized()
    assert usage.resident_size.offset == 64
    assert usage.phys_footprint.offset == 72
    assert usage.lifetime_max_phys_footprint.offset == 240
    assert usage.interval_max_phys_footprint.offset == 280


class Library:
    """proc_pid_rusage and, where the system has it, the reset of its interval."""

    def __init__(self, fails: int = 0, **sizes: int):
        self.fails, self.sizes, self.resets = fails, sizes, 0

    def proc_pid_rusage(self, pid: int, flavour: int, buffer: object) -> int:
        assert flavour == 4
        for name, size in self.sizes.items():
            setattr(buffer._obj, name, size)
        return self.fails

    def proc_reset_footprint_interval(self, pid: int) -> None:
        self.resets += 1


SIZES = {"phys_footprint": 5, "lifetime_max_phys_footprint": 9}


@pytest.mark.parametrize(
    ("library", "now", "peak"),
    [
        (Library(**SIZES, interval_max_phys_footprint=7), 5, 7),
        (Library(**SIZES), 5, 9),  # no interval: the peak of the process's life
        (Library(fails=-1, **SIZES), None, None),
        (None, None, None),
    ],
)
def test_the_footprint_is_the_systems_count_or_not_readable(monkeypatch, library, now, peak):
    monkeypatch.setattr(macos, "_library", lambda: library)
    assert (macos.footprint(), macos.peak_footprint()) == (now, peak)
    macos.reset_peak_footprint()
    assert library is None or library.resets == 1
