"""The parts of a stacked axis are cut in place, without an axis of their own; other splits stay."""

import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, simplified

X = normal(2, 5, 24)


def stacked(x, order=(2, 0, 3, 1, 4)):
    return x.reshape(2, 5, 3, 4, 2).transpose(*order)


def qkv(x):
    q, k, v = stacked(x)
    return q, k, v


IN_PLACE = {
    "q, k, v": (qkv, {"Reshape": 1, "Transpose": 1, "Split": 1}),
    "without a transpose": (
        lambda x: [p.squeeze(2) for p in x.reshape(2, 5, 3, 8).split(3, axis=2)],
        {"Split": 1},
    ),
    "another order": (
        lambda x: list(stacked(x, (2, 1, 0, 4, 3))),
        {"Reshape": 1, "Transpose": 1, "Split": 1},
    ),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_parts_are_cut_in_place(name):
    fn, expected = IN_PLACE[name]
    assert kinds(fn, X) == expected


OTHERS = {
    "a part keeps its axis": lambda x: stacked(x).split(3, axis=0),
    "parts of two": lambda x: [p.squeeze(3) for p in x.reshape(2, 5, 6, 1, 4).split(3, axis=2)],
    "the stack is the last axis": lambda x: [p.squeeze(3) for p in x.reshape(2, 5, 8, 3).split(3, axis=3)],
    "nothing was reshaped": lambda x: list(x.transpose(1, 0, 2)),
    "a part is read twice": lambda x: [*qkv(x), stacked(x).split(3, axis=0)[0]],
}


@pytest.mark.parametrize(("name", "axis"), zip(OTHERS, (0, 2, 3, 0, 0), strict=True))
def test_other_splits_stay(name, axis):
    graph = simplified(OTHERS[name], X)
    (split,) = [node for node in graph.nodes if node.kind == "Split"]
    assert split.arguments[1] == axis


def test_it_computes_what_mlx_computes():
    cases = {name: (fn, (X,)) for name, (fn, _) in IN_PLACE.items()} | {
        n: (f, (X,)) for n, f in OTHERS.items()
    }
    for pairs in results(cases).values():
        assert_agree(pairs)
