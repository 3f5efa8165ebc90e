"""Turns what MLX or the function itself raises during a capture into one sentence with a place and a cure."""

import re

import mlx.core as mx

from mlx_coreml.capture import places
from mlx_coreml.capture.stand_ins import ReadError, is_reading
from mlx_coreml.ir.errors import CaptureError, ConversionError, FunctionError

KERNEL = re.compile(r"metal_kernel|CustomKernel|No Metal back-end", re.IGNORECASE)


def explained(name: str, error: BaseException, path: str) -> ConversionError:
    """The error to raise for one that left the function `name`, in the module `path`."""
    place = places.of_error(error, path)
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
        kernel = places.called_at(error) or "one of its functions"
        return CaptureError(
            f"{name} runs a custom Metal kernel, {kernel}{where}, and Core ML has none; give it a "
            "fallback of MLX operations for where mx.metal.is_available() is False"
        )
    if "Unable to get state for primitive" in text:
        primitive = text.rpartition("primitive ")[2].strip()
        hint = "; mx.eval what mx.load gave before" if primitive == "Load" else ""
        return CaptureError(
            f"{name} uses primitive '{primitive}'{where}, which MLX {mx.__version__} cannot export{hint}"
        )
    told = f" [{place}]" if place else ""
    return FunctionError(f"{name} fails on the example: {type(error).__name__}: {text}{told}")


def _called(error: BaseException) -> str:
    """How an array is read where no method of it is called: by np.array()."""
    called = places.called_at(error)
    return f": by {called}()" if called else ""
