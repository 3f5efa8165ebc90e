"""Sorting and searching: what the converted model gives is what MLX gives; ties and nan included."""

import pytest
from agreement import assert_agree, normal, results, truths, whole

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, WHOLE, TRUTHS = normal(3, 4, 5), whole(-3, 4, 3, 4, 5), truths(3, 4, 5)
UNKNOWN = mx.array([2.0, mx.nan, -1.0, mx.inf, 0.0])
STEPS = mx.array([0.0, 1.0, 1.0, 2.0])
CASES = {
    f"{name} of {label}": (lambda x, sort=sort: sort(x), (x,))
    for name, sort in {
        "sort": mx.sort,
        "sort along the second axis": lambda x: mx.sort(x, axis=1),
        "sort everything": lambda x: mx.sort(x, axis=None),
        "order": lambda x: mx.argsort(x, axis=-1),
        "order along the first axis": lambda x: mx.argsort(x, axis=0),
        "largest": lambda x: (mx.argmax(x, axis=1), mx.argmax(x), mx.argmax(x, axis=-1, keepdims=True)),
        "smallest": lambda x: (mx.argmin(x, axis=1), mx.argmin(x)),
        "third in its place": lambda x: mx.partition(x, 2, axis=1)[:, 2],
        "two largest": lambda x: mx.topk(x, 2),
        "three largest": lambda x: mx.sort(mx.topk(x, 3, axis=1), axis=1),
        "the largest": lambda x: mx.topk(x, 1, axis=0),
    }.items()
    for label, x in {"numbers": X, "whole numbers": WHOLE, "truths": TRUTHS}.items()
}
CASES |= {
    "nan is last": (mx.sort, (UNKNOWN,)),
    "place of two largest": (lambda x: mx.argpartition(x, kth=-2, axis=-1)[..., -2:], (X,)),
    "place of two smallest": (lambda x: mx.argpartition(x, kth=1, axis=-1)[..., :2], (X,)),
    "place of two largest by sign": (lambda x: mx.argpartition(-x, kth=1, axis=1)[:, :2], (X,)),
    "choice among equals": (
        lambda x: (
            mx.sort(mx.argpartition(x, kth=-3, axis=-1)[..., -3:]),
            mx.sort(mx.argpartition(x, kth=2, axis=-1)[..., :3]),
            mx.sort(mx.argpartition(-x, kth=2, axis=-1)[..., :3]),
            mx.sort(mx.argpartition(-x, kth=-3, axis=-1)[..., -3:]),
        ),
        (whole(0, 3, 9, 8).astype(mx.float32),),
    ),
    "median": (lambda x: mx.median(x, axis=1), (X,)),
    "places from the left": (mx.searchsorted, (STEPS, mx.array([[-1.0, 0.0], [1.0, 9.0]]))),
    "places from the right": (
        lambda a, v: mx.searchsorted(a, v, side="right"),
        (STEPS, mx.array([[-1.0, 0.0], [1.0, 9.0]])),
    ),
    "place of one": (mx.searchsorted, (STEPS, mx.array(1.5))),
    "places of whole numbers": (mx.searchsorted, (mx.array([0, 1, 1, 2]), mx.array([1, 2]))),
}


@pytest.fixture(scope="module", params=["iOS15", "iOS17"])
def pairs(request):
    return results(CASES, request.param)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name], tolerance=1e-6)
