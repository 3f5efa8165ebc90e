"""Operations given another value than in the other half: of what was made before, the one that mends it."""

from collections.abc import Callable, Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import COARSE, LAST, Around, Option, is_array, kind, shape

TAKES = {
    *(
        "add",
        "sub",
        "mul",
        "linear",
        "layer_norm",
        "rms_norm",
        "matmul",
        "cat",
        "attention",
        "conv1d",
        "conv2d",
    ),
    *("embedding", "lstm", "gru", "batch_norm", "group_norm", "div", "softmax", "where"),
}
FIRST = (
    "linear",
    "layer_norm",
    "rms_norm",
    "conv2d",
    "conv1d",
    "lstm",
    "gru",
    "batch_norm",
    "group_norm",
    "softmax",
)
PARTS = ("linear", "getitem", "embedding", "conv1d", "conv2d", "matmul", "add", "mul")
RECENT = 8  # values tried for one argument, the newest first
SPAN = 12  # operations between two whose results are exchanged
ANOTHER = "a value without a name"


def other_values(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """An argument that is another value of the same shape, made earlier in this half."""
    if op.name not in TAKES:
        return
    for at, now in enumerate(op.args[: 1 if op.name in FIRST else 3]):
        if not shape(now):
            continue
        tried = {id(now)}
        for earlier in reversed(seen[: _index(op, seen)]):
            for each, read in _results(earlier):
                same = shape(each) == shape(now) and kind(each) == kind(now) and id(each) not in tried
                unnamed = id(each) not in around.named and id(now) not in around.named
                if same and len(tried) <= RECENT and not unnamed:
                    tried.add(id(each))
                    yield _given(op, at, (now, each), earlier.place, read, around)


def _index(op: Operation, seen: Sequence[Operation]) -> int:
    return next((i for i, each in enumerate(seen) if each.place == op.place), 0)


def _results(op: Operation) -> Iterator[tuple[object, Callable]]:
    """The results of an operation and its first argument, each with how it is found again in another pass."""
    if isinstance(op.result, tuple | list):
        for i, each in enumerate(op.result):
            if is_array(each):
                yield each, lambda again, i=i: again.result[i]
    elif is_array(op.result):
        yield op.result, lambda again: again.result
    if op.args and is_array(op.args[0]):
        yield op.args[0], lambda again: again.args[0]


def _given(op: Operation, at: int, values: tuple, place: int, read: Callable, around: Around) -> Option:
    def instead(function, args, options, seen):
        return function(*args[:at], read(_at(seen, place)), *args[at + 1 :], **options)

    own, other = (around.named.get(id(each), ANOTHER) for each in values)
    verb = {"add": "adds", "mul": "multiplies by", "cat": "joins", "sub": "subtracts"}.get(
        op.name, f"calls `{op.name}` of"
    )
    rank = LAST if ANOTHER in (own, other) else COARSE
    told = f"MLX {verb} {{mlx}} where PyTorch {verb} {{torch}}"
    return Option(told, {op.place: instead}, rank, own, other)


def joined(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A part that is joined is another value of its shape."""
    first = op.args[0] if op.args else None
    if op.name not in ("cat", "stack") or not isinstance(first, tuple | list):
        return
    for at, now in enumerate(first[:4]):
        tried = {id(now)}
        for earlier in reversed(seen[: _index(op, seen)]):
            for each, read in _results(earlier):
                if (
                    shape(each) == shape(now)
                    and shape(now)
                    and id(each) not in tried
                    and len(tried) <= RECENT
                    and (id(each) in around.named or id(now) in around.named)
                ):
                    tried.add(id(each))
                    place = earlier.place

                    def instead(function, args, options, seen, at=at, read=read, place=place):
                        parts = list(args[0])
                        parts[at] = read(_at(seen, place))
                        return function(parts, *args[1:], **options)

                    own, other = (around.named.get(id(value), ANOTHER) for value in (now, each))
                    told = "MLX joins {mlx} where PyTorch joins {torch}"
                    yield Option(
                        told, {op.place: instead}, LAST if ANOTHER in (own, other) else COARSE, own, other
                    )


def taken(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The result of a layer in the place of another one's."""
    if op.name not in ("linear", "embedding", "conv1d", "conv2d", "getitem"):
        return
    name = around.named.get(id(op.result), "")
    for other in seen:
        words = around.named.get(id(other.result), "")
        alike = other.name == op.name and other.place != op.place and shape(other.result) == shape(op.result)
        if alike and name and words and words != name:
            told = f"{{other}} takes {words} where {{this}} takes {name}"
            yield Option(told, {op.place: _result(other.place)}, COARSE)


def _at(seen: Sequence[Operation], place: int) -> Operation:
    found = next((each for each in seen if each.place == place), None)
    if found is None:
        raise LookupError(f"no operation {place} in this pass")
    return found


def exchanged(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The results of two like operations in each other's place."""
    if op.name not in PARTS or not shape(op.result):
        return
    index = _index(op, seen)
    for earlier in reversed(seen[max(0, index - SPAN) : index]):
        alike = earlier.name == op.name and shape(earlier.result) == shape(op.result)
        if alike and kind(earlier.result) == kind(op.result):
            one, two = earlier.place, op.place
            names = [around.named.get(id(each.result), "") for each in (earlier, op)]
            what = (
                " and ".join(names)
                if all(names)
                else f"two results of `{op.name}`, such as two parts of one array,"
            )
            told = f"{what} are exchanged in {{other}}"
            yield Option(told, {one: _result(two), two: _result(one)}, COARSE)


def _result(place: int) -> Callable:
    return lambda function, args, options, seen: _at(seen, place).result


FAMILIES = (exchanged, taken, other_values, joined)
