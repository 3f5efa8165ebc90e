"""Operations of mlx.core that work element by element, on every type and rank that Core ML has a meaning for.

https://ml-explore.github.io/mlx/build/html/python/ops.html
"""

from collections.abc import Mapping

import mlx.core as mx

from mlx_coreml.coverage.cases.case import Draw, booleans, integers, normal, special, uniform

FLOATS, WHOLE = normal(3, 4), integers(-9, 10, 3, 4)
BITS = integers(0, 31, 3, 4)
POSITIVE = uniform(0.1, 4, 3, 4)

UNARY = """
    mx.abs(x)
    mx.negative(x)
    mx.positive(x)
    mx.sign(x)
    mx.square(x)
    mx.floor(x)
    mx.ceil(x)
    mx.round(x)
    mx.trunc(x)
    mx.exp(x)
    mx.sin(x)
    mx.tanh(x)
    mx.sigmoid(x)
    mx.logical_not(x)
    mx.astype(x, mx.int32)
    mx.isnan(x)
    mx.isinf(x)
    mx.isfinite(x)
    mx.stop_gradient(x)
    mx.contiguous(x)
    mx.ones_like(x)
    mx.zeros_like(x)
    mx.maximum(x, 0)
    x * 2 + 1
"""
BINARY = """
    mx.add(x, y)
    mx.subtract(x, y)
    mx.multiply(x, y)
    mx.divide(x, y)
    mx.maximum(x, y)
    mx.minimum(x, y)
    mx.equal(x, y)
    mx.not_equal(x, y)
    mx.less(x, y)
    mx.less_equal(x, y)
    mx.greater(x, y)
    mx.greater_equal(x, y)
    mx.where(x > y, x, y)
"""
DIVISION = """
    mx.remainder(x, y)
    mx.floor_divide(x, y)
    mx.divmod(x, y)
    x % y
    x // y
"""
BITWISE = """
    mx.bitwise_and(x, y)
    mx.bitwise_or(x, y)
    mx.bitwise_xor(x, y)
    mx.bitwise_invert(x)
    x & y
    x | 3
    ~x
"""

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": FLOATS}, UNARY + """
        mx.expm1(x)
        mx.cos(x)
        mx.tan(x)
        mx.sinh(x)
        mx.cosh(x)
        mx.arctan(x)
        mx.atan(x)
        mx.arcsinh(x)
        mx.asinh(x)
        mx.erf(x)
        mx.degrees(x)
        mx.radians(x)
        mx.round(x, decimals=2)
        mx.round(x * 100, decimals=-1)
        mx.reciprocal(x)
        mx.clip(x, -0.5, 0.5)
        mx.clip(x, None, 0.2)
        mx.clip(x, -0.2, None)
        mx.full_like(x, 3)
        mx.empty_like(x) * 0
        mx.astype(x, mx.float16)
        mx.astype(x, mx.bfloat16)
        mx.astype(x, mx.bool_)
        mx.astype(x * 10, mx.int8)
        mx.astype(mx.abs(x) * 10, mx.uint8)
        mx.astype(mx.abs(x) * 10, mx.uint32)
        mx.view(x, mx.int32)
        x.astype(mx.float16).astype(mx.float32)
        mx.power(x, 2)
        mx.power(x, 3)
        mx.power(mx.abs(x), 0.5)
        x ** 2
        2 ** x
        1 / x
        1 - x
        -x
        abs(x)
        x > 0
        mx.where(x > 0, x, 0)
        mx.where(x > 0, x, mx.exp(x) - 1)
        mx.where(mx.array([True, False, True, False]), x, -x)
        mx.logaddexp(x, mx.array(0.0))
        mx.nan_to_num(x)
        mx.asarray(x) + 1
        mx.array(x) + 1
        mx.depends(x, mx.exp(x))
        mx.conjugate(x)
        mx.conj(x)
        mx.real(x)
        mx.imag(x)
        (x + 1, x * 2, x > 0)
        x
        {'first': x, 'second': x + 1}
    """),
    ({"x": POSITIVE}, """
        mx.log(x)
        mx.log2(x)
        mx.log10(x)
        mx.log1p(x)
        mx.sqrt(x)
        mx.rsqrt(x)
        mx.reciprocal(x)
        mx.arccosh(x + 1)
        mx.acosh(x + 1)
        mx.power(x, -1.5)
        mx.power(x, x)
        x.sqrt() + x.rsqrt() + x.log()
    """),
    ({"x": uniform(-0.95, 0.95, 3, 4)}, """
        mx.arcsin(x)
        mx.asin(x)
        mx.arccos(x)
        mx.acos(x)
        mx.arctanh(x)
        mx.atanh(x)
        mx.erfinv(x)
        mx.log1p(x)
        mx.expm1(x)
    """),
    ({"x": uniform(-80, 80, 3, 4)}, """
        mx.exp(x / 2)
        mx.sigmoid(x)
        mx.tanh(x)
        mx.erf(x)
        mx.round(x)
        mx.round(mx.round(x) / 2)
        mx.sin(x)
        mx.logaddexp(x, -x)
        mx.log1p(mx.exp(x))
    """),
    ({"x": special(4, 8)}, """
        mx.isnan(x)
        mx.isinf(x)
        mx.isposinf(x)
        mx.isneginf(x)
        mx.isfinite(x)
        mx.nan_to_num(x)
        mx.nan_to_num(x, nan=1.0, posinf=7.0, neginf=-7.0)
        mx.abs(x)
        mx.sign(x)
        mx.exp(x)
        mx.maximum(x, 0)
        mx.minimum(x, 0)
        mx.clip(x, -1, 1)
        mx.where(mx.isnan(x), 0, x)
        mx.isclose(x, x)
        mx.isclose(x, x, equal_nan=True)
        mx.array_equal(x, x)
        mx.array_equal(x, x, equal_nan=True)
        mx.equal(x, x)
        mx.floor(x)
        mx.sqrt(x)
        mx.log(x)
        mx.sum(x, axis=1)
        mx.max(x, axis=1)
    """),
    ({"x": special(4, 8), "y": special(4, 8)}, """
        mx.maximum(x, y)
        mx.minimum(x, y)
        mx.add(x, y)
        mx.multiply(x, y)
        mx.less(x, y)
        mx.greater_equal(x, y)
        mx.not_equal(x, y)
        mx.logaddexp(x, y)
    """),
    ({"x": FLOATS, "y": FLOATS}, BINARY + DIVISION + """
        mx.power(mx.abs(x), y)
        mx.pow(mx.abs(x), y)
        mx.arctan2(x, y)
        mx.atan2(x, y)
        mx.logaddexp(x, y)
        mx.logical_and(x > 0, y > 0)
        mx.logical_or(x > 0, y > 0)
        mx.logical_xor(x > 0, y > 0)
        mx.isclose(x, y, atol=0.5)
        mx.allclose(x, y)
        mx.allclose(x, x + 1e-9)
        mx.array_equal(x, y)
        mx.where(x > 0, x, y)
        mx.clip(x, y, y + 1)
        mx.broadcast_arrays(x, y[:1])
        (x + y) * (x - y) / (1 + mx.abs(x))
    """),
    ({"x": normal(2, 1, 4), "y": normal(3, 1)}, BINARY + "mx.broadcast_arrays(x, y)"),
    ({"x": normal(2, 1, 3, 1, 2), "y": normal(4, 1, 5, 2)}, BINARY),
    ({"x": normal(), "y": normal(2, 3)}, BINARY + "mx.exp(x)\n mx.exp(x) * y\n x + 1"),
    ({"x": normal(), "y": normal()}, "x + y\n mx.maximum(x, y)\n mx.greater(x, y)"),
    ({"x": normal(1), "y": normal(5)}, "x * y\n mx.where(x > 0, y, -y)\n mx.exp(x)"),
    ({"x": normal(2, 2, 2, 2, 3)}, UNARY),
    ({"x": WHOLE}, UNARY + """
        mx.astype(x, mx.float32)
        mx.astype(x, mx.bool_)
        mx.astype(x, mx.int64)
        mx.astype(x, mx.int16) * 2
        mx.clip(x, -2, 3)
        mx.power(x, 2)
        x ** 3
        x / 2
        x // 2
        x % 3
        x // -3
        x % -3
        x + 0.5
        mx.sqrt(mx.abs(x))
        mx.view(x, mx.float32) * 0
        mx.left_shift(mx.abs(x), 2)
        mx.right_shift(x, 1)
        mx.bitwise_left_shift(mx.abs(x), 1)
        mx.bitwise_right_shift(x, 2)
        mx.bitwise_invert(x)
        mx.bitwise_and(x, 7)
        x
    """),
    ({"x": WHOLE, "y": WHOLE}, BINARY + "mx.isclose(x, y)\n mx.logical_and(x, y)\n mx.logical_or(x, y)"),
    ({"x": WHOLE, "y": integers(1, 6, 3, 4)}, DIVISION + "x / y\n mx.power(x, y)"),
    ({"x": WHOLE, "y": integers(-5, 0, 3, 4)}, DIVISION),
    ({"x": FLOATS, "y": WHOLE}, "x + y\n x * y\n x > y\n mx.where(y > 0, x, y)"),
    ({"x": BITS, "y": BITS}, BITWISE + """
        mx.left_shift(x, y % 4)
        mx.right_shift(x, y % 4)
        mx.bitwise_left_shift(x, y % 3)
        mx.bitwise_right_shift(x, y % 3)
        x << 2
        x >> 1
        x ^ y
    """),
    ({"x": integers(-30, 30, 3, 4), "y": integers(-30, 30, 3, 4)}, BITWISE),
    ({"x": booleans(3, 4), "y": booleans(3, 4)}, BITWISE.replace("    x | 3\n", "") + """
        mx.logical_and(x, y)
        mx.logical_or(x, y)
        mx.logical_xor(x, y)
        mx.logical_not(x)
        mx.equal(x, y)
        mx.where(x, 1.0, 2.0)
        mx.astype(x, mx.float32)
        mx.astype(x, mx.int32) + 1
        x + y
        x * 2.5
        x
    """),
    ({"x": integers(0, 200, 3, 4, dtype=mx.uint8), "y": integers(1, 50, 3, 4, dtype=mx.uint8)}, """
        x.astype(mx.float32) / 255
        mx.maximum(x, y)
        x // y
        x > y
        mx.where(x > 100, x, y)
        x.astype(mx.int32) + y
    """),
    ({"x": integers(0, 99, 3, 4, dtype=mx.uint32), "y": integers(1, 9, 3, 4, dtype=mx.uint32)},
     "x + y\n x * y\n x // y\n x % y\n x > y\n mx.minimum(x, y)"),
    ({"x": integers(-99, 99, 3, 4, dtype=mx.int64), "y": integers(1, 9, 3, 4, dtype=mx.int64)},
     "x + y\n x * y\n x // y\n x % y\n x > y"),
    ({"x": normal(3, 4, dtype=mx.float16)}, """
        mx.exp(x)
        x * 2 + 1
        mx.sum(x, axis=1)
        mx.softmax(x, axis=-1)
        x.astype(mx.float32) ** 2
        mx.erf(x)
    """),
    ({"x": normal(3, 4, dtype=mx.bfloat16)}, "x.astype(mx.float32) * 2\n mx.maximum(x, 0)\n -x"),
]  # fmt: skip
