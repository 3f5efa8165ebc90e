"""Cases of LSTM, GRU and RNN, against torch and against the documented equations in NumPy."""

import numpy as np
import torch
from cases import add, floats
from torch import nn

SEQUENCE, STEPS, BATCH, FEATURES, HIDDEN = floats(5, 2, 3), 5, 2, 3, 4


def gates(count, seed):
    return (
        floats(count * HIDDEN, FEATURES, seed=seed),
        floats(count * HIDDEN, HIDDEN, seed=seed + 1),
        floats(count * HIDDEN, seed=seed + 2),
    )


def torch_lstm(x, h, c, bidirectional=False, reverse=False):
    layer = nn.LSTM(FEATURES, HIDDEN, bidirectional=bidirectional)
    for suffix, seed in (("", 10), ("_reverse", 20))[: 1 + bidirectional]:
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"), gates(4, seed), strict=True):
            i, f, o, g = np.split(value, 4)
            getattr(layer, name + suffix).data = torch.from_numpy(np.concatenate([i, f, g, o]))
        getattr(layer, f"bias_hh_l0{suffix}").data.zero_()
    ways = 1 + bidirectional
    split = [torch.from_numpy(np.stack(np.split(state, ways, -1))) for state in (h, c)]
    y, (h, c) = layer(torch.from_numpy(x[::-1].copy() if reverse else x), tuple(split))
    return y.detach().numpy(), *(torch.cat(list(state), -1).detach().numpy() for state in (h, c))


W, U, BIAS = gates(4, 10)
LSTM = {"weight_ih": W.tolist(), "weight_hh": U.tolist(), "bias": BIAS.tolist(), "output_sequence": True}
H0, C0 = floats(BATCH, HIDDEN, seed=5), floats(BATCH, HIDDEN, seed=6)
add(
    "lstm",
    x=SEQUENCE,
    initial_h=H0,
    initial_c=C0,
    **LSTM,
    expected=lambda x, initial_h, initial_c: torch_lstm(x, initial_h, initial_c),
)
add(
    "lstm",
    "reverse",
    x=SEQUENCE,
    initial_h=H0,
    initial_c=C0,
    **LSTM,
    direction="reverse",
    expected=lambda x, initial_h, initial_c: torch_lstm(x, initial_h, initial_c, reverse=True),
)
add(
    "lstm",
    "last",
    x=SEQUENCE,
    initial_h=H0,
    initial_c=C0,
    **{**LSTM, "output_sequence": False},
    expected=lambda x, initial_h, initial_c: (lambda y, h, c: (h[None], h, c))(
        *torch_lstm(x, initial_h, initial_c)
    ),
)
WB, UB, BB = gates(4, 20)
add(
    "lstm",
    "bidirectional",
    x=SEQUENCE,
    initial_h=floats(BATCH, 2 * HIDDEN, seed=5),
    initial_c=floats(BATCH, 2 * HIDDEN, seed=6),
    **LSTM,
    direction="bidirectional",
    weight_ih_back=WB.tolist(),
    weight_hh_back=UB.tolist(),
    bias_back=BB.tolist(),
    expected=lambda x, initial_h, initial_c: torch_lstm(x, initial_h, initial_c, bidirectional=True),
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_lstm(x, initial_h, initial_c, peephole, clip):
    """The equations of MIL's `lstm`, with peepholes and clipping, in NumPy."""
    h, c, steps = initial_h, initial_c, []
    p_i, p_f, p_o = np.split(peephole, 3)
    for step in x:
        i, f, o, g = np.split(step @ W.T + h @ U.T + BIAS, 4, axis=-1)
        c = np.clip(sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g), -clip, clip)
        h = sigmoid(o + p_o * c) * np.tanh(c)
        steps.append(h)
    return np.stack(steps), h, c


PEEPHOLE = floats(3 * HIDDEN, seed=8)
add(
    "lstm",
    "peephole-clip",
    x=SEQUENCE,
    initial_h=H0,
    initial_c=C0,
    **LSTM,
    peephole=PEEPHOLE.tolist(),
    clip=0.6,
    expected=lambda x, initial_h, initial_c: numpy_lstm(x, initial_h, initial_c, PEEPHOLE, 0.6),
)


def numpy_gru(x, h, reset_after=False, input_bias=0.0):
    steps = []
    for step in x:
        x_r, x_o, x_z = np.split(step @ GW.T + input_bias, 3, axis=-1)
        (w_r, w_o, w_z), (b_r, b_o, b_z) = np.split(GU, 3), np.split(GB, 3)
        r, z = sigmoid(x_r + h @ w_r.T + b_r), sigmoid(x_z + h @ w_z.T + b_z)
        inner = r * (h @ w_o.T + b_o) if reset_after else (r * h) @ w_o.T + b_o
        h = (1 - z) * np.tanh(x_o + inner) + z * h
        steps.append(h)
    return np.stack(steps), h


GW, GU, GB = gates(3, 30)
GRU = {"weight_ih": GW.tolist(), "weight_hh": GU.tolist(), "bias": GB.tolist(), "output_sequence": True}
add("gru", x=SEQUENCE, initial_h=H0, **GRU, expected=lambda x, initial_h: numpy_gru(x, initial_h))
add(
    "gru",
    "reverse",
    x=SEQUENCE,
    initial_h=H0,
    **GRU,
    direction="reverse",
    expected=lambda x, initial_h: numpy_gru(x[::-1], initial_h),
)
INPUT_BIAS = floats(3 * HIDDEN, seed=40)
add(
    "gru",
    "reset-after",
    18,
    x=SEQUENCE,
    initial_h=H0,
    **GRU,
    reset_after=True,
    input_bias=INPUT_BIAS.tolist(),
    expected=lambda x, initial_h: numpy_gru(x, initial_h, True, INPUT_BIAS),
)
RW, RU, RB = gates(1, 50)


def numpy_rnn(x, h):
    steps = []
    for step in x:
        h = np.tanh(step @ RW.T + h @ RU.T + RB)
        steps.append(h)
    return np.stack(steps), h


RNN = {"weight_ih": RW.tolist(), "weight_hh": RU.tolist(), "bias": RB.tolist(), "output_sequence": True}
add("rnn", x=SEQUENCE, initial_h=H0, **RNN, expected=lambda x, initial_h: numpy_rnn(x, initial_h))
add(
    "rnn",
    "reverse",
    x=SEQUENCE,
    initial_h=H0,
    **RNN,
    direction="reverse",
    expected=lambda x, initial_h: numpy_rnn(x[::-1], initial_h),
)
