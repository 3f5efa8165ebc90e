"""Recurrent layers. MLX and MIL order the gates differently: LSTM i f g o and i f o g, GRU r z n and r n z.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html#module-coremltools.converters.mil.mil.ops.defs.iOS15.recurrent
"""

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.backends.mil.lowering.types import at_least
from mlx_coreml.ir.graph import Node

LSTM_ORDER, GRU_ORDER = (0, 1, 3, 2), (0, 2, 1)


@lowering("rnn")
def rnn(node: Node, x, weight, recurrent, bias, hidden=None):
    """hidden = tanh(weight @ x + bias + recurrent @ hidden)."""
    x, values, (hidden,) = _ready(node, x, (weight, recurrent, bias), (hidden,))
    names = dict(zip(("weight_ih", "weight_hh", "bias"), values, strict=True))
    return mb.rnn(x=x, initial_h=hidden, **names, activation="tanh", output_sequence=True)


@lowering("lstm")
def lstm(node: Node, x, weight, recurrent, bias, hidden=None, memory=None):
    """memory = s(f) * memory + s(i) * tanh(g), hidden = s(o) * tanh(memory)."""
    x, values, states = _ready(node, x, (weight, recurrent, bias), (hidden, memory))
    names = {
        name: _reordered(value, LSTM_ORDER)
        for name, value in zip(("weight_ih", "weight_hh", "bias"), values, strict=True)
    }
    return mb.lstm(x=x, initial_h=states[0], initial_c=states[1], **names, output_sequence=True)


@lowering("gru")
def gru(node: Node, x, weight, recurrent, bias, offset, hidden=None):
    """hidden = (1 - z) * tanh(n + r * (recurrent @ hidden + offset)) + z * hidden.

    MIL's gru has no such offset before iOS18: the steps are a loop there.
    """
    x, values, (hidden,) = _ready(node, x, (weight, recurrent, bias, offset), (hidden,))
    if not at_least(ct.target.iOS18):
        return _gru_loop(x, *values, hidden)
    weight, recurrent, bias = (_reordered(value, GRU_ORDER) for value in values[:3])
    zeros = np.zeros_like(values[3])
    return mb.gru(
        x=x,
        initial_h=hidden,
        weight_ih=weight,
        weight_hh=recurrent,
        input_bias=bias,
        bias=np.concatenate([zeros, values[3], zeros]),
        reset_after=True,
        output_sequence=True,
    )


def _gru_loop(x, weight, recurrent, bias, offset, hidden):
    """A GRU as a loop over its steps, whose results are written into a list."""
    T, (B, H) = x.shape[0], hidden.shape
    zeros = np.zeros_like(offset)
    projected = mb.linear(x=x, weight=weight, bias=bias)
    steps = mb.make_list(init_length=T, dynamic_length=False, elem_shape=(B, H), dtype=_word(x))

    def more(i, _, __):
        return mb.less(x=i, y=T)

    def step(i, hidden, steps):
        gates = mb.linear(x=hidden, weight=recurrent, bias=np.concatenate([zeros, zeros, offset]))
        now = mb.squeeze(x=mb.gather(x=projected, indices=i, axis=0), axes=[0])
        r_h, z_h, n_h = mb.split(x=gates, num_splits=3, axis=-1)
        r_x, z_x, n_x = mb.split(x=now, num_splits=3, axis=-1)
        r, z = mb.sigmoid(x=mb.add(x=r_x, y=r_h)), mb.sigmoid(x=mb.add(x=z_x, y=z_h))
        candidate = mb.tanh(x=mb.add(x=n_x, y=mb.mul(x=r, y=n_h)))
        kept = mb.mul(x=z, y=mb.sub(x=hidden, y=candidate))
        made = mb.add(x=candidate, y=kept)
        return mb.add(x=i, y=1), made, mb.list_write(ls=steps, index=i, value=made)

    start = mb.fill(shape=[1], value=np.int32(0))
    _, last, steps = mb.while_loop(_cond=more, _body=step, loop_vars=(start, hidden, steps))
    return mb.list_gather(ls=steps, indices=np.arange(T, dtype=np.int32)), last


def _ready(node: Node, x, constants, states):
    """Inputs in a type that MIL's layers take, fp32 before iOS17; states of zeros where there are none."""
    if not at_least(ct.target.iOS17) and _word(x) == "fp16":
        x = mb.cast(x=x, dtype="fp32")
        states = [s if s is None else mb.cast(x=s, dtype="fp32") for s in states]
    kind = types.nptype_from_builtin(x.dtype)
    zeros = np.zeros(node.outputs[1].shape, kind)
    return x, [c.val.astype(kind) for c in constants], [zeros if s is None else s for s in states]


def _reordered(value: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The rows of every gate in another order of gates."""
    gates = np.split(value, len(order))
    return np.concatenate([gates[i] for i in order])


def _word(x) -> str:
    return types.builtin_to_string(x.dtype)
