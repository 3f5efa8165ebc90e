"""Recurrent layers over x (sequence, batch, features).

The outputs of `reverse` stay in the order in which they were computed.
Gate order in the weights: LSTM input, forget, output, cell; GRU reset, output, update.
"""

import torch
import torch.nn.functional as F

from coreml_runtime.operations.registry import Tensor, operation


def _hard_sigmoid(x: Tensor) -> Tensor:
    return torch.clamp(0.2 * x + 0.5, 0, 1)


ACTIVATIONS = {
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid_hard": _hard_sigmoid,
    "linear": lambda x: x,
    "relu": torch.relu,
    "scaled_tanh": torch.tanh,  # alpha and beta cannot be given: both are 1
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


@operation("rnn")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
):
    apply = ACTIVATIONS[activation.lower()]
    steps, h = [], initial_h
    for z in F.linear(_ordered(x, direction), weight_ih, bias):
        h = apply(z + F.linear(h, weight_hh))
        steps.append(h)
    return _sequence(steps, output_sequence), h


@operation("gru")
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Tensor | None = None,
):
    gate, apply = ACTIVATIONS[recurrent_activation.lower()], ACTIVATIONS[activation.lower()]
    bias = torch.zeros(weight_hh.shape[0]) if bias is None else bias
    (w_r, w_o, w_z), (b_r, b_o, b_z) = weight_hh.chunk(3), bias.chunk(3)
    steps, h = [], initial_h
    for step in F.linear(_ordered(x, direction), weight_ih, input_bias):
        x_r, x_o, x_z = step.chunk(3, dim=-1)
        r = gate(x_r + F.linear(h, w_r, b_r))
        z = gate(x_z + F.linear(h, w_z, b_z))
        recurrent = r * F.linear(h, w_o, b_o) if reset_after else F.linear(r * h, w_o, b_o)
        h = torch.lerp(apply(x_o + recurrent), h, z)
        steps.append(h)
    return _sequence(steps, output_sequence), h


@operation("lstm")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
):
    functions = (recurrent_activation.lower(), cell_activation.lower(), activation.lower())
    ways = [(weight_ih, weight_hh, bias, peephole)]
    if direction == "bidirectional":
        ways.append((weight_ih_back, weight_hh_back, bias_back, peephole_back))
    sequences, last_h, last_c = [], [], []
    states = zip(ways, initial_h.chunk(len(ways), -1), initial_c.chunk(len(ways), -1), strict=True)
    for i, (weights, h, c) in enumerate(states):
        flipped = i == 1 or direction == "reverse"
        y, h, c = _lstm(x.flip(0) if flipped else x, h, c, *weights, functions, clip)
        sequences.append(y.flip(0) if i == 1 else y)
        last_h.append(h)
        last_c.append(c)
    h, c = torch.cat(last_h, dim=-1), torch.cat(last_c, dim=-1)
    return (torch.cat(sequences, dim=-1) if output_sequence else h.unsqueeze(0)), h, c


def _lstm(x, h, c, weight_ih, weight_hh, bias, peephole, functions, clip):
    """One direction: (sequence, batch, H), and the last hidden and cell state (batch, H)."""
    if functions == ("sigmoid", "tanh", "tanh") and peephole is None and clip is None:
        bias = torch.zeros(weight_hh.shape[0]) if bias is None else bias
        weights = [_torch_gates(w) for w in (weight_ih, weight_hh, bias)]
        states = (h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous())
        parameters = [*weights, torch.zeros_like(bias)]
        y, h, c = torch.lstm(x, states, parameters, True, 1, 0.0, False, False, False)
        return y, h.squeeze(0), c.squeeze(0)
    return _lstm_steps(x, h, c, weight_ih, weight_hh, bias, peephole, functions, clip)


def _lstm_steps(x, h, c, weight_ih, weight_hh, bias, peephole, functions, clip):
    gate, candidate, output = (ACTIVATIONS[name] for name in functions)
    p_i, p_f, p_o = peephole.chunk(3) if peephole is not None else (0.0, 0.0, 0.0)
    steps = []
    for step in F.linear(x, weight_ih, bias):
        x_i, x_f, x_o, x_g = (step + F.linear(h, weight_hh)).chunk(4, dim=-1)
        c = gate(x_f + p_f * c) * c + gate(x_i + p_i * c) * candidate(x_g)
        c = c if clip is None else c.clamp(-clip, clip)
        h = gate(x_o + p_o * c) * output(c)
        steps.append(h)
    return torch.stack(steps), h, c


def _torch_gates(weight: Tensor) -> Tensor:
    """MIL's rows input, forget, output, cell in torch's order: input, forget, cell, output."""
    i, f, o, g = weight.chunk(4)
    return torch.cat([i, f, g, o])


def _ordered(x: Tensor, direction: str) -> Tensor:
    return x.flip(0) if direction == "reverse" else x


def _sequence(steps: list[Tensor], whole: bool) -> Tensor:
    return torch.stack(steps) if whole else steps[-1].unsqueeze(0)
