"""A route taken step by step in this process, with a description of every step's result.

The timed conversions run in processes of their own (conversions.py); here nothing is timed.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coremltools as ct
import pandas as pd

from coreml_runtime import inspect
from twins.export import conversions, routes, trained_models
from twins.export.trained_models import Trained

import torch  # isort: skip  (after twins.export.trained_models: the BLAS)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Suppress progress bars and warnings, which are in the records."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def walk(route: str, model: Trained, precision: str = "float16") -> pd.DataFrame:
    """What every step of a route gives for one model, a row each: what it is, and how large.

    The last row is no step of the route: the package is run and compared with the model, as every package is.
    """
    half, example = trained_models.half(str(model.folder), routes.framework(route))
    value, rows = None, []
    with tempfile.TemporaryDirectory() as folder, silent():
        job = routes.Job(half, example, ct.target.iOS17, precision, Path(folder))
        for number, step in enumerate(routes.ROUTES[route], 1):
            value = step(job, value)
            does = step.__doc__.strip().rstrip(".")
            rows.append(
                {"step": f"{number}. {step.__name__}", "what it does": does, "gives": described(value)}
            )
        report = conversions.checked(half, example, value, routes.framework(route))
        line = {"gives": conversions.line_of(report)}
        rows.append({"step": "check", "what it does": "Run the package and compare it with the model"} | line)
    return pd.DataFrame(rows)


def described(value: Any) -> str:
    """The result of a step, in words. Errors: ValueError for a value that no step returns."""
    if isinstance(value, torch.jit.ScriptModule):
        return f"TorchScript, {len(list(value.inlined_graph.nodes()))} nodes"
    if isinstance(value, torch.export.ExportedProgram):
        calls = [node for node in value.graph.nodes if node.op == "call_function"]
        return f"ExportedProgram, {len(calls)} calls of {len({str(c.target) for c in calls})} kinds"
    if isinstance(value, ct.models.MLModel):
        (block,) = value.get_spec().mlProgram.functions["main"].block_specializations.values()
        return f"ML Program, {sum(each.type != 'const' for each in block.operations)} operations"
    if isinstance(value, Path) and value.suffix == ".mlpackage":
        found = inspect(value)
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


def codes(names: tuple[str, ...]) -> str:
    """The code of some routes, as Markdown."""
    return "\n\n".join(f"**{name}**\n\n```python\n{routes.code(name)}\n```" for name in names)
