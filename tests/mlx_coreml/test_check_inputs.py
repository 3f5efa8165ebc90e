"""What the inputs of a graph are for, and the inputs that a check makes of that."""

import mlx.nn as nn
import numpy as np
import pytest

from mlx_coreml.capture.tracing import capture
from mlx_coreml.conversion.input_roles import Role, roles
from mlx_coreml.conversion.probes import like, probes
from twins.frameworks import mx

TABLE, PLACES = nn.Embedding(1000, 4), nn.Embedding(64, 4)
QUANTIZED = nn.Embedding(128, 64).to_quantized(32, 4)
IDS, AT = mx.arange(8)[None], mx.array(3)
CAUSAL = nn.MultiHeadAttention.create_additive_causal_mask(4)

ROLES = {
    "ids of a table": (lambda x: TABLE(x), (IDS,), [("ids", 999)]),
    "ids of a packed table": (lambda x: QUANTIZED(x), (IDS,), [("ids", 127)]),
    "where a range of positions starts": (
        lambda x, at: TABLE(x) + PLACES(mx.arange(8) + at),
        (IDS, AT),
        [("ids", 999), ("position", 56)],
    ),
    "where a cache is written": (
        lambda cache, new, at: mx.slice_update(cache, new, at, axes=[1]),
        (mx.zeros((1, 32, 2)), mx.zeros((1, 4, 2)), mx.array([3])),
        [("number", 0), ("number", 0), ("position", 28)],
    ),
    "the offset of rotary positions": (
        lambda x, at: mx.fast.rope(x, 8, traditional=False, base=1e4, scale=1.0, offset=at),
        (mx.zeros((1, 2, 4, 8)), AT),
        [("number", 0), ("position", 4096)],
    ),
    "a time step": (
        lambda x, t: x + mx.sin(t[:, None] * mx.arange(4)),
        (mx.zeros((1, 4)), mx.array([0.5])),
        [("number", 0), ("position", 1000)],
    ),
    "a product in a table": (lambda x: TABLE(x * 2), (IDS,), [("position", 7)]),
    "an additive mask": (
        lambda x, m: mx.softmax(x + m, -1),
        (mx.ones((4, 4)), CAUSAL),
        [("number", 1), ("mask", 0)],
    ),
    "a mask of truth values": (
        lambda x, m: mx.where(m, x, 0),
        (mx.ones(4), mx.ones(4) > 0),
        [("number", 1), ("mask", 1)],
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_a_graph_shows_what_an_input_is_for(name):
    fn, example, expected = ROLES[name]
    assert [(r.kind, r.highest) for r in roles(capture(fn, *example), example)] == expected


def made(example, kinds):
    return {p.name: p.arrays for p in probes(example, kinds, np.random.default_rng(0))}


def test_probes_are_zeros_ones_ends_and_another_seed():
    x = mx.array([[-2.0, 1.0], [3.0, 0.5]])
    found = made([x], [Role("number", 3.0)])
    assert list(found) == [
        "zeros",
        "ones",
        "numbers of another seed",
        "the least numbers",
        "the greatest numbers",
    ]
    values = {name: {float(v) for v in np.array(arrays[0]).ravel()} for name, arrays in found.items()}
    assert values["zeros"] == {0.0} and values["ones"] == {1.0}
    assert values["the least numbers"] == {-2.0} and values["the greatest numbers"] == {3.0}
    assert -2 <= min(values["numbers of another seed"]) < max(values["numbers of another seed"]) <= 3


def test_ids_are_taken_at_both_ends_and_drawn_from_the_whole_table():
    ids, role = mx.arange(8)[None], Role("ids", 999.0)
    found = made([ids], [role])
    assert list(found) == ["ids at both ends of the table", "numbers of another seed"]
    (ends,) = found["ids at both ends of the table"]
    assert ends.dtype == ids.dtype and set(ends.flatten().tolist()) == {0, 999}
    assert max(like(ids, role, np.random.default_rng(0)).flatten().tolist()) > 100


def test_positions_move_up_to_the_last_one_of_the_table():
    found = made([mx.array([3, 4, 5])], [Role("position", 63.0)])
    assert found["large positions"][0].tolist() == [61, 62, 63]
    assert found["zeros"][0].tolist() == [0, 0, 0] and found["ones"][0].tolist() == [1, 1, 1]


def test_a_mask_is_masked_as_a_whole_and_stays_itself_elsewhere():
    found = made([CAUSAL, mx.ones(4) > 0], [Role("mask", 0.0), Role("mask", 1.0)])
    additive, truths = found["all-masked rows"]
    assert set(np.array(additive).ravel()) == {np.array(CAUSAL).min()} and not any(truths.tolist())


def test_half_arrays_stay_half():
    x = mx.array([0.5, 2.0]).astype(mx.bfloat16)
    assert all(arrays[0].dtype == mx.bfloat16 for arrays in made([x], [Role("number", 2.0)]).values())
