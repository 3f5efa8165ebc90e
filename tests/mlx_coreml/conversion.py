"""Converts a function and says which operations the program has and how far its numbers are from MLX's."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from coreml_runtime.verification.comparison import verify
from mlx_coreml.capture.tracing import as_flat, capture
from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.graph import Graph
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx


def normal(*shape: int, seed: int = 0) -> mx.array:
    """Standard normal numbers, the same for the same arguments."""
    return mx.array(np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32))


def graph_of(fn: Callable, *arrays: mx.array) -> Graph:
    """The graph of a function after every pass."""
    return simplify(capture(fn, *arrays))


def error_of(fn: Callable, *arrays: mx.array, precision: str = "float32") -> float:
    """The worst rms-relative error of the converted model, on the reference runtime."""
    return converted(fn, *arrays, precision=precision)[1]


def converted(fn: Callable, *arrays: mx.array, precision: str = "float32") -> tuple[Counter, float]:
    """How many operations of each kind the program has, constants left out, and its worst error."""
    model = convert(fn, *arrays, precision=precision, check=False)
    names = [feature.name for feature in model.get_spec().description.input]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        model.save(str(path))
        inputs = dict(zip(names, arrays, strict=True))
        report = verify(as_flat(fn, arrays), path, inputs, framework="mlx", compute_units=())
    (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
    kinds = Counter(operation.type for operation in block.operations if operation.type != "const")
    return kinds, max(row.rms_relative for row in report.rows)
