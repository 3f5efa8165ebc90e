"""The macOS branch with a Core ML that is the reference runtime, and a plan of the documented shape."""

from types import SimpleNamespace

import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import convert
from twins.export import placement
from twins.frameworks import mx
from twins.timing import harness, statistics

UNITS = ("CPU_ONLY", "ALL")


@pytest.fixture
def mac(monkeypatch):
    """A Mac with Core ML, as far as this module asks."""
    monkeypatch.setattr(placement, "available", lambda: True)
    monkeypatch.setattr(placement.native_core_ml, "version", lambda: (15, 5))
    monkeypatch.setattr(placement.native_core_ml, "library", lambda: "")
    monkeypatch.setattr(placement.native_core_ml, "virtual", lambda: False)
    monkeypatch.setattr(placement.compute_plan, "_MLComputePlanProxy", object)


class MLCPUComputeDevice:
    pass


class MLNeuralEngineComputeDevice:
    pass


def operation(name, *blocks):
    named = SimpleNamespace(name=f"{name}_0", type=None)
    return SimpleNamespace(operator_name=f"ios17.{name}", outputs=[named], inputs={}, blocks=list(blocks))


class Plan:
    """Two operations and one inside a branch; the softmax's device is not told."""

    def __init__(self):
        inner = SimpleNamespace(operations=[operation("relu")], inputs=[], output_names=[])
        own = [operation("const"), operation("linear"), operation("cond", inner), operation("softmax")]
        block = SimpleNamespace(operations=own, inputs=[], output_names=[])
        program = SimpleNamespace(functions={"main": SimpleNamespace(inputs=[], block=block)})
        self.model_structure = SimpleNamespace(program=program, neuralnetwork=None, pipeline=None)

    def get_compute_device_usage_for_mlprogram_operation(self, each):
        if each.operator_name.endswith("softmax"):
            return None
        cpu, engine = MLCPUComputeDevice(), MLNeuralEngineComputeDevice()
        best = engine if each.operator_name.endswith("linear") else cpu
        return SimpleNamespace(preferred_compute_device=best, supported_compute_devices=[cpu, engine])

    def get_estimated_cost_for_mlprogram_operation(self, each):
        return SimpleNamespace(weight=0.75) if each.operator_name.endswith("linear") else None


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("placement") / "linear.mlpackage"
    convert(nn.Linear(4, 3), mx.zeros((1, 4))).save(str(path))
    return path


def test_off_macos_the_tables_say_so(monkeypatch):
    monkeypatch.setattr(placement, "available", lambda: False)
    packages = {"a": "a.mlpackage"}
    assert set(placement.placement_table(packages, UNITS)["Neural Engine"]) == {"needs macOS"}
    assert list(placement.timings(packages, harness.Plan(1, 1))) == []
    table = placement.latency_table([], packages, UNITS)
    assert set(table["Core ML prediction, ms"]) == {"needs macOS"}
    assert "macOS alone" in placement.note()
    assert placement.operation_table("a.mlpackage")["runs on"][0] == "needs macOS"


def test_operations_are_placed_one_by_one():
    table = placement.placed(Plan())
    assert list(table["operation"]) == ["linear", "cond", "relu", "softmax"]
    assert list(table["runs on"]) == ["Neural Engine", "CPU", "CPU", "not told"]
    assert table["cost"][0] == 0.75
    assert table["cost"].isna().sum() == 3


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="compute device int is not known; known are MLCPU"):
        placement.device(3)


@pytest.mark.usefixtures("mac")
def test_on_macos_the_plan_of_the_compiled_package_is_counted(monkeypatch, package):
    asked = []

    def plan(compiled, compute_units):
        asked.append((compiled, compute_units.name))
        return Plan()

    monkeypatch.setattr(placement.ct.utils, "compile_model", lambda path: f"{path}c")
    monkeypatch.setattr(placement.compute_plan.MLComputePlan, "load_from_path", plan)
    table = placement.placement_table({"linear": package}, UNITS)
    assert asked == [(f"{package}c", unit) for unit in UNITS]
    assert list(table["CPU"]) == ["2", "2"]
    assert list(table["Neural Engine"]) == ["1", "1"]
    assert list(table["GPU"]) == ["0", "0"]


