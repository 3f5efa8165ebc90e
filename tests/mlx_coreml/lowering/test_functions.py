"""Functions that MIL lacks: relative agreement of every single value, where plain forms lose digits."""

import numpy as np
import pytest
from agreement import results

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

SMALL = mx.array([1e-30, -1e-9, 1e-7, -3e-5, 1e-4, 0.01, -0.3, 0.0])
LARGE = mx.array([0.7, 3.0, 50.0, 1e4])
CASES = {
    "log1p": (
        lambda x: mx.log1p(x),
        (mx.concatenate([SMALL, LARGE, mx.array([-0.999, 1e30, -1.0, mx.inf])]),),
    ),
    "expm1": (lambda x: mx.expm1(x), (mx.concatenate([SMALL, mx.array([-3.0, -50.0, 9.0, 80.0, mx.inf])]),)),
    "arcsinh": (
        lambda x: mx.arcsinh(x),
        (mx.concatenate([SMALL, LARGE, -LARGE, mx.array([1e20, -1.7e38])]),),
    ),
    "arccosh": (lambda x: mx.arccosh(x), (mx.array([1.0, 1.0001, 1.5, 20.0, 1e6, 1e20, 1.7e38]),)),
    "erfinv": (
        lambda x: mx.erfinv(x),
        (mx.concatenate([SMALL, mx.array([0.9, -0.99, 0.9999, 1.0, -1.0, 2.0])]),),
    ),
    "arctan2": (
        lambda y, x: mx.arctan2(y, x),
        (mx.array([0.0, 0, 1, -1, 1, -1, 0, 2, -3, 1e-9]), mx.array([0.0, -1, 0, 0, -1, -1, 2, 1, 2, 1e9])),
    ),
    "logaddexp": (
        lambda x, y: mx.logaddexp(x, y),
        (mx.array([-100.0, 50, -mx.inf, 3, mx.inf, -90]), mx.array([-90.0, 90, -mx.inf, 3, 1, -120])),
    ),
    "softplus": (lambda x: mx.logaddexp(x, 0), (mx.array([-80.0, -20.0, 0.0, 3.0, 90.0]),)),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_value_agrees_with_mlx(name, pairs):
    ((found, wanted),) = pairs[name]
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("name", ["log1p", "arcsinh", "logaddexp"])
def test_they_are_computed_in_fp32_in_a_half_precision_program(name):
    ((found, wanted),) = results({name: CASES[name]}, precision="float16")[name]
    finite = np.abs(wanted) < 6e4
    np.testing.assert_allclose(found[finite], wanted[finite], rtol=2e-3, atol=1e-6)
