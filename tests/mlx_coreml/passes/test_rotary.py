"""Rotary embedding: two products and a swap, for tables and for positions of the input; angles stay exact."""

import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

X, SEQUENCE = normal(1, 4, 5, 8), normal(2, 5, 8)
HALVES = {"Split": 1, "Concatenate": 1, "Multiply": 2, "Add": 1}
NEIGHBOURS = {"Reshape": 2, "Slice": 1, "Multiply": 2, "Add": 1}
ANGLES = {"AsType": 1, "Add": 2, "Cos": 1, "Sin": 1}


def rope(x, offset, dims=8, traditional=False, scale=1.0):
    return mx.fast.rope(x, dims, traditional=traditional, base=1e4, scale=scale, offset=offset)


def rotate_half(x, cos, sin):
    """As the Hugging Face library writes it: not the same nodes."""
    first, second = mx.split(x, 2, axis=-1)
    return x * cos + mx.concatenate([-second, first], axis=-1) * sin


TABLES = {
    "halves": (mnn.RoPE(8), X, HALVES),
    "halves of a part": (mnn.RoPE(6), X, HALVES),
    "halves, three axes": (mnn.RoPE(8), SEQUENCE, HALVES | {"ExpandDims": 1, "Reshape": 1}),
    "neighbours": (mnn.RoPE(8, traditional=True), X, NEIGHBOURS),
    "neighbours of a part": (mnn.RoPE(4, traditional=True), X, NEIGHBOURS),
    "another place and base": (lambda x: rope(x, 7, scale=0.5), X, HALVES),
}


@pytest.mark.parametrize("name", TABLES)
def test_constant_tables_leave_two_products_and_a_swap(name):
    fn, x, expected = TABLES[name]
    assert kinds(fn, x) == expected


@pytest.mark.parametrize("traditional", [False, True])
def test_a_place_that_is_an_input_gives_the_signs_to_the_frequencies(traditional):
    found = kinds(lambda x, o: rope(x, o, traditional=traditional), X, mx.array([3]))
    swap = NEIGHBOURS if traditional else HALVES
    assert found["Multiply"] == 3
    assert found["Cos"] == found["Sin"] == 1
    assert "Subtract" not in found
    assert found["Slice"] == swap.get("Slice", 0)


def test_queries_and_keys_of_all_layers_read_the_same_tables():
    def fn(q, k, offset):
        for _ in range(2):
            q, k = rope(q, offset), rope(k, offset)
        return q, k

    found = kinds(fn, X, X[:, :2], mx.array([3]))
    assert (found["Cos"], found["Sin"], found["Split"]) == (1, 1, 4)
    graph = simplified(lambda q, k: (rope(q, 0), rope(k, 0)), X, X[:, :2])
    assert len(graph.constants()) == 2


TABLE = normal(5, 4)
OTHERS = {
    "turned the other way": lambda x: mx.concatenate(
        [x[..., :4] * TABLE + x[..., 4:] * (TABLE + 1), x[..., :4] * (TABLE + 1) - x[..., 4:] * TABLE],
        axis=-1,
    ),
    "of two tensors": lambda x: mx.concatenate(
        [
            x[..., :4] * TABLE - (x + 1)[..., 4:] * (TABLE + 1),
            x[..., :4] * (TABLE + 1) + (x + 1)[..., 4:] * TABLE,
        ],
        axis=-1,
    ),
    "halves the other way round": lambda x: mx.concatenate(
        [x[..., 4:] * TABLE - x[..., :4] * (TABLE + 1), x[..., 4:] * (TABLE + 1) + x[..., :4] * TABLE],
        axis=-1,
    ),
    "joined along another axis": lambda x: mx.concatenate(
        [x[..., :4] * TABLE - x[..., 4:] * (TABLE + 1), x[..., :4] * (TABLE + 1) + x[..., 4:] * TABLE], axis=1
    ),
    "another rest": lambda x: mx.concatenate(
        [
            x[..., :3] * TABLE[:, :3] - x[..., 3:6] * TABLE[:, 1:],
            x[..., :3] * TABLE[:, 1:] + x[..., 3:6] * TABLE[:, :3],
            x[..., :2],
        ],
        axis=-1,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_turns_otherwise_keeps_its_four_products(name):
    assert kinds(OTHERS[name], X)["Multiply"] == 4


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(precision):
    cases = {name: (fn, (x,)) for name, (fn, x, _) in TABLES.items()}
    cases |= {name: (fn, (X,)) for name, fn in OTHERS.items()}
    cases["rotate half"] = (lambda x: rotate_half(x, normal(5, 8), normal(5, 8, seed=1)), (X,))
    for traditional in (False, True):
        for dims in (8, 4):
            fn = lambda x, o, t=traditional, d=dims: rope(x, o, d, t, 0.5)  # noqa: E731
            cases[f"{traditional} {dims}"] = (fn, (X, mx.array([30])))
    for pairs in results(cases, precision=precision).values():
        assert_agree(pairs, {"float32": 1e-5, "float16": 4e-3}[precision])


@pytest.mark.parametrize("place", [2049, 30001])
def test_places_beyond_the_whole_numbers_of_fp16_keep_their_angles(place):
    cases = {"far": (rope, (X, mx.array([place])))}
    assert_agree(results(cases, precision="float16")["far"], 4e-3)


def test_time_steps_that_are_numbers_of_the_input_keep_their_angles():
    frequencies = mx.exp(-mx.arange(8) / 2)

    def embed(t):
        angles = t[:, None] * frequencies
        return mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=-1)

    cases = {"steps": (embed, (mx.array([999.0, 1.0, 501.5]),))}
    assert_agree(results(cases, precision="float16")["steps"], 4e-3)


def test_two_numbers_side_by_side_are_no_rotation():
    def pair(x):
        ends = [mx.expand_dims(x.min(), 0), mx.expand_dims(x.max(), 0)]
        return mx.concatenate(ends).reshape(1, 2)

    assert_agree(results({"pair": (pair, (normal(3, 4),))})["pair"])
