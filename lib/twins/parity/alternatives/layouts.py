"""The order in which numbers lie: flattened channels, heads split and merged, axes, (n, 1) with (n,)."""

import itertools
import math
from collections.abc import Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    USUAL,
    Around,
    Option,
    is_array,
    shape,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)

RESHAPES = ("reshape", "flatten", "unflatten", "squeeze", "einsum_reshape")
TURNS = ("permute", "transpose", "swapaxes", "moveaxis", "movedim")
ELEMENTWISE = {
    *(
        "add",
        "sub",
        "mul",
        "div",
        "rsub",
        "rdiv",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "where",
    ),
    *("binary_cross_entropy_with_logits", "binary_cross_entropy", "maximum", "minimum", "gaussian_nll_loss"),
    *("log_cosh_loss", "kl_div", "pow"),
}
MOST = 6  # axes of which every order is tried


def permuted(array: object, order: Sequence[int]) -> object:
    """An array of either framework with its axes in this order."""
    return array.permute(*order) if hasattr(array, "permute") else mx.transpose(array, list(order))


def reshaped(array: object, sizes: Sequence[int]) -> object:
    """An array of either framework in another shape."""
    return array.reshape(tuple(sizes)) if hasattr(array, "permute") else mx.reshape(array, list(sizes))


def flattened(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Axes that are joined or split in another order."""
    if op.name not in RESHAPES or not op.args or not is_array(op.args[0]) or not is_array(op.result):
        return
    before, after = shape(op.args[0]), shape(op.result)
    if 2 < len(before) <= MOST and len(after) < len(before):
        told = "both hold the same numbers in another order: axes are flattened in another order, as when "
        told += "channels-last (MLX) and channels-first (PyTorch) are flattened alike"
        if len(after) == len(before) - 1 and len(before) == 4 and before[-1] * before[-2] == after[-1]:
            told = "heads are merged in another order"
        for order in _orders(len(before)):
            if tuple(before[i] for i in order) != before or order != tuple(range(len(before))):

                def instead(function, args, options, seen, order=order):
                    return reshaped(permuted(args[0], order), after)

                yield Option(told, {op.place: instead}, MILD if order[0] == 0 else USUAL)
    if len(after) > len(before) and len(after) <= MOST:
        yield from _split(op, before, after)
    elif len(after) == len(before) and before != after:
        told = "an array is given another shape where its axes are to be transposed (or the reverse)"
        for order in _orders(len(before)):
            if tuple(before[i] for i in order) == after:
                yield Option(told, {op.place: lambda f, a, o, s, order=order: permuted(a[0], order)}, MILD)


def _split(op: Operation, before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[Option]:
    """An axis split into the same parts, of which another is the outer one."""
    told = (
        "an axis is split into its parts, such as heads, in another order: what is the outer part in {this} "
    )
    told += "is the inner one in {other}"
    for order in _orders(len(after)):
        sizes = [after[i] for i in order]
        back = [order.index(i) for i in range(len(after))]

        def instead(function, args, options, seen, sizes=sizes, back=back):
            return permuted(reshaped(args[0], sizes), back)

        yield Option(told, {op.place: instead}, MILD if order[0] == 0 else USUAL)
    told = "an array is given another shape where its axes are to be transposed (or the reverse)"
    if math.prod(before) and len(before) > 1:
        for order in _orders(len(before)):
            if order != tuple(range(len(before))):

                def moved(function, args, options, seen, order=order):
                    return reshaped(permuted(args[0], order), after)

                yield Option(told, {op.place: moved}, USUAL)


def _orders(rank: int) -> list[tuple[int, ...]]:
    """Orders of the axes, those that leave the first in place first; of many axes only those."""
    rest = [(0, *order) for order in itertools.permutations(range(1, rank))]
    moved = [order for order in itertools.permutations(range(rank)) if order[0]] if rank <= 4 else []
    return [order for order in [*rest, *moved][:150] if order != tuple(range(rank))]


def turned(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Axes that are transposed otherwise, or not at all."""
    if op.name not in TURNS or not op.args or not is_array(op.args[0]) or not is_array(op.result):
        return
    rank = len(shape(op.args[0]))
    if not 1 < rank <= MOST:
        return
    told = "{this} transposes axes of an array that {other} leaves in place"
    yield Option(told, {op.place: lambda f, a, o, s: a[0]}, MILD)
    told = (
        "{this} transposes axes of an array and {other} others: both hold the same numbers in another order"
    )
    for order in _orders(rank):
        yield Option(told, {op.place: lambda f, a, o, s, order=order: permuted(a[0], order)}, USUAL)
    told = "{this} transposes axes where {other} gives the array another shape (reshape)"
    sizes = shape(op.result)
    yield Option(told, {op.place: lambda f, a, o, s: reshaped(a[0], sizes)}, USUAL)


def broadcast(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Two arrays that are broadcast, such as (n, 1) with (n,), taken entry by entry; and the reverse."""
    if op.name not in ELEMENTWISE:
        return
    held = [(i, each) for i, each in enumerate(op.args) if shape(each)]
    for (i, one), (j, two) in itertools.combinations(held, 2):
        for at, (small, large) in ((i, (one, two)), (j, (two, one))):
            first, second = shape(small), shape(large)
            if math.prod(first) == math.prod(second) and first != second:
                told = f"in {{this}} {first} is broadcast with {second}; {{other}} takes them entry by entry"
                yield Option(told, {op.place: _shaped(at, second)}, MILD)
            if len(first) == len(second) == 1 or (first == second and first[-1:] == (1,)):
                told = f"in {{other}} ({first[0]}, 1) is broadcast with ({first[0]},); {{this}} takes them "
                yield Option(
                    told + "entry by entry", {op.place: _shaped(at, (first[0], 1), (first[0],))}, USUAL
                )


def _shaped(at: int, sizes: tuple[int, ...], rest: tuple[int, ...] | None = None):
    def instead(function, args, options, seen):
        listed = [
            reshaped(each, sizes if i == at else rest) if i == at or (rest and shape(each)) else each
            for i, each in enumerate(args)
        ]
        return function(*listed, **options)

    return instead


def masked_axes(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A mask or a vector that is broadcast along another axis of a square array."""
    if op.name not in ELEMENTWISE | {"masked_fill", "logical_and"}:
        return
    told = "{this} broadcasts an array of shape {of} along one axis and {other} along another"
    for at, each in enumerate(op.args):
        if not shape(each) or 1 not in shape(each) or len(shape(each)) < 2:
            continue
        for order in _orders(len(shape(each))):
            if tuple(shape(each)[i] for i in order) != shape(each):

                def instead(function, args, options, seen, at=at, order=order):
                    return function(*args[:at], permuted(args[at], order), *args[at + 1 :], **options)

                yield Option(told.replace("{of}", str(shape(each))), {op.place: instead}, COARSE)


def multiplied(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A matrix product with one of its operands transposed."""
    if op.name not in ("matmul", "linear", "bmm"):
        return
    for at, each in enumerate(op.args[:2]):
        if len(shape(each)) > 1 and shape(each)[-1] == shape(each)[-2]:
            what = (
                ("the first", "the second")[at]
                if op.name != "linear"
                else ("what is given", "the weight")[at]
            )

            def instead(function, args, options, seen, at=at):
                rank = len(shape(args[at]))
                order = (*range(rank - 2), rank - 1, rank - 2)
                return function(*args[:at], permuted(args[at], order), *args[at + 1 :], **options)

            told = f"{{other}} multiplies with {what} operand transposed"
            yield Option(told.replace("weight operand", "weight"), {op.place: instead}, USUAL)


FAMILIES = (flattened, turned, broadcast, masked_axes, multiplied)
