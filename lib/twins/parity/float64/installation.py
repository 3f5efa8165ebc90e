"""The float64 stage: for a while MLX and PyTorch compute in true float64 what people write for float32.

Attributes of mlx.core, mlx.core.fast and mx.array are replaced, those that a reader's file imported by name
too; what MLX compiles runs eagerly, or it would hold what it traced before.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from twins.frameworks import on, uncompiled
from twins.parity.float64 import (
    convolutions,
    elementwise,
    fast,
    mlx_constants,
    own_modules,
    sums,
    torch_constants,
)
from twins.parity.float64.mlx_constants import OWN, WIDE, is_array, wide
from twins.parity.float64.notes import NotInFloat64

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx.nn.layers import activations  # isort: skip

STAND_INS: dict[Any, dict[str, Callable]] = {
    mx: {
        **{
            name: getattr(elementwise, name)
            for name in ["exp", "sin", "cos", "tan", "log2", "log10", "sigmoid", "erf", "erfinv"]
        },
        **{
            name: getattr(sums, name)
            for name in ("softmax", "logsumexp", "logcumsumexp", "addmm", "gather_mm")
        },
        **{f"conv{n}d": convolutions.convolve for n in (1, 2, 3)},
        **{f"conv_transpose{n}d": convolutions.transposed for n in (1, 2, 3)},
        "logaddexp": elementwise.logaddexp,
        "round": elementwise.rounded,
        "nan_to_num": elementwise.nan_to_num,
        "conv_general": convolutions.conv_general,
        "convolve": convolutions.convolve_arrays,
    },
    mnn: {"selu": elementwise.selu},
    activations: {"selu": elementwise.selu},
    mx.fast: {
        name: getattr(fast, name)
        for name in ("layer_norm", "rms_norm", "rope", "scaled_dot_product_attention", "cross_entropy")
    },
}
LACKING: dict[Any, list[str]] = {
    mx: [
        "quantize",
        "dequantize",
        "quantized_matmul",
        "gather_qmm",
        "qqmm",
        "gather_qqmm",
        "hadamard_transform",
        "block_masked_mm",
    ],
    mx.fft: [
        "fft",
        "ifft",
        "rfft",
        "irfft",
        "fft2",
        "ifft2",
        "rfft2",
        "irfft2",
        "fftn",
        "ifftn",
        "rfftn",
        "irfftn",
        "stft",
        "istft",
    ],
}
FLOATS = (mx.float32, mx.float64, mx.complex64)


def _chosen(own: Callable, stand_in: Callable, x: Any, *arguments: Any, stream=None, **named: Any):
    """The stand-in for float64, float32 and integers; MLX's own for the half types and complex numbers."""
    if is_array(x) and x.dtype == WIDE:
        return stand_in(x, *arguments, **named)
    x = wide(x, whole=True)
    kinds = [each.dtype for each in (x, *arguments[:1]) if is_array(each)]
    return (stand_in if WIDE in kinds else own)(x, *arguments, **named)


def _refused(name: str, own: Callable, *arguments: Any, **named: Any):
    """MLX's own for the half types; NotInFloat64 for the others."""
    if any(is_array(each) and each.dtype in FLOATS for each in arguments):
        raise NotInFloat64(name)
    return own(*arguments, **named)


def _method(function: Callable) -> Callable:
    """A function of an array first, as its method."""
    return lambda self, *arguments, **named: function(self, *arguments, **named)


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    """Owner, attribute and what stands there for a while, methods of arrays included."""
    yield from mlx_constants.replacements()
    yield mnn.SELU, "__call__", lambda self, x: elementwise.selu(x)  # which keeps its own function
    for owner, functions in STAND_INS.items():
        for name, function in functions.items():
            yield owner, name, partial(_chosen, getattr(owner, name), function)
    for owner, names in LACKING.items():
        for name in names:
            yield (
                owner,
                name,
                partial(_refused, f"{owner.__name__.replace('mlx.core', 'mx')}.{name}", getattr(owner, name)),
            )


def _methods(replaced: list[tuple[Any, str, Any]]) -> Iterator[tuple[Any, str, Any]]:
    for owner, name, function in replaced:
        if owner is mx and name not in ("astype", "array") and hasattr(OWN, name):
            yield OWN, name, _method(function)


@contextmanager
def _installed() -> Iterator[None]:
    replaced = list(_replacements())
    swaps = {id(getattr(owner, name)): new for owner, name, new in replaced if owner is not OWN}
    found = [*replaced, *_methods(replaced), *own_modules.imported(swaps)]
    own = [(owner, name, getattr(owner, name)) for owner, name, _ in found]
    for owner, name, new in found:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for owner, name, old in own:
            setattr(owner, name, old)


@contextmanager
def stage() -> Iterator[None]:
    """Both frameworks on the CPU, MLX right in float64 and float32 constants of both widened, for a while.

    Errors: NotInFloat64 where MLX has no float64 and there is no stand-in; notes.unchecked tells any error.
    """
    with ExitStack() as stack:
        for each in (on("cpu"), uncompiled(), own_modules.kept(), _installed(), torch_constants.widened()):
            stack.enter_context(each)
        yield
