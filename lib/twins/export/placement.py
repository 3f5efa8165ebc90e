"""Where Core ML runs a package's operations, how fast it loads and predicts, by compute unit: on macOS.

Other systems have no Core ML; there the same tables say "needs macOS".
https://apple.github.io/coremltools/docs-guides/source/mlmodel-utilities.html and
https://developer.apple.com/documentation/coreml/mlcomputeplan
"""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pandas as pd
from coremltools.models import compute_plan

from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.comparison import COMPUTE_UNITS
from twins.records.record_types import Timing
from twins.timing import harness, statistics
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN

NEEDS = "needs macOS"
NO_UNITS = "needs a Mac that is not virtual"
PREDICTION, LOADING = "Core ML prediction", "Core ML load"
DEVICES = {
    "MLCPUComputeDevice": "CPU",
    "MLGPUComputeDevice": "GPU",
    "MLNeuralEngineComputeDevice": "Neural Engine",
}


def available() -> bool:
    """Whether Core ML is here."""
    return native_core_ml.here()


def note() -> str:
    """Whether Core ML's own speed can be measured on this machine, in one sentence."""
    if available():
        return "Core ML runs here, so placement, latency and load time are measured."
    system = platform.system()
    return f"Core ML runs on macOS alone; this is {system}, so the tables below say what is missing."


def plan_of(package: Path, unit: str) -> Any:
    """Core ML's plan for a package on a compute unit: compiled first, which the plan needs."""
    compiled = ct.utils.compile_model(str(package))
    return compute_plan.MLComputePlan.load_from_path(compiled, compute_units=ct.ComputeUnit[unit])


def operations(plan: Any) -> Iterator[Any]:
    """Every operation of an ML Program's plan, those of nested blocks too, constants left out."""

    def within(block: Any) -> Iterator[Any]:
        for each in block.operations:
            if each.operator_name.rpartition(".")[2] != "const":
                yield each
            for inner in each.blocks:
                yield from within(inner)

    for function in plan.model_structure.program.functions.values():
        yield from within(function.block)


def placed(plan: Any) -> pd.DataFrame:
    """A row per operation: its kind, the preferred device, those that could, its share of the cost."""
    rows = []
    for each in operations(plan):
        usage = plan.get_compute_device_usage_for_mlprogram_operation(each)
        cost = plan.get_estimated_cost_for_mlprogram_operation(each)
        runs_on = device(usage.preferred_compute_device) if usage else "not told"
        could = ", ".join(map(device, usage.supported_compute_devices)) if usage else "–"
        named = each.operator_name.rpartition(".")[2], ", ".join(output.name for output in each.outputs)
        rows.append((*named, runs_on, could, cost.weight if cost else np.nan))
    return pd.DataFrame(rows, columns=["operation", "result", "runs on", "could run on", "cost"])


def device(found: Any) -> str:
    """A compute device's name. Errors: ValueError for one that is not known."""
    kind = type(found).__name__
    if kind not in DEVICES:
        raise ValueError(f"compute device {kind} is not known; known are {', '.join(DEVICES)}")
    return DEVICES[kind]


def missing(package: str | Path, unit: str = "CPU_ONLY") -> str:
    """What a package on a compute unit needs and this system lacks ("needs macOS 15"); empty if nothing."""
    if not available():
        return NEEDS
    if needed := native_core_ml.too_old(package) or native_core_ml.library():
        return needed
    return NO_UNITS if unit != "CPU_ONLY" and native_core_ml.virtual() else ""


def missing_for_plan(package: str | Path, unit: str) -> str:
    """What Core ML's plan for a package on a compute unit needs and this system lacks; empty if nothing."""
    if not available():
        return NEEDS
    if needed := native_core_ml.too_old(package, native_core_ml.COMPUTE_PLAN):
        return needed
    return native_core_ml.LIBRARY if compute_plan._MLComputePlanProxy is None else missing(package, unit)


