"""What is read of a machine during a measurement, and which of it is said on the page."""

import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from machines import MACS, install

from twins.machine import conditions, macos
from twins.machine.conditions import Conditions
from twins.timing import statistics

QUIET = Conditions(
    cores=4,
    load_before=3.9,
    others=1.9,
    swapped=0,
    memory_share=0.5,
    drift=1.0,
    throttled=0,
    power="mains",
)
UNSTEADY = "The clock was not steady: fixed work changed its time up to {}-fold (in 1 of 2 runs)."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"load_before": 4.5}, "The machine was busy: load up to 4.5 on 4 cores (in 1 of 2 runs)."),
        ({"others": 2.5}, "Other processes used up to 2.5 of 4 cores (in 1 of 2 runs)."),
        ({"swapped": 100 * 2**20}, "Memory was paged: up to 100 MB swapped (in 1 of 2 runs)."),
        ({"memory_share": 0.96}, "Memory was paged: up to 0 MB swapped (in 1 of 2 runs)."),
        (
            {"drift": 1.5},
            UNSTEADY.format("1.50"),
        ),
        (
            {"drift": 0.5},
            UNSTEADY.format("2.00"),
        ),
        ({"throttled": 3}, "The processor was throttled, up to 3 times in a run (in 1 of 2 runs)."),
        ({"pressure": 2}, "The system reported thermal pressure, up to level 2 of 4 (in 1 of 2 runs)."),
        ({"power": "battery"}, "The machine ran on battery (in 1 of 2 runs)."),
        ({"low_power": True}, "Low power mode was on (in 1 of 2 runs)."),
    ],
)
def test_each_disturbance_is_one_sentence(change, sentence):
    assert conditions.warnings([QUIET]) == []
    assert conditions.warnings([QUIET, replace(QUIET, **change)]) == [sentence]


def test_the_alarm_of_the_clock_is_as_tight_as_a_tie():
    assert conditions.DRIFT == statistics.TIE
    steady = [replace(QUIET, drift=drift) for drift in (0.96, 1.04)]
    assert conditions.warnings(steady) == []
    assert conditions.warnings([*steady, replace(QUIET, drift=1.06)]) != []


def test_what_could_not_be_read_disturbs_nothing():
    unread = replace(QUIET, swapped=None, pressure=None, low_power=None, power="not readable")
    assert conditions.warnings([unread]) == []
    assert conditions._grown(None, 5) is None
    assert (conditions._grown(3, 5), conditions._worst(None, 1), conditions._worst(None, None)) == (
        2,
        1,
        None,
    )


def test_the_worst_of_a_disturbance_is_told():
    seen = [replace(QUIET, load_before=load) for load in (5.0, 9.0, 1.0)]
    assert conditions.warnings(seen) == ["The machine was busy: load up to 9.0 on 4 cores (in 2 of 3 runs)."]


def test_watching_reads_this_machine():
    with conditions.watch() as seen:
        x = np.ones((256, 256)) @ np.ones((256, 256))
    read = seen()
    assert x[0, 0] == 256
    assert read.cores == psutil.cpu_count()
    assert 0 <= read.others <= read.cores + 1
    assert read.swapped >= 0
    assert 0 < read.memory_share < 1
    assert 0.01 < read.drift < 100
    assert read.throttled >= 0
    assert read.power in ("mains", "battery", "not readable")


def test_a_tick_of_every_core_is_not_another_process(monkeypatch):
    """In a block of microseconds one tick of 10 ms would read as a thousand cores."""
    monkeypatch.setattr(conditions, "_busy", iter([100.0, 100.0 + 0.01 * psutil.cpu_count()]).__next__)
    with conditions.watch() as seen:
        pass
    assert seen().others == pytest.approx(0, abs=1e-3)


def test_another_process_is_noticed():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        with conditions.watch() as seen:
            time.sleep(1)
        other.kill()
    assert seen().others > 0.3  # of a core: it had one, or others had them all


def test_a_child_that_ended_is_not_another_process():
    before = conditions._own()
    subprocess.run([sys.executable, "-c", "sum(range(4 * 10**7))"], check=True)
    assert conditions._own() - before > 0.1  # what the child used, this process slept


@pytest.mark.parametrize(
    ("battery", "told"),
    [
        (None, "not readable"),
        (SimpleNamespace(power_plugged=True), "mains"),
        (SimpleNamespace(power_plugged=False), "battery"),
    ],
)
def test_power(monkeypatch, battery, told):
    monkeypatch.setattr(macos, "here", lambda: False)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert conditions.power() == told


def test_the_system_is_named_without_the_host():
    named = conditions.system()
    assert named.endswith(")")
    assert socket.gethostname() not in named.split()


@pytest.mark.parametrize("name", MACS)
def test_a_mac_is_read_by_its_own_tools(monkeypatch, tmp_path, name):
    """What psutil counts as swap on macOS is the reading of files: it is not asked there."""
    monkeypatch.setenv("PATH", f"{install(name, tmp_path)}:/usr/bin:/bin")
    monkeypatch.setattr(macos, "here", lambda: True)
    monkeypatch.setattr(psutil, "swap_memory", lambda: pytest.fail("psutil was asked"))
    machine = MACS[name]
    with conditions.watch() as seen:
        pass
    read = seen()
    assert read.power == {"AC Power": "mains", "Battery Power": "battery"}[machine.battery]
    assert (read.pressure, read.swapped) == (machine.pressure, 0)
    assert read.low_power is (bool(machine.low_power) if machine.portable else None)
    assert conditions.system().startswith(f"macOS {machine.macos} (")
    told = " ".join(conditions.warnings([read]))
    spoiled = [f"up to level {machine.pressure}" in told, "on battery" in told, "Low power mode" in told]
    assert spoiled == [name == "m1-on-battery"] * 3


def test_a_mac_without_tools_is_not_readable_and_undisturbed(monkeypatch):
    monkeypatch.setattr(macos, "here", lambda: True)
    monkeypatch.setattr(macos, "output", lambda *command, **_: "")
    with conditions.watch() as seen:
        pass
    read = seen()
    assert (read.power, read.pressure, read.low_power, read.swapped) == ("not readable", None, None, None)


def test_runs_of_before_there_was_thermal_pressure_are_read():
    older = {k: v for k, v in asdict(QUIET).items() if k not in ("pressure", "low_power")}
    variants = {"MLX eager": {"first": 1.0, "wall": [1.0], "cpu": [1.0]}}
    assert statistics.run_from({"arms": variants, "conditions": older}).conditions == QUIET


def test_sleep_is_what_one_clock_counts_and_another_does_not(monkeypatch):
    """Linux and macOS give these clocks different names; where a system lacks them it tells no sleep."""
    assert -0.01 < conditions.asleep() - conditions.asleep() < 0.01
    clocks = {"CLOCK_BOOTTIME": 1, "CLOCK_MONOTONIC": 2, "CLOCK_UPTIME_RAW": 3}
    for name, number in clocks.items():
        monkeypatch.setattr(conditions.time, name, number, raising=False)
    monkeypatch.setattr(conditions.time, "clock_gettime", {1: 90.0, 2: 60.0, 3: 20.0}.get)
    monkeypatch.setattr(conditions.macos, "here", lambda: False)
    assert conditions.asleep() == 30
    monkeypatch.setattr(conditions.macos, "here", lambda: True)
    assert conditions.asleep() == 40
    monkeypatch.delattr(conditions.time, "CLOCK_UPTIME_RAW")
    assert conditions.asleep() == 0
