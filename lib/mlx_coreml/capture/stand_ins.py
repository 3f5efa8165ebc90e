"""Replacements, while a capture runs, for functions of MLX that its exporter cannot export.

Among them are those that read the numbers in an array, which say what array is read, and how.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mlx.core as mx

from mlx_coreml.ir.errors import CaptureError


def contiguous(a: mx.array, allow_col_major: bool = False, *, stream=None) -> mx.array:
    """The same array, because a graph has no layout in memory."""
    return a


def bitwise_invert(a: mx.array, *, stream=None) -> mx.array:
    """Every bit flipped: -1 - a in two's complement."""
    return mx.logical_not(a) if a.dtype == mx.bool_ else mx.subtract(mx.array(-1, a.dtype), a)


def logcumsumexp(
    a: mx.array, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream=None
) -> mx.array:
    """The logarithm of running sums of exponentials; each round, every element stands for twice as many."""
    if axis is None:
        a, axis = a.reshape(-1), 0
    order = [slice(None)] * (axis % a.ndim) + [slice(None, None, -1)]
    made, distance = a[tuple(order)] if reverse else a, 1
    while distance < a.shape[axis]:
        made = mx.logaddexp(made, _moved(made, axis, distance))
        distance *= 2
    made = made if inclusive else _moved(made, axis, 1)
    return made[tuple(order)] if reverse else made


def _moved(a: mx.array, axis: int, distance: int) -> mx.array:
    """The array moved along an axis, with -inf, which adds nothing, in the places that become free."""
    kept, _ = mx.split(a, [a.shape[axis] - distance], axis)
    free = list(a.shape)
    free[axis] = distance
    return mx.concatenate([mx.full(free, -mx.inf, a.dtype), kept], axis)


def dequantize(
    w: mx.array,
    /,
    scales: mx.array,
    biases: mx.array | None = None,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    global_scale: mx.array | None = None,
    dtype: mx.Dtype | None = None,
    *,
    stream=None,
) -> mx.array:
    """Packed rows as numbers, by the product of each with a 1 x 1 matrix of one: a single primitive, where
    MLX's own decomposes into shifts and masks on the CPU.
    """
    if global_scale is not None:
        raise ValueError("mx.dequantize with global_scale cannot be captured; allowed is None")
    kind = scales.dtype if mx.issubdtype(scales.dtype, mx.floating) else mx.bfloat16
    one = mx.ones((*w.shape[:-1], 1, 1), kind)
    rows = [None if each is None else mx.expand_dims(each, -2) for each in (w, scales, biases)]
    made = mx.quantized_matmul(
        one, *rows, transpose=False, group_size=group_size, bits=bits, mode=mode
    ).squeeze(-2)
    return made if dtype is None else made.astype(dtype)


def checkpoint(fun: Callable) -> Callable:
    """The same function, because a graph without gradients has no checkpoints."""
    return fun


@contextmanager
def custom_functions_called_plainly() -> Iterator[None]:
    """Call what a custom function was made of, inside the block: MLX exports none that has own derivatives.

    Where the function asks for a derivative as well, that would be another one: such a function is refused.
    """
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(mx.custom_function, "__call__", _plain))
        for name in ("grad", "value_and_grad", "vjp", "jvp"):
            stack.enter_context(mock.patch.object(mx, name, _no_derivative))
        yield


def _plain(custom: Any, *args: Any, **kwargs: Any) -> Any:
    made_of = [each for each in gc.get_referents(custom) if callable(each) and not isinstance(each, type)]
    return made_of[0](*args, **kwargs)  # its derivatives come behind it


def _no_derivative(*_: Any, **__: Any) -> Any:
    raise CaptureError(
        "the function asks for a derivative and calls a custom function that has its own, which MLX "
        f"{mx.__version__} cannot export together; write that derivative out in operations of MLX"
    )


HOW = {
    "item": "by .item()",
    "tolist": "by .tolist()",
    "__bool__": "as a truth value (if, while, and, not)",
    "__int__": "by int()",
    "__float__": "by float()",
    "__complex__": "by complex()",
    "__index__": "as an index, a size or a range",
}
TRACED = (
    "during function transformations",
    "without a primitive",
)  # what MLX says of an array without numbers


class ReadError(CaptureError):
    """The function reads numbers that are not known until the model runs."""


def is_reading(error: BaseException) -> bool:
    """Whether an error is MLX's refusal to compute a traced array."""
    return TRACED[0] in str(error)


def _reading(method: str) -> Callable:
    original = getattr(mx.array, method)

    def read(array: mx.array, *args: Any) -> Any:
        try:
            return original(array, *args)
        except (ValueError, RuntimeError) as error:
            if not any(text in str(error) for text in TRACED):
                raise
            raise ReadError(f": {described(array)} {HOW[method]}") from error

    return read


def described(array: mx.array) -> str:
    """An array whose numbers are not known, as text."""
    return f"array({str(array.dtype).rpartition('.')[2]}{list(array.shape)})"


def _shown(method: str) -> Callable:
    original = getattr(mx.array, method)

    def show(array: mx.array, *args: Any) -> str:
        try:
            return original(array, *args)
        except (ValueError, RuntimeError):
            return described(array)

    return show


def evaluated(*arrays: Any) -> None:
    """`mx.eval` changes no number, and a traced array has none yet."""


STAND_INS = [
    (mx, "contiguous", contiguous),
    (mx, "checkpoint", checkpoint),
    (mx, "bitwise_invert", bitwise_invert),
    (mx.array, "__invert__", bitwise_invert),
    (mx, "logcumsumexp", logcumsumexp),
    (mx.array, "logcumsumexp", logcumsumexp),
    (mx, "dequantize", dequantize),
    *((mx.array, method, _reading(method)) for method in HOW),
    *((mx.array, method, _shown(method)) for method in ("__repr__", "__str__", "__format__")),
    (mx, "eval", evaluated),
    (mx, "async_eval", evaluated),
]
