"""The truth of a check: the user's own function in float32, whatever half types it is written in.

While the truth runs, MLX's functions widen every half array (bfloat16, float16) that they are given to
float32, and make float32 where a half type is asked for. Weights keep their values: they are widened where
they are used, one at a time, and packed ones stay packed. Without this, MLX computes in half types.
https://ml-explore.github.io/mlx/build/html/python/data_types.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from mlx_coreml.ir.graph import Graph

HALF = (mx.bfloat16, mx.float16)
NAMES = ("bfloat16", "float16")
# They make constants: rounded to the type that is asked for, as in the captured graph, and widened then.
FACTORIES = ("arange", "asarray", "eye", "full", "identity", "linspace", "ones", "tri", "zeros")
# They move numbers: what they give is widened, which may be few rows of a large table.
MOVING = (
    *("getitem", "take", "take_along_axis", "split", "reshape", "transpose", "swapaxes"),
    *("squeeze", "flatten"),
)
# Bits, files, types and evaluation: they must see the arrays as they are. Compiled functions run as they are.
KEPT = (
    *("async_eval", "can_cast", "compile", "depends", "disable_compile", "enable_compile", "eval"),
    *("export_function", "exporter", "isdtype", "issubdtype", "load", "save", "save_gguf"),
    *("save_safetensors", "savez", "savez_compressed", "view", "item", "tolist"),
)
# An array that is changed in place must be the array itself.
IN_PLACE = ("setitem", "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul")
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
UNARY = ("getitem", "neg", "abs", "iter", "eq", "ne", "lt", "le", "gt", "ge")
MANY_ROWS = 4  # from here on unpacking a weight and a dense product are faster than MLX's product on a CPU
PART = 2**20  # numbers that are unpacked at once: memory of that size is used again, larger is asked for anew
ASTYPE = mx.array.astype


def half_types(graph: Graph) -> list[str]:
    """The half types of a captured graph's tensors, by name."""
    tensors = {t for node in graph.nodes for t in (*node.inputs, *node.outputs)} | {
        *graph.inputs,
        *graph.outputs,
    }
    found = {tensor.dtype for tensor in tensors}
    return [name for name in NAMES if name in found]


class Truth:
    """A flat function that computes in float32 what it would compute in half types, and returns float32."""

    def __init__(self, flat: Callable):
        self.flat = flat

    def __call__(self, *arrays: mx.array) -> list[mx.array]:
        with widened():
            made = [wide(array) for array in self.flat(*map(wide, arrays))]
            mx.eval(made)
        return made


@contextmanager
def widened() -> Iterator[None]:
    """MLX's functions compute in float32 inside the block; what is compiled runs as it is written."""
    own = [(owner, name, getattr(owner, name)) for owner, name in _places()]
    mx.disable_compile()
    try:
        for owner, name, function in own:
            setattr(owner, name, _widening(name, function, isinstance(owner, type)))
        yield
    finally:
        for owner, name, function in own:
            setattr(owner, name, function)
        mx.enable_compile()


def wide(value: Any) -> Any:
    """A half array as float32, a half type as float32, also in containers; all else as it is."""
    if isinstance(value, mx.array):
        return ASTYPE(value, mx.float32) if value.dtype in HALF else value
    if isinstance(value, mx.Dtype):
        return mx.float32 if value in HALF else value
    if type(value) in (list, tuple):
        return type(value)(map(wide, value))
    if type(value) is dict:
        return {key: wide(each) for key, each in value.items()}
    return value


def _places() -> Iterator[tuple[Any, str]]:
    """Owners and names of the functions that take or make arrays."""
    for module in (mx, mx.fast, mx.fft, mx.linalg, mx.random):
        for name in dir(module):
            if type(getattr(module, name)).__name__ == "nb_func" and name not in KEPT:
                yield module, name
    for name in dir(mx.array):
        plain = name.strip("_")
        special = plain in UNARY or plain in OPERATORS or plain.removeprefix("r") in OPERATORS
        public = not name.startswith("_") and name not in KEPT and callable(getattr(mx.array, name))
        if special or public:
            yield mx.array, name


def _widening(name: str, function: Callable, is_method: bool) -> Callable:
    """The function with widened arguments; a plain function, which can stand for a method."""
    if name.strip("_") in MOVING or (name in FACTORIES and not is_method):
        return lambda *args, **kwargs: wide(function(*args, **kwargs))
    if name == "dequantize":
        return lambda *args, **kwargs: function(*wide(args), **{"dtype": mx.float32} | wide(kwargs))
    if name == "quantized_matmul":
        return functools.partial(_quantized_matmul, function)
    return lambda *args, **kwargs: function(*wide(args), **wide(kwargs))


def _quantized_matmul(
    own: Callable,
    x: mx.array,
    w: mx.array,
    scales: mx.array,
    biases: mx.array | None = None,
    transpose: bool = True,
    **options: Any,
) -> mx.array:
    """The product with packed weights; of many rows with one matrix, as a product with unpacked ones."""
    x = wide(x)
    if w.ndim > 2 or x.size < MANY_ROWS * x.shape[-1]:
        return own(x, w, wide(scales), wide(biases), transpose, **options)
    if not transpose:
        return x @ mx.dequantize(w, scales, biases, **options)
    rows = max(PART // x.shape[-1], 1)  # unpacked together
    parts = [
        [None if each is None else each[start : start + rows] for each in (w, scales, biases)]
        for start in range(0, w.shape[0], rows)
    ]
    made = [x @ mx.dequantize(*part, **options).T for part in parts]
    return made[0] if len(made) == 1 else mx.concatenate(made, axis=-1)
