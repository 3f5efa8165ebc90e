"""Running sums and extremes, logarithms of sums: what the converted model gives is what MLX gives."""

import itertools

import pytest
from agreement import assert_agree, normal, results, truths, whole

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, WHOLE = normal(3, 7, 2), whole(-3, 4, 3, 5)
SCANS = {"sum": "cumsum", "product": "cumprod", "largest": "cummax", "smallest": "cummin"}
SCANS["logarithm"] = "logcumsumexp"
CASES = {
    f"{name}, reverse {reverse}, inclusive {inclusive}": (
        lambda x, scan=scan, r=reverse, i=inclusive: getattr(mx, scan)(x, axis=1, reverse=r, inclusive=i),
        (X,),
    )
    for (name, scan), reverse, inclusive in itertools.product(SCANS.items(), (False, True), (False, True))
}
CASES |= {
    f"{name} of whole numbers": (
        lambda x, scan=SCANS[name]: getattr(mx, scan)(x, axis=0, inclusive=False),
        (WHOLE,),
    )
    for name in ("sum", "product", "largest", "smallest")
}
CASES |= {
    "sum of truths": (lambda x: mx.cumsum(x, axis=0), (truths(5, 2),)),
    "sum of everything": (mx.cumsum, (X,)),
    "largest of one": (lambda x: mx.cummax(x, inclusive=False), (normal(1),)),
    "logarithm, far apart": (lambda x: mx.logcumsumexp(x), (mx.array([-300.0, 0.0, 5.0, 200.0]),)),
    "logarithm, nothing": (lambda x: mx.logcumsumexp(x), (mx.array([-mx.inf, -mx.inf, 0.0]),)),
    "log of sum": (lambda x: mx.logsumexp(x, axis=-1), (100 * X,)),
    "log of sum, kept": (lambda x: mx.logsumexp(x, axis=-1, keepdims=True), (X,)),
    "log of sum, first axis": (lambda x: mx.logsumexp(x, axis=0), (100 * X,)),
    "log of sum of nothing": (lambda x: mx.logsumexp(x, axis=-1), (mx.full((2, 3), -mx.inf),)),
    "log of sum with infinity": (
        lambda x: mx.logsumexp(x, axis=-1),
        (mx.array([[mx.inf, 1.0], [-mx.inf, 2.0]]),),
    ),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name])
