"""Recurrent layers: one node for all steps, MLX's gates in MIL's order; what reads other states stays."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, only, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

X, H, C = normal(2, 5, 8), normal(2, 6), normal(2, 6, seed=1)
RNN, LSTM, GRU = mnn.RNN(8, 6), mnn.LSTM(8, 6), mnn.GRU(8, 6)
BARE_LSTM, BARE_GRU, BARE_RNN = (
    mnn.LSTM(8, 6, bias=False),
    mnn.GRU(8, 6, bias=False),
    mnn.RNN(8, 6, bias=False),
)
UPPER, SINE = mnn.LSTM(6, 4), mnn.RNN(8, 6, nonlinearity=mx.sin)
mx.eval([layer.parameters() for layer in (RNN, LSTM, GRU, BARE_LSTM, BARE_GRU, BARE_RNN, UPPER, SINE)])


def last_of_both(x):
    hidden, memory = LSTM(x)
    return hidden, memory[:, -1]


def two_layers(x):
    return UPPER(LSTM(x)[0])[0][:, -1]


LAYERS = {
    "rnn": (RNN, (X,)),
    "rnn, a state before": (lambda x, h: RNN(x, h), (X, H)),
    "rnn, no bias": (BARE_RNN, (X,)),
    "rnn, one sequence": (RNN, (X[0],)),
    "lstm": (lambda x: LSTM(x)[0], (X,)),
    "lstm, states before": (lambda x, h, c: LSTM(x, h, c)[0], (X, H, C)),
    "lstm, no bias": (lambda x: BARE_LSTM(x)[0], (X,)),
    "lstm, one sequence": (lambda x: LSTM(x)[0], (X[0],)),
    "lstm, its last memory too": (last_of_both, (X,)),
    "lstm, the last step": (lambda x: LSTM(x)[0][:, -1], (X,)),
    "gru": (GRU, (X,)),
    "gru, a state before": (lambda x, h: GRU(x, h), (X, H)),
    "gru, no bias": (BARE_GRU, (X,)),
    "gru, one sequence": (GRU, (X[0],)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_one_node(name):
    fn, arrays = LAYERS[name]
    found = kinds(fn, *arrays)
    kind = name.split(",")[0]
    assert found[kind] == 1
    assert set(found) <= {kind, "Transpose", "Reshape", "Slice", "Squeeze"}


def test_layers_above_each_other_are_one_node_each():
    found = kinds(two_layers, X)
    assert found["lstm"] == 2
    assert found["Transpose"] == 2


def test_a_node_holds_the_parameters_of_its_layer():
    node = only(simplified(LAYERS["gru"][0], X), "gru")
    for found, wanted in zip(node.inputs[1:], (GRU.Wx, GRU.Wh, GRU.b, GRU.bhn), strict=True):
        np.testing.assert_array_equal(found.numpy(), np.array(wanted))


def written(step, rows=2):
    """A layer by hand: every step from the projected input and the state before."""

    def fn(x, h):
        projected, steps = x @ RNN.Wxh.T, []
        for t in range(5):
            h = step(projected[:rows, t], h)
            steps.append(h)
        return mx.stack(steps, axis=1)

    return fn


def reversed_steps(x, h):
    projected, steps = x @ RNN.Wxh.T, []
    for t in (4, 3, 2, 1, 0):
        h = mx.tanh(projected[:, t] + h @ RNN.Whh.T)
        steps.append(h)
    return mx.stack(steps, axis=1)


OTHERS = {
    "all memories": (LSTM, (X,)),
    "a memory in between": (lambda x: (lambda h, c: (h, c[:, -2]))(*LSTM(x)), (X,)),
    "another activation": (SINE, (X,)),
    "backwards": (reversed_steps, (X, H)),
    "a residual": (written(lambda x, h: mx.tanh(x + h @ RNN.Whh.T) + h), (X, H)),
    "one weight more": (written(lambda x, h: mx.tanh(x + (h @ RNN.Whh.T) @ RNN.Whh.T)), (X, H)),
    "part of the batch": (written(lambda x, h: mx.tanh(x + h @ RNN.Whh.T), rows=1), (X, H[:1])),
    "no recurrence": (lambda x: mx.stack([mx.tanh(x[:, t] @ RNN.Wxh.T) for t in range(5)], axis=1), (X,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_layer_stays_unrolled(name):
    fn, arrays = OTHERS[name]
    assert not {"lstm", "gru", "rnn"} & set(kinds(fn, *arrays))


def test_a_layer_written_by_hand_is_fused_too():
    assert kinds(written(lambda x, h: mx.tanh(x + h @ RNN.Whh.T)), X, H)["rnn"] == 1


@pytest.mark.parametrize("target", ["iOS16", "iOS17", "iOS18"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(target, precision):
    cases = LAYERS | OTHERS | {"two layers": (two_layers, (X,))}
    for pairs in results(cases, target, precision).values():
        assert_agree(pairs, {"float32": 1e-5, "float16": 8e-3}[precision])
