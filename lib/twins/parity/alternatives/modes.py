"""Recurrent nets, norms in training or evaluation, dropout, groups, biases: PyTorch's layers as functions."""

from collections.abc import Iterator, Sequence

from twins.parity.alternatives.layers import CONVOLUTIONS, TRANSPOSED
from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    MILD,
    USUAL,
    Around,
    Option,
    compare,
    is_array,
    shape,
    value,
    with_value,
)

import torch  # isort: skip  (after parity: the BLAS)
from torch.nn import functional as F  # isort: skip


def recurrent(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """PyTorch's recurrent nets: batch first or time first, directions exchanged or run the other way."""
    if not op.torch or op.name not in ("lstm", "gru", "rnn_tanh", "rnn_relu") or len(op.args) < 9:
        return
    first = bool(op.args[8])
    words = ("the first axis is the batch (batch_first)", "the first axis is time")

    def exchanged(function, args, options, seen):
        count = shape(args[0])[0 if not first else 1]
        hidden = args[1] if isinstance(args[1], tuple | list) else [args[1]]
        fresh = [h.new_zeros(h.shape[0], count, h.shape[2]) for h in hidden]
        state = tuple(fresh) if isinstance(args[1], tuple | list) else fresh[0]
        return function(args[0], state, *args[2:8], not first)

    own, other = words if first else words[::-1]
    yield compare(op, "in a recurrent net", own, other, exchanged, MILD)

    def backwards(function, args, options, seen):
        time = 1 if first else 0
        result = function(args[0].flip(time), *args[1:], **options)
        return (result[0].flip(time), *result[1:])

    yield compare(op, "a recurrent net runs", "forwards", "backwards in time", backwards, MILD)
    if op.args[7]:

        def directions(function, args, options, seen):
            result = function(*args, **options)
            return (torch.cat(result[0].chunk(2, -1)[::-1], -1), *result[1:])

        yield compare(
            op, "the two directions are joined", "forwards first", "backwards first", directions, MILD
        )


def trained(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Batch norm by its running statistics or by those of the batch; dropout on or off; other groups."""
    if op.torch and op.name in ("batch_norm", "instance_norm"):
        at = 5
        names = ("training",) if op.name == "batch_norm" else ("use_input_stats",)
        now = bool(value(op, at, *names, default=False))
        words = ("by those of the batch (training)", "by its running statistics (evaluation)")
        own, other = words if now else words[::-1]
        kind = "batch norm" if op.name == "batch_norm" else "instance norm"
        yield compare(op, f"{kind} normalises", own, other, with_value(at, names, not now), MILD)
        if op.name == "batch_norm":
            told = (
                "the batch norm of {this} normalises over the batch, that of {other} every example by itself"
            )

            def single(function, args, options, seen):
                weight, bias, eps = (
                    value(op, 3, "weight"),
                    value(op, 4, "bias"),
                    value(op, 7, "eps", default=1e-5),
                )
                return F.instance_norm(args[0], weight=weight, bias=bias, eps=eps)

            yield Option(told, {op.place: single}, USUAL)
    if op.torch and op.name == "group_norm":
        channels = shape(op.args[0])[1]
        for groups in (g for g in range(1, channels + 1) if channels % g == 0 and g != op.args[1]):
            yield compare(
                op,
                "the number of groups is",
                str(op.args[1]),
                str(groups),
                with_value(1, ("num_groups",), groups),
                MILD,
            )
        yield _grouped(op)
    if op.name.endswith("dropout") and op.torch:
        told = "dropout is on in {this} and off in {other}"
        yield Option(told, {op.place: lambda f, a, o, s: a[0]}, MILD)


def _grouped(op: Operation) -> Option:
    """Group norm over the channels that MLX groups by default: every n-th one."""

    def instead(function, args, options, seen):
        x, groups = args[0], args[1]
        count = shape(x)[1]
        order = torch.arange(count).reshape(count // groups, groups).T.reshape(-1)
        made = function(x[:, order], groups, eps=value(op, 4, "eps", default=1e-5))[:, order.argsort()]
        sizes = (1, -1) + (1,) * (len(shape(x)) - 2)
        weight, bias = value(op, 2, "weight"), value(op, 3, "bias")
        made = made * weight.reshape(sizes) if weight is not None else made
        return made + bias.reshape(sizes) if bias is not None else made

    told = "its `pytorch_compatible` is False in MLX (the default), which groups other channels"
    return Option(told, {op.place: instead}, MILD)


def biased(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A linear layer or convolution without its bias."""
    if op.name not in ("linear", *CONVOLUTIONS, *TRANSPOSED) or not op.torch:
        return
    if is_array(value(op, 2, "bias")):
        told = "{this} adds the bias of a layer, {other} does not"
        yield Option(told, {op.place: with_value(2, ("bias",), None)}, MILD)


FAMILIES = (recurrent, trained, biased)
