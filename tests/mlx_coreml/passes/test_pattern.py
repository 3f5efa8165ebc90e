"""Patterns of nodes: names, numbers, order of operands, casts."""

import pytest
from graphs import Graph

from mlx_coreml.capture.tracing import capture
from mlx_coreml.passes.layout.broadcasts import drop_broadcasts
from mlx_coreml.passes.rewriting.pattern import Number, Some, X, match, matches, op
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

A, B = mx.zeros((2, 3)), mx.ones((2, 3))


def graph(fn, *arrays) -> Graph:
    made = capture(fn, *arrays)
    drop_broadcasts(made)
    return made


def last(fn, *arrays):
    return graph(fn, *arrays).nodes[-1]


SILU = op("Multiply", X, op("Sigmoid", X))


@pytest.mark.parametrize("fn", [lambda x: x * mx.sigmoid(x), lambda x: mx.sigmoid(x) * x])
def test_operands_of_a_product_match_in_either_order(fn):
    made = graph(fn, A)
    assert match(SILU, made.nodes[-1]) == {"x": made.inputs[0]}


def test_operands_of_a_difference_match_in_order():
    pattern = op("Subtract", 1.0, X)
    assert match(pattern, last(lambda x: 1 - x, A))
    assert match(pattern, last(lambda x: x - 1, A)) is None


def test_a_name_stands_for_one_tensor():
    assert match(SILU, last(lambda x, y: x * mx.sigmoid(y), A, B)) is None


@pytest.mark.parametrize(("number", "fits"), [(2.0, True), (2.000001, True), (2.001, False), (-2.0, False)])
def test_a_number_is_the_constant(number, fits):
    assert (match(op("Multiply", X, 2.0), last(lambda x: x * number, A)) is not None) == fits


def test_a_number_of_half_precision_may_be_rounded():
    half = A.astype(mx.float16)
    assert match(op("Multiply", X, 0.7978845608), last(lambda x: x * 0.7978845608, half)) is not None


def test_a_named_number_is_given_back_and_the_same_everywhere():
    pattern = op("Add", op("Multiply", X, Number("a")), Number("a"))
    assert match(pattern, last(lambda x: x * 3 + 3, A))["a"] == 3
    assert match(pattern, last(lambda x: x * 3 + 4, A)) is None


def test_casts_between_floating_point_types_are_looked_through_and_others_are_not():
    pattern = op("Multiply", X, op("Exp", X))
    half = A.astype(mx.float16)
    made = graph(lambda x: x.astype(mx.float32) * mx.exp(x.astype(mx.float32)), half)
    assert match(pattern, made.nodes[-1]) == {"x": made.inputs[0]}
    made = graph(lambda x: x * mx.exp(x.astype(mx.int32).astype(mx.float32)), A)
    assert match(pattern, made.nodes[-1]) is None


def test_arguments_are_compared_where_a_pattern_has_them():
    rsqrt = op("Sqrt", X, arguments=(True,))
    assert match(rsqrt, last(mx.rsqrt, A)) is not None
    assert match(rsqrt, last(mx.sqrt, A)) is None


def test_patterns_that_share_names_are_matched_together():
    made = graph(lambda x, y, z: (x * y + z, x * z), A, B, A + 2)
    first, second = (
        op("Add", op("Multiply", Some("a"), Some("b")), Some("c")),
        op("Multiply", Some("a"), Some("c")),
    )
    found = list(matches((first, second), made.outputs))
    assert [[each[name] for name in "abc"] for each in found] == [made.inputs]
