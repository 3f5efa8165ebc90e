"""Statements about export to Core ML, tried live: what works of what a statement says, and a control.

Converter: https://apple.github.io/coremltools/docs-guides/source/unified-conversion-api.html
File formats: https://apple.github.io/coremltools/docs-guides/source/comparing-ml-programs-and-neural-networks.html
Export in MLX: https://ml-explore.github.io/mlx/build/html/usage/export.html
"""

import contextlib
import inspect
import io
import re
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twins.frameworks import mx  # isort: skip  (its BLAS must be loaded before mlx.nn)
import mlx.nn
import mlx.optimizers
import mlx.utils
import torch

from coreml_runtime.format.specification import coremltools
from twins.records.record_types import Finding

ct = coremltools()  # quietly
mb = ct.converters.mil.Builder
PLACES = (mx, mlx.nn, mlx.nn.Module, mlx.utils, mlx.optimizers)  # where MLX's own export is looked for
CORE_ML = re.compile(r"core ?ml|mlpackage|mlmodel|mlprogram", re.IGNORECASE)


def checks() -> list[Finding]:
    """Every statement, tried now; `reproduced` says that it did not hold where the control worked."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(action="ignore"):
        return [direct_conversion(), own_export(), single_file()]


def direct_conversion() -> Finding:
    """Whether coremltools converts an MLX module as it is; the control is PyTorch's same layer, traced."""
    traced = torch.jit.trace(torch.nn.Linear(2, 2).eval(), torch.ones(1, 2))
    options = {"inputs": [ct.TensorType(shape=(1, 2))], "convert_to": "mlprogram", "skip_model_load": True}
    control = float(isinstance(ct.convert(traced, **options), ct.models.MLModel))
    try:
        ct.convert(mlx.nn.Linear(2, 2), **options)
        works, came = 1.0, "converted"
    except ValueError as refused:
        works, came = 0.0, str(refused).partition(" Note ")[0]
    told = f"coremltools {ct.__version__} with an mlx.nn.Linear of MLX {mx.__version__}: {came}"
    name, measure = "coremltools converts an MLX module", "models that are converted, of one"
    return Finding(name, measure, works, control, works < control, told)


def own_export() -> Finding:
    """Public functions of MLX that speak of Core ML; the control is how many write a file at all."""
    names = {
        f"{p.__name__}.{n}": e for p in PLACES for n, e in vars(p).items() if n[0] != "_" and callable(e)
    }
    found = [name for name, entry in names.items() if CORE_ML.search(f"{name} {inspect.getdoc(entry)}")]
    written = [name for name in names if name.rpartition(".")[2].startswith(("export", "save"))]
    told = f"MLX {mx.__version__}: {len(names)} public functions were looked through; Core ML is named by "
    told += f"{', '.join(found) or 'none'}; files are written by {', '.join(written)}"
    measure = "public functions of MLX that name Core ML"
    return Finding(
        "MLX exports to Core ML",
        measure,
        float(len(found)),
        float(len(written)),
        not found and written != [],
        told,
    )


def single_file() -> Finding:
    """Whether an ML program is saved as .mlmodel; the control is a network in the older format."""
    (works, came), (control, _) = _saved("mlprogram"), _saved("neuralnetwork")
    told = f"coremltools {ct.__version__} with an ML program: {came}"
    name, measure = "an ML program is an .mlmodel file", "models that are saved as .mlmodel, of one"
    return Finding(name, measure, works, control, works < control, told)


def _saved(kind: str) -> tuple[float, str]:
    """Whether the smallest model of a kind is saved as .mlmodel, and what came of it in words."""
    program = mb.program(input_specs=[mb.TensorSpec(shape=(1,))])(lambda x: mb.relu(x=x))
    model = ct.convert(program, convert_to=kind, skip_model_load=True)
    with tempfile.TemporaryDirectory() as folder:
        with ThreadPoolExecutor(1) as pool:  # coremltools raises Exception itself; any other one is a fault
            refused = pool.submit(model.save, str(path := Path(folder) / "one.mlmodel")).exception()
        if refused and type(refused) is not Exception:
            raise refused
        return float(path.is_file()), str(refused or "saved").partition(". ")[0]
