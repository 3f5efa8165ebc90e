"""Elementwise operations on numbers, whole numbers, truths and the special values of IEEE 754."""

import pytest
from agreement import assert_agree, normal, results, truths, whole

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, Y, POSITIVE = normal(3, 4), normal(3, 4, seed=1), mx.abs(normal(3, 4)) + 0.1
N, M, B, C = whole(-9, 9, 3, 4), whole(1, 9, 3, 4, seed=1), truths(3, 4), truths(3, 4, seed=1)
BYTES, SIGNED = whole(0, 256, 9, dtype=mx.uint8), whole(-128, 128, 9, dtype=mx.int8)
SPECIAL = mx.array([mx.nan, mx.inf, -mx.inf, 0.0, -0.5, 0.5, 1.5, 2.5, -3.5])
SCALAR = mx.array(2.5)
FUNCTIONS = "abs sign exp sin cos tan sinh cosh tanh arctan erf sigmoid ceil floor round square negative"
CASES = {name: (lambda x, name=name: getattr(mx, name)(x), (X,)) for name in FUNCTIONS.split()}
CASES |= {
    f"{name} of special values": (lambda x, name=name: getattr(mx, name)(x), (SPECIAL,))
    for name in (
        "abs",
        "sign",
        "exp",
        "tanh",
        "sigmoid",
        "ceil",
        "floor",
        "round",
        "square",
        "negative",
        "sqrt",
        "isnan",
        "isinf",
        "isfinite",
    )
}
CASES |= {
    name: (lambda x, name=name: getattr(mx, name)(mx.clip(x, -0.9, 0.9)), (X,))
    for name in ("arcsin", "arccos", "arctanh")
}
CASES |= {
    name: (lambda x, name=name: getattr(mx, name)(x), (POSITIVE,))
    for name in ("sqrt", "rsqrt", "log", "log2", "log10", "reciprocal")
}
COMPARISONS = "equal not_equal greater greater_equal less less_equal"
PAIRS = "add subtract multiply maximum minimum"
CASES |= {
    f"{name} of {label}": (lambda x, y, name=name: getattr(mx, name)(x, y), pair)
    for name in f"{COMPARISONS} {PAIRS}".split()
    for label, pair in {
        "numbers": (X, Y),
        "whole numbers": (N, M),
        "truths": (B, C),
        "special values": (SPECIAL, SPECIAL[::-1]),
    }.items()
}
CASES |= {
    f"{name} of {label}": (lambda x, y, name=name: getattr(mx, name)(x, y), pair)
    for name in ("remainder", "floor_divide", "divmod", "divide")
    for label, pair in {
        "numbers": (5 * X, Y),
        "whole numbers": (N, M),
        "whole numbers, negative": (N, -M),
    }.items()
}
CASES |= {
    f"{name} of truths": (lambda x, y, name=name: getattr(mx, name)(x, y), (B, C))
    for name in ("logical_and", "logical_or")
}
CASES |= {
    "not": (mx.logical_not, (B,)),
    "rounding of whole numbers": (lambda x: (mx.floor(x), mx.ceil(x), mx.round(x)), (N,)),
    "small powers": (lambda x: (x**2, x**3, x**4, x**5, x**1), (X,)),
    "small powers of whole numbers": (lambda x: (x**2, x**3), (N,)),
    "powers": (lambda x, y: (x**y, x**2.5, x**-1, 2**y), (POSITIVE, Y)),
    "powers by halves": (lambda x: (x**0.5, x**-0.5), (POSITIVE,)),
    "one number to many powers": (lambda x, y: x**y, (SCALAR, Y)),
    "equal with nan": (lambda x, y: mx.array_equal(x, y, equal_nan=True), (SPECIAL, SPECIAL)),
    "not equal without nan": (lambda x, y: mx.array_equal(x, y), (SPECIAL, SPECIAL)),
    "nan to numbers": (mx.nan_to_num, (SPECIAL,)),
    "choice": (lambda c, x, y: mx.where(c, x, y), (B, X, Y)),
    "choice of truths": (lambda c, x, y: mx.where(c, x, y), (B, C, ~C)),
    "choice with numbers": (lambda c, x: mx.where(c, x, 0.0), (B, X)),
    "to truths": (lambda x: (x.astype(mx.bool_), (x * 0).astype(mx.bool_)), (N,)),
    "to whole numbers": (lambda x: ((9 * x).astype(mx.int32), x.astype(mx.int8)), (X,)),
    "to numbers": (lambda x, b: (x.astype(mx.float32), b.astype(mx.float32)), (N, B)),
    "bytes wrap": (lambda x: (x + 100, x * 3, -x, x.astype(mx.int8), x - 200, x * x), (BYTES,)),
    "signed bytes wrap": (lambda x: (x + 100, x * 3, -x, x.astype(mx.uint8), x * x), (SIGNED,)),
    "wider types do not wrap": (lambda x: (x.astype(mx.int32) * 300, x.astype(mx.int16) + 1), (BYTES,)),
    "16 bits wrap": (lambda x: (x * 500).astype(mx.uint16) * 2, (N,)),
    "pixels": (lambda x: x.astype(mx.float32) / 255, (BYTES,)),
    "depends": (lambda x: mx.depends(x, [x + 1]), (X,)),
    "one number": (lambda x: (x + 1, mx.exp(x), x > 2, mx.maximum(x, 3.0), -x, x**2), (SCALAR,)),
    "one number spread": (lambda x: (mx.broadcast_to(x, (2, 3)), x[None, None], mx.full((2,), x)), (SCALAR,)),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name])


def test_infinities_are_found_in_a_half_precision_program():
    found = {"infinite": (lambda x: (mx.isinf(x), mx.isfinite(x), mx.isnan(x), x < mx.inf), (SPECIAL,))}
    assert_agree(results(found, precision="float16")["infinite"])
