"""Which positions and parts of an axis are taken, and in which order parts are used."""

import itertools
from collections.abc import Iterator, Sequence

from twins.parity.alternatives.axes import MLX_REDUCTIONS, TORCH_REDUCTIONS
from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    Around,
    Option,
    compare,
    given,
    is_array,
    made,
    with_value,
)


def positions(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Another position than the one that is taken, or a mean over all; other parts of an axis; a step."""
    if op.name != "getitem" or not is_array(op.args[0]):
        return
    array, index = op.args[0], op.args[1]
    listed = list(index) if isinstance(index, tuple) else [index]
    if not all(each is None or each is Ellipsis or isinstance(each, int | slice) for each in listed):
        return
    missing = len(array.shape) - sum(1 for each in listed if each is not None and each is not Ellipsis)
    at = listed.index(Ellipsis) if Ellipsis in listed else len(listed)
    full = [*listed[:at], *[slice(None)] * missing, *listed[at + 1 :]]
    if None in full:
        return
    for axis, each in enumerate(full):
        if isinstance(each, int) and not isinstance(each, bool):
            yield from _other_positions(op, full, axis)
        elif isinstance(each, slice) and each != slice(None):
            yield from _other_parts(op, full, axis, array.shape[axis], seen)


def _other_positions(op: Operation, full: list, axis: int) -> Iterator[Option]:
    size, now = op.args[0].shape[axis], full[axis]
    before = sum(not isinstance(each, int) for each in full[:axis])
    words = {0: "the first position", size - 1: "the last position"}
    own = words.get(now % size, f"position {now}")
    for new in dict.fromkeys(
        (size - 1, 0, *range(size if size <= 8 else 0), *((now % size) + d for d in (-1, 1)))
    ):
        if 0 <= new < size and new != now % size:
            index = (*full[:axis], new, *full[axis + 1 :])
            told = words.get(new, f"position {new}")
            yield compare(
                op, "", f"{own} of axis {axis} is taken", f"{told}", with_value(1, ("index",), index), MILD
            )
    whole = (*full[:axis], slice(None), *full[axis + 1 :])
    for reduction in ("the mean", "the largest value", "the sum"):
        function = (TORCH_REDUCTIONS if op.torch else MLX_REDUCTIONS)[reduction]

        def instead(call, args, options, seen, function=function):
            taken = call(args[0], whole)
            return function(taken, **{"dim" if op.torch else "axis": before})

        yield compare(
            op, "", f"{own} of axis {axis} is taken", f"{reduction} of all (pooled, over it)", instead, MILD
        )


def _other_parts(
    op: Operation, full: list, axis: int, size: int, seen: Sequence[Operation]
) -> Iterator[Option]:
    """Parts of the same length that lie elsewhere, and every other entry for the first or second half."""
    now = full[axis]
    start, stop, step = now.indices(size)
    length = len(range(start, stop, step))
    others = [slice(k, k + length) for k in range(0, size - length + 1, max(1, length))]
    others += [slice(start + d, start + d + length) for d in (-1, 1) if 0 <= start + d <= size - length]
    others += [slice(0, length), slice(size - length, size)]
    others += [slice(0, size, 2), slice(1, size, 2)] if size == 2 * length else []
    for new in others:
        if new.indices(size) != (start, stop, step):
            index = (*full[:axis], new, *full[axis + 1 :])
            own, other = _part(now, size), _part(new, size)
            yield compare(op, _topic(op, seen, size, axis), own, other, with_value(1, ("index",), index))
    lengths = [slice(start, min(size, stop + 1), step), slice(start, stop - 1, step), slice(None)]
    for new in lengths:
        if len(range(*new.indices(size))) != length:
            index = (*full[:axis], new, *full[axis + 1 :])
            own, other = _part(now, size), _part(new, size)
            yield compare(
                op, _topic(op, seen, size, axis), own, other, with_value(1, ("index",), index), COARSE
            )


def _topic(op: Operation, seen: Sequence[Operation], size: int, axis: int) -> str:
    source = next((each for each in reversed(seen) if each.result is op.args[0]), None)
    if source is not None and source.name in ("argsort", "sort", "topk", "argpartition"):
        return f"of {size} sorted entries (from the smallest to the largest, or the reverse; top k)"
    return f"of {size} entries of axis {axis}, such as positions or halves,"


def _part(part: slice, size: int) -> str:
    start, stop, step = part.indices(size)
    length = len(range(start, stop, step))
    if step != 1 or length == 0:
        return f"every {step}. from {start} is taken"
    if length == size:
        return "all are taken"
    if start == 0 or stop == size:
        return f"the {'first' if start == 0 else 'last'} {length} are taken"
    return f"{start} to {stop - 1} are taken"


def ordered(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Parts that are joined, or given by a split, in another order; a difference the other way."""
    first = op.args[0] if op.args else None
    if op.name in ("cat", "stack", "meshgrid") and isinstance(first, tuple | list) and 1 < len(first) < 6:
        for order in _orders(len(first)):
            told = f"parts are {'stacked' if op.name == 'stack' else 'joined'}"
            change = given(lambda parts, order=order: [parts[i] for i in order])
            yield compare(op, told, "in the order given", f"in the order {_counted(order)}", change, MILD)
    result = op.result
    if (
        isinstance(result, tuple | list)
        and 1 < len(result) < 6
        and op.name in ("chunk", "split", "unbind", "tensor_split")
    ):
        for order in _orders(len(result)):
            change = made(lambda parts, order=order: [parts[i] for i in order])
            own, other = "in the order they lie", f"in the order {_counted(order)} (exchanged)"
            yield compare(
                op, f"the {len(result)} parts of a split (halves, gates) are used", own, other, change, MILD
            )
    if op.name in ("sub", "div", "rsub", "pow", "matmul", "where", "kl_div") and len(op.args) > 1:
        at = len(op.args) - 2 if op.name == "where" else 0
        yield from _reversed(op, at)


def _reversed(op: Operation, at: int) -> Iterator[Option]:
    def instead(function, args, options, seen):
        return function(*args[:at], args[at + 1], args[at], *args[at + 2 :], **options)

    words = {
        "matmul": "a matrix product",
        "where": "a choice (where)",
        "sub": "a difference",
        "rsub": "a difference",
        "div": "a quotient",
        "kl_div": "the divergence (KL)",
    }
    what = words.get(op.name, f"`{op.name}`")
    told = (
        f"{what} is taken the other way round in {{other}}, in another order: its two operands are exchanged"
    )
    yield Option(told, {op.place: instead}, MILD)


def _orders(count: int) -> list[tuple[int, ...]]:
    """Other orders of a few parts: all of three, else two exchanged, turned round or rotated."""
    same = tuple(range(count))
    if count <= 3:
        return [order for order in itertools.permutations(same) if order != same]
    swaps = []
    for one, two in itertools.combinations(same, 2):
        order = list(same)
        order[one], order[two] = two, one
        swaps.append(tuple(order))
    rotated = [same[k:] + same[:k] for k in range(1, count)]
    return list(dict.fromkeys([same[::-1], *swaps, *rotated]))


def _counted(order: tuple[int, ...]) -> str:
    return ", ".join(str(i + 1) for i in order)


FAMILIES = (positions, ordered)
