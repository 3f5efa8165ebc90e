"""The routes to Core ML, each a list of named steps: from PyTorch directly and through ONNX, and from MLX.

A route runs step by step, so that a failure names its step and has its error message.
https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html and
https://docs.pytorch.org/docs/2.13/onnx.html
"""

import importlib.util
import inspect
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import coremltools as ct
import torch

from coreml_runtime import inspect as package
from mlx_coreml.backends.coreai import installed
from twins.export.steps import core_ai
from twins.export.steps.job import Job
from twins.records.export_types import FROM_MLX, FROM_TORCH

ONNX = "network.onnx"
PROVIDER = "CoreMLExecutionProvider"  # of ONNX Runtime, on macOS


def trace(job: Job, _: None) -> torch.jit.ScriptModule:
    """Record the operations of one call."""
    with torch.no_grad():
        return torch.jit.trace(job.model.eval(), tuple(job.example))


def export(job: Job, _: None) -> torch.export.ExportedProgram:
    """Capture the whole graph."""
    with torch.no_grad():
        return torch.export.export(job.model.eval(), tuple(job.example))


def decompose(job: Job, program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Write the graph in ATen's core operations, which coremltools knows."""
    return program.run_decompositions({})


def convert(job: Job, source: Any) -> ct.models.MLModel:
    """Translate the graph to Core ML."""
    return ct.convert(source, **job.options())


def save(job: Job, model: ct.models.MLModel) -> Path:
    """Write the package for Xcode."""
    path = job.folder / "network.mlpackage"
    model.save(str(path))
    return path


def onnx_export(job: Job, _: None) -> Path:
    """Write the network as ONNX, through torch.export."""
    path = job.folder / ONNX
    with torch.no_grad():
        torch.onnx.export(job.model.eval(), tuple(job.example), str(path), dynamo=True, verbose=False)
    return path


def onnx_trace(job: Job, _: None) -> Path:
    """Write the network as ONNX, through the older tracing exporter."""
    path = job.folder / ONNX
    with torch.no_grad():
        torch.onnx.export(job.model.eval(), tuple(job.example), str(path), dynamo=False, opset_version=17)
    return path


def onnx_simplify(job: Job, path: Path) -> Any:
    """Fold constants and remove operations that ONNX's exporters leave over."""
    import onnx
    import onnxsim

    return onnxsim.simplify(onnx.load(str(path)))[0]


def onnx_to_coreml(job: Job, network: Any) -> Path:
    """Write the ONNX graph as a package, without PyTorch or coremltools' converter."""
    import onnxsim

    path = job.folder / "network.mlpackage"
    onnxsim.export_coreml(network, str(path))
    return path


def onnx_to_torch(job: Job, path: Path) -> torch.nn.Module:
    """Build a PyTorch module of the ONNX graph again."""
    import onnx2torch

    return onnx2torch.convert(str(path))


def trace_again(job: Job, module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Record the operations of the rebuilt module."""
    with torch.no_grad():
        return torch.jit.trace(module.eval(), tuple(job.example))


def onnx_front_end(job: Job, path: Path) -> ct.models.MLModel:
    """Give the ONNX file to coremltools, as its documentation had it up to version 5."""
    return ct.convert(str(path), source="onnx", **job.options())


def run_in_onnxruntime(job: Job, path: Path) -> None:
    """Run the ONNX file on Core ML's CPU inside ONNX Runtime, which writes no package."""
    import onnxruntime

    if needed := _without_core_ml():
        raise RuntimeError(needed)
    options = {"MLComputeUnits": "CPUOnly"}  # whether it runs, not where; other units may compile for minutes
    session = onnxruntime.InferenceSession(str(path), providers=[(PROVIDER, options)])
    feeds = {i.name: x.numpy() for i, x in zip(session.get_inputs(), job.example, strict=True)}
    session.run(None, feeds)


def _without_core_ml() -> str:
    """What ONNX Runtime lacks here for Core ML, in words; empty where it has it."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return (
        "" if PROVIDER in there else f"needs macOS: ONNX Runtime has {', '.join(there)} here, not {PROVIDER}"
    )


def _without_core_ai(route: str) -> str:
    """What a route to Core AI lacks here, in one sentence; empty where it has all."""
    lacks = [f"{installed.PACKAGE} {installed.RELEASE}"] if installed.missing() else []
    if route == FROM_TORCH and importlib.util.find_spec("coreai_torch") is None:
        lacks.append("coreai-torch")
    return f"{' and '.join(lacks)} is not installed here: {installed.INSTALL}." if lacks else ""


def mlx_direct(job: Job, _: None, check: bool = False) -> ct.models.MLModel:
    """Capture, clean up and translate the MLX module in one call."""
    from mlx_coreml.conversion.convert import convert as direct

    target = job.target.name
    return direct(job.model, *job.example, deployment_target=target, precision=job.precision, check=check)


ROUTES: dict[str, tuple[Callable, ...]] = {
    "PyTorch, torch.export": (export, decompose, convert, save),
    "PyTorch, torch.jit.trace": (trace, convert, save),
    "PyTorch, ONNX, onnxsim": (onnx_export, onnx_simplify, onnx_to_coreml),
    "PyTorch, ONNX (tracing), onnxsim": (onnx_trace, onnx_simplify, onnx_to_coreml),
    "PyTorch, ONNX, onnx2torch": (onnx_trace, onnx_to_torch, trace_again, convert, save),
    "PyTorch, ONNX, coremltools": (onnx_trace, onnx_front_end, save),
    "PyTorch, ONNX, ONNX Runtime": (onnx_export, run_in_onnxruntime),
    "MLX direct": (mlx_direct, save),
}
CORE_AI: dict[str, tuple[Callable, ...]] = {
    FROM_MLX: (core_ai.mlx_to_core_ai, core_ai.save_asset),
    FROM_TORCH: (
        *(core_ai.export_typed, core_ai.decompose_for_core_ai),
        *(core_ai.torch_to_core_ai, core_ai.save_asset),
    ),
}
ALL = ROUTES | CORE_AI
WITHOUT_PACKAGE = ("PyTorch, ONNX, ONNX Runtime",)
REMOVED = "PyTorch, ONNX, coremltools"  # its reader of ONNX, which is no more
OWN_PRECISION = ("PyTorch, ONNX, onnxsim", "PyTorch, ONNX (tracing), onnxsim")  # they are asked for none
NEEDS = {"PyTorch, ONNX, onnx2torch": "onnx2torch"}  # kept apart: it pulls torchvision, which moves torch


def exported_by(exporters: Sequence[str]) -> list[str]:
    """The routes but for those through an exporter to ONNX that is not named: "dynamo" or "tracing"."""
    through = {"dynamo": onnx_export, "tracing": onnx_trace}
    out = [step for name, step in through.items() if name not in exporters]
    return [name for name, steps in ROUTES.items() if steps[0] not in out or name in WITHOUT_PACKAGE]


def code(route: str) -> str:
    """The code of a route: a function per step, each of which gets the result of the step before."""
    return "\n\n".join(inspect.getsource(step).strip() for step in ALL[route])


def framework(route: str) -> str:
    """The framework a route starts from."""
    return route.partition(",")[0].partition(" ")[0]


def follow(
    route: str, job: Job, seconds: dict[str, float], gives: dict[str, str] | None = None
) -> tuple[Any, list[str]]:
    """Take the steps of a route: the last result and the warnings.

    `seconds` gets the time of each step and `gives` its result in words, which is in no time.
    """
    value = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", ResourceWarning)  # of temporary folders: no advice to a user
        for step in ALL[route]:
            start = time.perf_counter()
            value = step(job, value)
            seconds[step.__name__] = time.perf_counter() - start
            if gives is not None:
                gives[step.__name__] = described(value)
    return value, list(dict.fromkeys(str(each.message).strip().splitlines()[0] for each in told))


def described(value: Any) -> str:
    """The result of a step, in words. Errors: ValueError for a value that no step returns."""
    if value is None:
        return "a prediction, no package"
    if isinstance(value, torch.jit.ScriptModule):
        return f"TorchScript, {len(list(value.inlined_graph.nodes()))} nodes"
    if isinstance(value, torch.export.ExportedProgram):
        calls = [node for node in value.graph.nodes if node.op == "call_function"]
        return f"ExportedProgram, {len(calls)} calls of {len({str(c.target) for c in calls})} kinds"
    if isinstance(value, ct.models.MLModel):
        (block,) = value.get_spec().mlProgram.functions["main"].block_specializations.values()
        return f"ML Program, {sum(each.type != 'const' for each in block.operations)} operations"
    if told := core_ai.described(value):
        return told
    if isinstance(value, torch.nn.Module):
        return f"PyTorch module, {len(list(value.modules()))} parts"
    if isinstance(value, Path) and value.suffix == ".mlpackage":
        found = package(value)
        return (
            f"package, {found.size / 1024:,.0f} KiB, "
            f"{', '.join(map(str, found.inputs))} to {', '.join(map(str, found.outputs))}"
        )
    if isinstance(value, Path):
        import onnx

        value = onnx.load(str(value))
    if hasattr(value, "opset_import"):
        return f"ONNX graph, {len(value.graph.node)} nodes, operator set {value.opset_import[0].version}"
    raise ValueError(f"no step of a route gives {type(value).__name__}")


def absent(route: str) -> str:
    """Why a route cannot be taken in this environment, in one sentence; empty when it can."""
    if route in WITHOUT_PACKAGE:
        return _without_core_ml()
    if route in CORE_AI:
        return _without_core_ai(route)
    needed = NEEDS.get(route)
    if needed and importlib.util.find_spec(needed) is None:
        why = "it needs torchvision, whose wheel replaces torch; it was run in a separate environment"
        return f"{needed} is not installed here: {why}."
    return ""
