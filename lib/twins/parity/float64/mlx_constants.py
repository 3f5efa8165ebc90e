"""Float32 constants of MLX code as float64 for a while: what makes arrays, what casts them, mixed arithmetic.

MLX widens float32 to float64 where the two meet; what this module adds is that a constant is not rounded to
float32 before: mx.array([0.1]), mx.arange(4) / 10, x.astype(mx.float32). Integers, booleans and half types
stay what they are. https://ml-explore.github.io/mlx/build/html/python/data_types.html
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
from mlx.optimizers import Optimizer  # isort: skip

OWN = mx.array
ASTYPE = mx.array.astype
WIDE, NARROW = mx.float64, mx.float32
WHOLE = (mx.bool_, mx.int8, mx.int16, mx.int32, mx.int64, mx.uint8, mx.uint16, mx.uint32, mx.uint64)
FACTORIES = [
    "zeros",
    "ones",
    "full",
    "eye",
    "identity",
    "tri",
    "arange",
    "linspace",
    "zeros_like",
    "ones_like",
    "full_like",
    "asarray",
]
OPERATORS = [
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__pow__",
    "__rpow__",
    "__truediv__",
    "__rtruediv__",
]
PAIRS = ["add", "subtract", "multiply", "divide", "power"]
FLOATING = [  # functions that make floating-point numbers of integers
    "sqrt",
    "rsqrt",
    "reciprocal",
    "log",
    "log1p",
    "expm1",
    "sinh",
    "cosh",
    "tanh",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
    "arccosh",
    "arctanh",
    "mean",
    "var",
    "std",
    "degrees",
    "radians",
]
SUMMING = ["sum", "prod", "cumsum", "cumprod", "square"]


def is_array(value: Any) -> bool:
    """Whether a value is an array of MLX, whatever mx.array is now."""
    return isinstance(value, OWN)


def wide(value: Any, whole: bool = False) -> Any:
    """A float32 array as float64, and with `whole` also integers, booleans and numbers; all else as it is."""
    if isinstance(value, OWN):
        narrow = value.dtype == NARROW or (whole and value.dtype in WHOLE)
        return ASTYPE(value, WIDE) if narrow else value
    return OWN(value, WIDE) if whole and isinstance(value, (int, float)) else value


def _widened(dtype: Any) -> Any:
    return WIDE if isinstance(dtype, mx.Dtype) and dtype == NARROW else dtype


def _array(values: Any, dtype: mx.Dtype | None = None) -> mx.array:
    """An array as mx.array makes it; float32 becomes float64, without rounding to float32 first."""
    if dtype is None:
        made = OWN(values)
        if made.dtype != NARROW:
            return made
        return ASTYPE(made, WIDE) if isinstance(values, OWN) else OWN(values, WIDE)
    return OWN(values, _widened(dtype))


class _Making(type):  # mx.array is called and asked about with isinstance: only a class can stand for it
    def __call__(cls, *values: Any, **named: Any) -> mx.array:
        return _array(*values, **named)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, OWN)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, OWN)

    def __getattr__(cls, name: str) -> Any:
        return getattr(OWN, name)


class Array(metaclass=_Making):
    """mx.array for a while."""


def _factory(own: Callable, *arguments: Any, **named: Any) -> mx.array:
    """Float64 where float32 is asked for, or is what the function makes by itself."""
    given = any(isinstance(each, mx.Dtype) for each in (*arguments, *named.values()))
    arguments, named = tuple(map(_widened, arguments)), {k: _widened(v) for k, v in named.items()}
    made = own(*arguments, **named)
    return made if given or made.dtype != NARROW else own(*arguments, **named | {"dtype": WIDE})


def _astype(self: mx.array, dtype: mx.Dtype, stream: Any = None) -> mx.array:
    return ASTYPE(self, _widened(dtype))


def _meets(array: Any, other: Any, divides: bool) -> Any:
    """An array as float64 if what it makes with `other` would be rounded to float32."""
    if not isinstance(array, OWN) or array.dtype == WIDE:
        return array
    if array.dtype == NARROW:
        return ASTYPE(array, WIDE)
    plain = isinstance(other, float) or (divides and isinstance(other, int))
    whole = divides and isinstance(other, OWN) and other.dtype in WHOLE
    return ASTYPE(array, WIDE) if (plain or whole) and array.dtype in WHOLE else array


def _operator(own: Callable, divides: bool) -> Callable:
    def operate(self: mx.array, other: Any) -> mx.array:
        return own(self if self.dtype == WIDE else _meets(self, other, divides), other)

    return operate


def _resting(own: Callable) -> Callable:
    """A method during which the operators are MLX's own: an optimizer has hundreds of them in a step."""
    plain = {name: getattr(OWN, name) for name in OPERATORS}

    def method(*arguments: Any, **named: Any) -> Any:
        during = {name: getattr(OWN, name) for name in OPERATORS}
        _set(plain)
        try:
            return own(*arguments, **named)
        finally:
            _set(during)

    return method


def _set(operators: dict[str, Callable]) -> None:
    for name, operator in operators.items():
        setattr(OWN, name, operator)


def _pair(own: Callable, divides: bool, a: Any, b: Any, **named: Any) -> mx.array:
    return own(_meets(a, b, divides), _meets(b, a, divides))


def _where(own: Callable, condition: Any, x: Any, y: Any, **named: Any) -> mx.array:
    """Two numbers are chosen from in float64."""
    if not isinstance(x, OWN) and not isinstance(y, OWN) and (isinstance(x, float) or isinstance(y, float)):
        x = OWN(x, WIDE)
    return own(condition, x, y)


def _first(own: Callable, whole: bool, x: Any, *arguments: Any, **named: Any) -> mx.array:
    return own(wide(x, whole), *arguments, **named)


def replacements() -> Iterator[tuple[Any, str, Any]]:
    """Owner, attribute and what stands there for a while."""
    yield mx, "array", Array
    yield mx, "astype", _astype
    yield mx, "where", partial(_where, mx.where)
    yield OWN, "astype", _astype
    for name in FACTORIES:
        yield mx, name, partial(_factory, getattr(mx, name))
    for name in OPERATORS:
        yield OWN, name, _operator(getattr(OWN, name), "div" in name)
    yield Optimizer, "apply_gradients", _resting(Optimizer.apply_gradients)
    for name in PAIRS:
        yield mx, name, partial(_pair, getattr(mx, name), name == "divide")
    for name in FLOATING + SUMMING:
        yield mx, name, partial(_first, getattr(mx, name), name in FLOATING)
