"""Turns what MLX or the function itself raises during a capture into one sentence with a place and a cure."""

import dis
import re
import types
from typing import Any

import mlx.core as mx

from mlx_coreml.capture import places
from mlx_coreml.capture.captured_state import Held
from mlx_coreml.capture.reachable import is_foreign
from mlx_coreml.capture.stand_ins import ReadError, is_reading
from mlx_coreml.ir.errors import CaptureError, ConversionError, FunctionError
from mlx_coreml.ir.graph import Graph

KERNEL = re.compile(r"metal_kernel|CustomKernel|No Metal back-end", re.IGNORECASE)


def explained(name: str, error: BaseException, path: str) -> ConversionError:
    """The error to raise for one that left the function `name`, in the module `path`."""
    place = places.of_error(error, path) or (f"in module {path}" if path else "")
    where = f" ({place})" if place else ""
    text = " ".join(str(error).split())
    if isinstance(error, ReadError) or is_reading(error):
        what = text if isinstance(error, ReadError) else _called(error)
        line = places.line_of_error(error, path)
        return CaptureError(
            f"{name} reads the numbers in an array{line}{what}; a captured function "
            "may read only shapes and types: use mx.where in place of if, and no .item() or .tolist()"
        )
    if isinstance(error, ConversionError):
        return error
    if KERNEL.search(text):
        return _no_kernel(name, f"{places.called_at(error)}{where}")
    if "Unable to get state for primitive" in text:
        primitive = text.rpartition("primitive ")[2].strip()
        hint = "; mx.eval what mx.load gave before" if primitive == "Load" else ""
        return CaptureError(
            f"{name} uses primitive '{primitive}'{where}, which MLX {mx.__version__} cannot export{hint}"
        )
    told = f" [{place}]" if place else ""
    return FunctionError(f"{name} fails on the example: {type(error).__name__}: {text}{told}")


def check_kernels(name: str, graph: Graph, known: Held) -> None:
    """Errors: CaptureError when a graph runs a Metal kernel: its name, its line and its module."""
    for node in graph.nodes:
        if node.kind == "CustomKernel":
            where = [*_kernel_lines(known), *([f"module {node.path}"] if node.path else [])]
            kernel = str(node.arguments[0]).removeprefix("custom_kernel_")
            raise _no_kernel(name, f"{kernel} ({', '.join(where)})" if where else kernel)


def _no_kernel(name: str, kernel: str) -> CaptureError:
    return CaptureError(
        f"{name} runs a custom Metal kernel, {kernel.strip()}, and Core ML has none; give it a fallback of "
        "MLX operations for where mx.metal.is_available() is False"
    )


def _kernel_lines(known: Held) -> list[str]:
    """Where the functions that are reached name a kernel: kernels.py:12, in forward."""
    things = known.things()
    kernels = {path.rpartition(".")[2] for path, value in things if _is_kernel(value)}
    for _, fn in things:
        if isinstance(fn, types.FunctionType) and not is_foreign(fn):
            for step in dis.get_instructions(fn.__code__):
                if (
                    step.opname.startswith("LOAD")
                    and step.argval in kernels
                    and step.positions
                    and step.positions.lineno
                ):
                    return [places.place(fn.__code__.co_filename, step.positions.lineno, fn.__name__)]
    return []


def _is_kernel(value: Any) -> bool:
    """Whether a value is a kernel of mx.fast.metal_kernel: a function of MLX without a name."""
    return type(value).__name__ == "nb_func" and not getattr(value, "__name__", "")


def _called(error: BaseException) -> str:
    """How an array is read where no method of it is called: by np.array()."""
    called = places.called_at(error)
    return f": by {called}()" if called else ""
