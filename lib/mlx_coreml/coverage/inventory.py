"""The public names of MLX and mlx-lm that are to be covered, and which of them have a case."""

import inspect
import re
from collections.abc import Iterable
from types import ModuleType

import mlx.core as mx

from mlx_coreml.coverage.cases import architectures, configurations, layers
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.operation_cases import operations

import mlx.nn as nn  # isort: skip


def layer_names() -> set[str]:
    """The classes of mlx.nn."""
    return {name for name, value in vars(nn).items() if inspect.isclass(value)}


def function_names() -> set[str]:
    """The functions of mlx.nn: activations."""
    tools = {"quantize", "fully_shard", "average_gradients", "value_and_grad"}  # they work on modules
    return {f for f, value in vars(nn).items() if callable(value) and not inspect.isclass(value)} - tools


def operation_names() -> set[str]:
    """The functions of mlx.core and its modules, by path: sum, fast.rope, linalg.norm."""
    return set().union(
        _functions(mx, ""),
        *(_functions(getattr(mx, m), f"{m}.") for m in ("fast", "linalg", "fft", "random")),
    )


def method_names() -> set[str]:
    """The methods of arrays that compute one: sum, mT."""
    about = {"at", "dtype", "item", "itemsize", "nbytes", "ndim", "shape", "size", "tolist"}
    return {name for name in dir(mx.array) if not name.startswith("_")} - about


def architecture_names() -> set[str]:
    """The modules of mlx_lm.models that define a model."""
    return set(architectures.names())


def covered(cases: Iterable[Case], of: str) -> set[str]:
    """The names that the text of the cases takes from `of`: "mx", "nn" or an input's name."""
    modules = r"[a-z]+\.[a-z]\w*|" if of == "mx" else ""  # fast.rope
    paths = rf"\b{of}(?:\[[^\]]*\])?\.({modules}\w+)"
    return {name for case in cases for name in re.findall(paths, case.name)}


def missing() -> dict[str, set[str]]:
    """By kind, the public names that are neither in a case nor left out with a reason."""
    of_layers, of_operations = list(layers.cases()), list(operations.cases())
    return {
        "layer": layer_names() - covered(of_layers, "nn") - set(layers.LEFT_OUT),
        "function": function_names() - covered(of_layers, "nn"),
        "operation": operation_names() - covered(of_operations, "mx") - set(operations.LEFT_OUT),
        "method": method_names() - covered(of_operations, "x"),
        "architecture": architecture_names()
        - {case.name for case in architectures.cases()}
        - set(configurations.LEFT_OUT),
    }


def _functions(module: ModuleType, prefix: str) -> set[str]:
    """The functions of a module, with a prefix; its types are not."""
    public = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {prefix + n for n, value in public.items() if callable(value) and not isinstance(value, type)}
