"""Attention: scale, causal mask, masks of padding, what is a query and what a key; and rotary positions."""

import itertools
import math
from collections.abc import Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    MILD,
    USUAL,
    Around,
    Option,
    compare,
    is_array,
    put,
    shape,
    value,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import torch  # isort: skip

BASES = (10_000.0, 1_000.0, 100_000.0, 500_000.0, 1_000_000.0)


def scales(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Another scale of the scores."""
    if op.name != "attention":
        return
    query, key = op.args[0], op.args[1]
    depth, heads = shape(query)[-1], shape(query)[1] if len(shape(query)) > 3 else 1
    usual = 1 / math.sqrt(depth)
    now = value(op, 9, "scale", default=usual)
    now = usual if now is None else now
    tried = [
        usual,
        1 / math.sqrt(depth * heads),
        1.0,
        1 / depth,
        math.sqrt(depth),
        1 / math.sqrt(shape(key)[-2]),
    ]
    tried += [n for n in around.numbers if 0 < n < 100] + [1 / n for n in around.numbers if n > 0.01]
    tried += [1 / math.sqrt(heads), 1 / math.sqrt(2 * depth), 1 / math.sqrt(max(1, depth // 2))]
    for new in dict.fromkeys(tried):
        if abs(new - now) > 1e-6 * now:

            def instead(function, args, options, seen, new=new):
                return function(*args, **{**options, "scale": float(new)})

            own, other = scale_words(now, depth), scale_words(new, depth)
            yield Option("MLX {mlx}, PyTorch {torch}", {op.place: instead}, MILD, own, other)


def scale_words(scale: float, depth: int) -> str:
    """A scale of attention in words."""
    if abs(scale - 1) < 1e-6:
        return "does not scale attention's scores"
    square = 1 / (scale * scale)
    if (
        abs(square - round(square)) < 1e-4
        and round(square) > 1
        and round(math.sqrt(square)) ** 2 != round(square)
    ):
        return f"divides attention's scores by the root of {round(square)}"
    if abs(square - depth) < 1e-4:
        return f"divides attention's scores by the root of {depth}"
    if abs(1 / scale - round(1 / scale)) < 1e-5 and round(1 / scale) == depth:
        return f"divides attention's scores by {depth}"
    return f"multiplies attention's scores by {scale:.4g}"


def exchanged(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Queries, keys and values in another order; the keys' heads repeated in another order."""
    if op.name == "attention":
        words = ("queries", "keys", "values")
        for order in itertools.permutations(range(3)):
            if order != (0, 1, 2):
                moved = ", ".join(f"{words[i]} for {words[n]}" for n, i in enumerate(order) if n != i)

                def instead(function, args, options, seen, order=order):
                    return function(*[args[i] for i in order], *args[3:], **options)

                yield Option(f"{{other}} takes {{this}}'s {moved}", {op.place: instead}, USUAL)
    if op.name in ("repeat_interleave", "repeat", "tile") and len(op.args) > 1 and is_array(op.args[0]):
        yield from _repeated(op)


def _repeated(op: Operation) -> Iterator[Option]:
    x, now = op.args[0], op.result
    grown = [i for i, (a, b) in enumerate(zip(shape(x), shape(now), strict=False)) if b > a]
    if len(shape(x)) != len(shape(now)) or len(grown) != 1:
        return
    axis, times = grown[0], shape(now)[grown[0]] // shape(x)[grown[0]]
    tiled = op.name == "tile" or (op.torch and op.name == "repeat")

    def instead(function, args, options, seen):
        maker = torch if op.torch else mx
        if tiled:
            return (
                maker.repeat_interleave(args[0], times, axis)
                if op.torch
                else maker.repeat(args[0], times, axis)
            )
        join = torch.cat if op.torch else mx.concatenate
        return join([args[0]] * times, axis)

    words = ("the whole one after the other", "each entry next to itself")
    own, other = words if tiled else words[::-1]
    yield compare(op, f"axis {axis} is repeated {times} times", own, other, instead, MILD)


def rotary(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """MLX's rotary positions with other settings."""
    if op.name != "rope":
        return
    now = {
        name: value(op, 1 if name == "dims" else 9, name)
        for name in ("traditional", "base", "scale", "offset", "dims")
    }
    numbers = [n for n in around.numbers if n > 1]
    halves = {True: "interleaved pairs (traditional)", False: "the two halves of a head"}
    tried: list[tuple[str, object, str, str]] = []
    flag = bool(now["traditional"])
    tried.append(("traditional", not flag, halves[flag], halves[not flag]))
    tried += [("base", n, f"of base {now['base']}", f"of base {n:g}") for n in (*BASES, *numbers)]
    tried += [
        ("scale", n, f"at scale {now['scale']}", _rope_scale(n)) for n in (1.0, 0.5, 2.0, -1.0, *numbers)
    ]
    tried += [("offset", n, f"from position {now['offset']}", f"from position {n}") for n in (0, 1, -1, 2)]
    dims = now["dims"] or shape(op.args[0])[-1]
    tried += [
        ("dims", n, f"{dims} entries", f"{n} entries") for n in (dims // 2, dims * 2, shape(op.args[0])[-1])
    ]
    for name, new, own, other in tried:
        if new != now[name]:

            def instead(function, args, options, seen, name=name, new=new):
                args, options = put(args, options, 1 if name == "dims" else 9, (name,), new)
                return function(*args, **options)

            yield compare(
                op,
                "rotary positions (rope) turn"
                if name in ("traditional", "dims")
                else "rotary positions (rope) are",
                own,
                other,
                instead,
                MILD,
            )


def _rope_scale(scale: float) -> str:
    return "turned (rotated) the other way, with another sign" if scale == -1 else f"at scale {scale:.4g}"


FAMILIES = (scales, exchanged, rotary)