def placement_table(packages: Mapping[str, Path], units: Sequence[str] = COMPUTE_UNITS) -> pd.DataFrame:
    """How many operations of each package run where, by compute unit, or what that needs."""
    rows = []
    for label, package in packages.items():
        for unit in units:
            named = {"package": label, "compute units": unit}
            if needed := missing_for_plan(package, unit):
                rows.append(named | dict.fromkeys((*DEVICES.values(), "not told"), needed))
            else:
                count = Counter(placed(plan_of(package, unit))["runs on"])
                rows.append(named | {name: str(count[name]) for name in (*DEVICES.values(), "not told")})
    return pd.DataFrame(rows)


def operation_table(package: Path, unit: str = "ALL") -> pd.DataFrame:
    """Every operation of one package with its device, or one row that says why Core ML cannot report it."""
    if needed := missing_for_plan(package, unit):
        return pd.DataFrame(
            [{"operation": "all"} | dict.fromkeys(("runs on", "could run on", "cost"), needed)]
        )
    return placed(plan_of(package, unit))


def load_core_ml(package: str, unit: str) -> Any:
    """Core ML's own model of a package, compiled and ready."""
    return native_core_ml.model(package, unit)


def _inputs(package: str) -> dict[str, np.ndarray]:
    from coreml_runtime import load
    from mlx_coreml.swift.swift_package import noise

    return noise(load(package))


def _nothing() -> None:
    """A prediction has returned when its result is there."""


def prediction_variants(package: str, units: Sequence[str]) -> dict[str, Variant]:
    """One prediction per compute unit, and the first unit again for A/A."""
    inputs = _inputs(package)
    names = [*((unit, unit) for unit in units), (f"{units[0]}{AGAIN}", units[0])]
    models = {name: load_core_ml(package, unit) for name, unit in names}
    return {name: Variant(lambda m=model: m.predict(inputs), _nothing) for name, model in models.items()}


def loading_variants(package: str, units: Sequence[str]) -> dict[str, Variant]:
    """Loading a package per compute unit, compilation included, and the first unit again for A/A."""
    names = [*((unit, unit) for unit in units), (f"{units[0]}{AGAIN}", units[0])]
    return {name: Variant(lambda u=unit: load_core_ml(package, u), _nothing) for name, unit in names}


ARMS = {PREDICTION: "prediction_variants", LOADING: "loading_variants"}


def timings(
    packages: Mapping[str, Path], plan: harness.Plan, units: Sequence[str] = COMPUTE_UNITS
) -> Iterator[Timing]:
    """Raw samples of predicting with and of loading each package that Core ML runs, in fresh processes."""
    for label, package in packages.items():
        there = [unit for unit in units if not missing(package, unit)]
        for subject, variants in ARMS.items() if there else ():
            arguments = {"package": str(package), "units": there}
            runs = harness.measure(f"twins.export.placement:{variants}", arguments, plan)
            yield Timing(subject, {"package": label, "units": there}, [asdict(run) for run in runs])


def latency_table(
    records: Sequence[Timing], packages: Mapping[str, Path], units: Sequence[str] = COMPUTE_UNITS
) -> pd.DataFrame:
    """Median milliseconds of predicting and loading by compute unit, or what that needs."""
    rows = []
    for label, package in packages.items():
        for unit in units:
            told = {subject: _told(records, subject, label, unit) for subject in ARMS}
            cells = {f"{subject}, ms": ms or missing(package, unit) for subject, ms in told.items()}
            rows.append({"package": label, "compute units": unit} | cells)
    return pd.DataFrame(rows)


def _told(records: Sequence[Timing], subject: str, label: str, unit: str) -> str:
    for each in records:
        if each.subject == subject and each.case["package"] == label and unit in each.case["units"]:
            runs = [statistics.run_from(run) for run in each.runs]
            return f"{1e3 * statistics.median(runs, unit):.3g}"
    return ""
