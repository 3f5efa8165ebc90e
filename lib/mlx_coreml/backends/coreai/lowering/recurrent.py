"""Recurrent layers, step by step: the public interface has no loops and no recurrent operations.

MLX orders the gates of an LSTM i f g o and those of a GRU r z n.
"""

from __future__ import annotations

from collections.abc import Callable

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import add, mul, sub
from mlx_coreml.backends.coreai.lowering.products import product
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.values import Value, concat, dtype, part, reshape, shape, swap_last
from mlx_coreml.ir.graph import Node


@lowering("rnn")
def rnn(node: Node, x: Value, weight: Value, recurrent: Value, bias: Value, hidden=None) -> tuple:
    """hidden = tanh(weight @ x + bias + recurrent @ hidden)."""

    def cell(now: Value, before: Value, state: list[Value]) -> list[Value]:
        return [ca.tanh(add(now, before))]

    return _steps(node, x, (weight, recurrent, bias), [hidden], cell)


@lowering("lstm")
def lstm(
    node: Node, x: Value, weight: Value, recurrent: Value, bias: Value, hidden=None, memory=None
) -> tuple:
    """memory = s(f) * memory + s(i) * tanh(g), hidden = s(o) * tanh(memory)."""

    def cell(now: Value, before: Value, state: list[Value]) -> list[Value]:
        i, f, g, o = _gates(add(now, before), 4)
        memory = add(mul(ca.sigmoid(f), state[1]), mul(ca.sigmoid(i), ca.tanh(g)))
        return [mul(ca.sigmoid(o), ca.tanh(memory)), memory]

    return _steps(node, x, (weight, recurrent, bias), [hidden, memory], cell)


@lowering("gru")
def gru(
    node: Node, x: Value, weight: Value, recurrent: Value, bias: Value, offset: Value, hidden=None
) -> tuple:
    """hidden = (1 - z) * tanh(n + r * (recurrent @ hidden + offset)) + z * hidden."""

    def cell(now: Value, before: Value, state: list[Value]) -> list[Value]:
        (r, z, n), (r_h, z_h, n_h) = _gates(now, 3), _gates(before, 3)
        r, z = ca.sigmoid(add(r, r_h)), ca.sigmoid(add(z, z_h))
        candidate = ca.tanh(add(n, mul(r, add(n_h, offset))))
        return [add(candidate, mul(z, sub(state[0], candidate)))]

    return _steps(node, x, (weight, recurrent, bias), [hidden], cell)


def _gates(x: Value, count: int) -> list[Value]:
    """The last axis in equal parts."""
    width = shape(x)[-1] // count
    return [part(x, [range(shape(x)[0]), range(i * width, (i + 1) * width)]) for i in range(count)]


def _steps(node: Node, x: Value, weights: tuple, states: list, cell: Callable) -> tuple:
    """All steps of x (T, B, I): the hidden states (T, B, H), and the last of each state (B, H)."""
    weight, recurrent, bias = weights
    zeros = np.zeros(node.outputs[1].shape, dtype(x))
    state = [zeros if each is None else each for each in states]
    projected = add(product(x, swap_last(weight)), bias)  # (T, B, I) -> (T, B, gates * H)
    _, *rest = shape(projected)
    made = []
    for time in range(shape(x)[0]):
        now = reshape(part(projected, [range(time, time + 1), *map(range, rest)]), rest)
        state = cell(now, product(state[0], swap_last(recurrent)), state)
        made.append(reshape(state[0], (1, *shape(state[0]))))
    return (concat(made, 0), *state)
