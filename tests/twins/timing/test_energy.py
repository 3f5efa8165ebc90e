"""Energy: joules per call from whatever meter there is, and a sentence where there is none."""

import platform
import sys
import types

import pytest

from twins.records.record_types import Energy
from twins.timing import energy
from twins.timing.harness import Variant


def counted():
    """An variant that counts its calls, and a meter that reads two joules for each."""
    calls = []

    def window(work):
        work()
        return 2.0 * len(calls)

    return Variant(lambda: calls.append(1), lambda: None), window


def test_joules_are_those_of_the_window_over_its_calls():
    variant, window = counted()
    assert energy.per_call(variant, 0.01, window) == 2.0


@pytest.mark.parametrize(
    ("measurement", "joules"),
    [
        ({"soc_energy": types.SimpleNamespace(cpu_total_mj=500, gpu_mj=1500, dram_mj=None)}, 2.0),
        ({"soc_energy": None, "total_energy": 7.0}, 7.0),
    ],
)
def test_a_window_reads_apples_parts_or_the_card(monkeypatch, measurement, joules):
    apple = measurement.get("soc_energy")
    if apple is not None:
        vars(apple).update({part: getattr(apple, part, None) for part in energy.APPLE_PARTS})
    monitor = types.SimpleNamespace(
        begin_window=lambda name, sync_execution: None,
        end_window=lambda name, sync_execution: types.SimpleNamespace(**measurement),
    )
    module = types.ModuleType("zeus.monitor")
    module.ZeusMonitor = lambda: monitor
    monkeypatch.setitem(sys.modules, "zeus", types.ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    assert energy._window(lambda: None) == joules


@pytest.mark.parametrize(
    ("system", "device", "installed", "told"),
    [
        ("Linux", "cpu", True, "needs Apple silicon or an NVIDIA GPU"),
        ("Linux", "cuda", False, "zeus is not installed"),
        ("Darwin", "mps", False, "zeus and zeus_apple_silicon is not installed"),
        ("Linux", "cuda", True, ""),
        ("Darwin", "mps", True, ""),
    ],
)
def test_where_energy_cannot_be_read_one_sentence_says_why(monkeypatch, system, device, installed, told):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(energy.TORCH, "device", device)
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: installed or None)
    assert told in energy.fault()
    assert bool(energy.fault()) == bool(told)
    assert bool(list(energy.records("token", "nowhere:variants", {}, [], {}))) is False


def test_no_process_is_started_where_none_can_be_read(monkeypatch):
    monkeypatch.setattr(energy, "fault", lambda: "Not here.")
    assert list(energy.records("token", "nowhere:variants", {}, ["MLX"], {})) == []


def test_the_table_holds_a_row_per_variant():
    found = energy.table([Energy("token", {}, "MLX eager", 0.5, "a meter")])
    assert found.to_dict("records") == [{"what": "token", "variant": "MLX eager", "joules": 0.5}]
    assert energy.table([]).empty


def test_records_are_made_in_a_process_each(monkeypatch):
    asked = []
    monkeypatch.setattr(energy, "fault", lambda: "")
    monkeypatch.setattr(
        energy.fresh_process, "call", lambda target, arguments: asked.append(arguments["only"]) or 1.5
    )
    found = list(energy.records("token", "a:b", {}, ["MLX", "PyTorch"], {"batch": 1}))
    assert asked == ["MLX", "PyTorch"]
    assert [(r.arm, r.joules) for r in found] == [("MLX", 1.5), ("PyTorch", 1.5)]
