"""What changes nothing is dropped, chains of reshapes and transposes are one; other nodes stay."""

import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X = normal(2, 3, 4)

NOTHING = {
    "zero added": lambda x: mx.exp(x + 0.0),
    "zero taken away": lambda x: mx.exp(x - 0.0),
    "times one": lambda x: mx.exp(1.0 * x),
    "over one": lambda x: mx.exp(x / 1.0),
    "to the first power": lambda x: mx.exp(x**1.0),
    "same type": lambda x: mx.exp(x.astype(mx.float32)),
    "all of it": lambda x: mx.exp(x[:, 0:3]),
    "there and back": lambda x: mx.exp(x.transpose(1, 2, 0).transpose(2, 0, 1)),
    "flat and back": lambda x: mx.exp(x.reshape(6, 4).reshape(2, 3, 4)),
    "wide and back": lambda x: mx.exp(x[:, None].reshape(6, 4).reshape(2, 1, 3, 4).squeeze(1)),
    "parts joined again": lambda x: mx.exp(mx.concatenate([x])),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_changes_nothing_is_dropped(name):
    assert kinds(NOTHING[name], X) == {"Exp": 1}


MERGED = {
    "reshapes": (lambda x: mx.exp(x.reshape(6, 4).reshape(3, 8)), {"Exp": 1, "Reshape": 1}),
    "with a new axis": (lambda x: mx.exp(x[:, None].reshape(6, 4)), {"Exp": 1, "Reshape": 1}),
    "transposes": (lambda x: mx.exp(x.transpose(1, 2, 0).transpose(1, 0, 2)), {"Exp": 1, "Transpose": 1}),
    "a transpose of axes of one": (
        lambda x: mx.exp(x[None].transpose(1, 0, 2, 3).reshape(6, 4)),
        {"Exp": 1, "Reshape": 1},
    ),
}


@pytest.mark.parametrize("name", MERGED)
def test_chains_are_one_node(name):
    fn, expected = MERGED[name]
    assert kinds(fn, X) == expected


KEPT = {
    "one taken from zero": (lambda x: 0.0 - x, "Subtract"),
    "one over": (lambda x: 1.0 / x, "Divide"),
    "one to the power": (lambda x: 1.0**x, "Power"),
    "times one of another shape": (lambda x: x * mx.ones((5, 2, 3, 4)), "Multiply"),
    "a cut": (lambda x: x[:, 0:2], "Slice"),
    "backwards": (lambda x: x[:, ::-1], "Slice"),
    "a transpose of equal sizes": (lambda x: x[:, :, :3].transpose(0, 2, 1), "Transpose"),
    "a reshape between transposes": (
        lambda x: x.transpose(0, 2, 1).reshape(2, 3, 4).transpose(0, 2, 1),
        "Transpose",
    ),
    "a repeat": (lambda x: mx.broadcast_to(x[:, :1], (2, 3, 4)), "Broadcast"),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_changes_something_stays(name):
    fn, kind = KEPT[name]
    assert kind in kinds(fn, X)


def test_a_reshape_that_is_read_elsewhere_stays():
    graph = simplified(lambda x: (mx.exp(x.reshape(6, 4)), x.reshape(6, 4).reshape(3, 8)), X)
    assert graph.kinds() == {"Exp": 1, "Reshape": 2}


def test_an_input_that_is_given_back_is_an_output():
    graph = simplified(lambda x: (x + 0.0, x.reshape(2, 3, 4)), X)
    assert graph.nodes == []
    assert graph.outputs == [graph.inputs[0]] * 2


def test_it_computes_what_mlx_computes():
    cases = {name: (fn, (X,)) for name, fn in NOTHING.items()}
    cases |= {name: (fn, (X,)) for name, (fn, _) in (MERGED | KEPT).items()}
    for pairs in results(cases).values():
        assert_agree(pairs)