@pytest.mark.usefixtures("mac")
def test_on_macos_raw_samples_are_recorded_by_unit(monkeypatch, package):
    here = {"twins.export.placement:prediction_variants": placement.prediction_variants}
    here["twins.export.placement:loading_variants"] = placement.loading_variants
    monkeypatch.setattr(placement, "load_core_ml", lambda path, unit: load(path))

    def in_this_process(variants, arguments, plan):
        with harness.conditions.watch() as seen:
            samples = harness.interleave(here[variants](**arguments), plan, np.random.default_rng(0))
        return [statistics.Run(samples, seen())]

    monkeypatch.setattr(harness, "measure", in_this_process)
    records = list(placement.timings({"linear": package}, harness.Plan(1, 1), UNITS))
    assert [r.subject for r in records] == ["Core ML prediction", "Core ML load"]
    assert set(records[0].runs[0]["arms"]) == {"CPU_ONLY", "ALL", "CPU_ONLY again"}
    assert all(value > 0 for value in records[0].runs[0]["arms"]["ALL"]["wall"])
    assert "needs macOS" not in set(placement.latency_table(records, {"linear": package}, UNITS).iloc[0])


@pytest.mark.parametrize(
    ("version", "plan", "prediction"),
    [
        ((13, 6), "needs macOS 14.4", "needs macOS 14"),
        ((14, 1), "needs macOS 14.4", ""),
        ((14, 4), "", ""),
        ((26, 1), "", ""),
        ((), "", ""),  # not readable: Core ML will say
    ],
)
@pytest.mark.usefixtures("mac")
def test_what_an_older_macos_cannot_do_is_said(monkeypatch, package, version, plan, prediction):
    monkeypatch.setattr(placement.native_core_ml, "version", lambda: version)
    assert placement.missing_for_plan(package, "ALL") == plan
    assert placement.missing(package) == prediction
    if plan:
        assert set(placement.placement_table({"a": package}, UNITS)["CPU"]) == {plan}
        assert placement.operation_table(package)["runs on"][0] == plan
    if prediction:
        assert list(placement.timings({"a": package}, harness.Plan(1, 1), UNITS)) == []


@pytest.mark.usefixtures("mac")
def test_a_virtual_mac_is_asked_for_its_cpu_alone(monkeypatch, package):
    """Compiling for a Neural Engine that is not there can hang."""
    asked = []
    monkeypatch.setattr(placement.native_core_ml, "virtual", lambda: True)
    monkeypatch.setattr(placement, "plan_of", lambda path, unit: asked.append(unit) or Plan())
    run = statistics.Run({}, {})
    monkeypatch.setattr(
        harness, "measure", lambda variants, arguments, plan: asked.append(arguments["units"]) or [run]
    )
    assert list(placement.placement_table({"a": package}, UNITS)["CPU"]) == ["2", placement.NO_UNITS]
    assert placement.operation_table(package)["runs on"][0] == placement.NO_UNITS
    list(placement.timings({"a": package}, harness.Plan(1, 1), UNITS))
    assert asked == ["CPU_ONLY", ["CPU_ONLY"], ["CPU_ONLY"]]
    assert (
        list(placement.latency_table([], {"a": package}, UNITS)["Core ML load, ms"])[1] == placement.NO_UNITS
    )


@pytest.mark.usefixtures("mac")
def test_a_mac_without_coremltools_own_library_is_told(monkeypatch, package):
    monkeypatch.setattr(placement.compute_plan, "_MLComputePlanProxy", None)
    assert set(placement.placement_table({"a": package}, UNITS)["GPU"]) == {placement.native_core_ml.LIBRARY}
    monkeypatch.undo()
    monkeypatch.setattr(placement, "available", lambda: True)
    monkeypatch.setattr(placement.native_core_ml.model_module(), "_MLModelProxy", None)
    assert list(placement.timings({"a": package}, harness.Plan(1, 1), UNITS)) == []
    table = placement.latency_table([], {"a": package}, UNITS)
    assert set(table["Core ML load, ms"]) == {placement.native_core_ml.LIBRARY}
