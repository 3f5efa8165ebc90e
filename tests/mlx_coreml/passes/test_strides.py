"""Views by strides become sliding windows, or gathers; what is too large for an index is refused."""

import pytest
from conversion import converted, normal

from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from twins.frameworks import mx

SIGNALS = normal(3, 20)


@pytest.mark.parametrize(
    ("fn", "x", "operation"),
    [
        (lambda x: mx.as_strided(x, (9, 4), (2, 1)), normal(20), "sliding_windows"),
        (lambda x: mx.as_strided(x, (3, 5, 8), (20, 3, 1)), SIGNALS, "sliding_windows"),
        (lambda x: mx.as_strided(x, (2, 2, 20), (20, 20, 1)), SIGNALS, "sliding_windows"),
        (lambda x: mx.as_strided(x, (3, 4, 8), (20, 3, 1)), SIGNALS, "gather"),  # one window fewer
        (lambda x: mx.as_strided(x, (3, 5, 4), (20, 3, 2)), SIGNALS, "gather"),  # windows with gaps
        (lambda x: mx.as_strided(x, (3, 5, 8), (20, 2, 1), 3), SIGNALS, "gather"),
        (lambda x: mx.as_strided(x, (5, 5), (0, 3)), SIGNALS, "gather"),
    ],
)
def test_windows_and_gathers(fn, x, operation):
    kinds, error = converted(fn, x)
    assert kinds[operation] == 1
    assert error == 0


def test_too_large_a_view_is_refused():
    with pytest.raises(ConversionError, match="4198401 elements are read by strides"):
        convert(lambda x: mx.as_strided(x, (2049, 2049), (0, 1)), normal(3000))
