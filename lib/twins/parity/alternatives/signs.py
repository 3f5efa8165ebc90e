"""Signs, casts, offsets, masks read from the batch, transforms: small things of one operation."""

from collections.abc import Iterator, Sequence

import numpy as np

from twins.parity.alternatives.numbers import given_by, number
from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    USUAL,
    Around,
    Option,
    compare,
    is_array,
    kind,
    like,
    made,
    numpy,
    shape,
    value,
)
from twins.parity.interception.provenance import told

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import torch  # isort: skip

CASTS = ("to", "astype", "half", "bfloat16", "float", "type", "double")
SHAPED = (
    *CASTS,
    "getitem",
    "unsqueeze",
    "expand_dims",
    "reshape",
    "sum",
    "mean",
    "ne",
    "__ne__",
    "not_equal",
)


def signs(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A sum for a difference, and the reverse; the sign of a result."""
    if op.name in ("add", "sub") and len(op.args) > 1:
        first, second = op.args[:2]
        what = told(second, around.named) if is_array(second) and shape(second) else "a number"
        turned = any(each.name == "sigmoid" for each in seen)
        how = "another sign, or its sigmoid taken the other way round" if turned else "another sign"
        verbs = ("adds {}", f"subtracts {{}} ({how})")
        own, other = (v.format(what) for v in (verbs if op.name == "add" else verbs[::-1]))
        sign = -1 if op.name == "add" else 1
        change = lambda f, a, o, s: a[0] + sign * a[1]  # noqa: E731
        yield Option("MLX {mlx}, PyTorch {torch}", {op.place: change}, MILD, own, other)
        if op.name == "add" and is_array(first) and is_array(second):
            what = told(first, around.named)
            words = f"adds {what}", f"subtracts {what} ({how})"
            yield Option(
                "MLX {mlx}, PyTorch {torch}", {op.place: lambda f, a, o, s: a[1] - a[0]}, USUAL, *words
            )
    numeric = op.name in (
        "add",
        "sub",
        "mul",
        "div",
        "sum",
        "mean",
        "log",
        "exp",
        "matmul",
        "rsub",
        "cumsum",
        "sin",
    )
    if numeric and is_array(op.result) and kind(op.result) == "float":
        yield Option(
            "a value has the other sign in {other}: it is minus what {this} computes (`" + op.name + "`)",
            {op.place: made(lambda x: -x)},
            USUAL,
        )


def counted(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Whole numbers that count from another start."""
    if op.name in ("arange", "linspace") and is_array(op.result):
        for shift in (1, -1):
            own, other = "0", str(shift)
            change = made(lambda x, shift=shift: x + shift)
            yield compare(op, "positions (arange) are shifted, an offset, by", own, other, change, MILD)
        flipped = made(lambda x: x.flip(0) if op.torch else x[::-1])
        yield compare(op, "positions (arange) run", "forwards", "in the reverse order", flipped, USUAL)
        for other in dict.fromkeys(around.numbers[:12]):
            if other and op.name == "arange":
                change = made(lambda x, other=other: x * other)
                yield compare(op, "positions (arange) are scaled by", "1", f"{other:.4g}", change, COARSE)
    if op.name in ("one_hot", "roll", "diagonal", "tril", "triu") and len(op.args) > 1 and number(op.args[1]):
        for shift in (1, -1):

            def instead(function, args, options, seen, shift=shift):
                return function(args[0], args[1] + shift, *args[2:], **options)

            own, other = str(op.args[1]), str(op.args[1] + shift)
            yield compare(op, f"the offset of `{op.name}` is", own, other, instead, MILD)
    if op.name in ("tril", "triu") and len(op.args) == 1:
        for shift in (1, -1):
            name = "diagonal" if op.torch else "k"
            now = op.options.get(name, 0)

            def moved(function, args, options, seen, name=name, new=now + shift):
                return function(args[0], **{name: new})

            yield compare(op, f"the diagonal of `{op.name}` is", str(now), str(now + shift), moved, MILD)


def cast(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A rounding to a shorter type that one half does not do."""
    if op.name in CASTS and op.args and is_array(op.args[0]) and is_array(op.result):
        before, after = (str(each.dtype).rpartition(".")[2] for each in (op.args[0], op.result))
        if before != after and kind(op.args[0]) == kind(op.result) == "float":
            told = f"{{this}} computes a part in the type {after}, {{other}} in {before}"
            yield Option(told, {op.place: lambda f, a, o, s: a[0]}, MILD)


def masked(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A mask of zeros and ones that the other half does not use, or uses inverted."""
    if (
        op.name not in SHAPED
        or not is_array(op.result)
        or not 1 < np.prod(shape(op.result) or (1,)) < 100_000
    ):
        return
    before = numpy(op.args[0]) if op.args and is_array(op.args[0]) else None
    if op.name in ("sum", "mean"):
        if before is not None and set(np.unique(before)) == {0, 1} and before.ndim > 1:
            whole = lambda f, a, o, s: f(maker_of(op).ones_like(a[0]), *a[1:], **o)  # noqa: E731
            told = (
                "{this} divides by the count of what a mask shows, {other} by the whole length: its mean is "
            )
            yield Option(told + "over padding as well", {op.place: whole}, MILD)
        return
    if set(np.unique(numpy(op.result))) != {0, 1}:
        return
    ones = made(lambda x: maker_of(op).ones_like(x))
    told = "{other} does not use a mask that {this} uses: its padding mask is missing or ignored"
    yield Option(told, {op.place: ones}, USUAL)
    told = "a mask is inverted: what {this} shows is hidden in {other}, and the reverse"
    yield Option(told, {op.place: made(lambda x: ~x if kind(x) == "bool" else 1 - x)}, USUAL)


def maker_of(op: Operation):
    """The framework's own functions."""
    return torch if op.torch else mx


def pooled(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A mean over what a mask of the batch shows, for a mean over all or for one position."""
    if (
        op.name not in ("mean", "getitem", "sum", "max", "amax", "div")
        or not op.args
        or not is_array(op.args[0])
    ):
        return
    array = op.args[0]
    sizes = shape(array)
    for words, mask in around.masks.items():
        if len(sizes) != 3 or sizes[:2] != mask.shape or shape(op.result) != (sizes[0], sizes[2]):
            continue

        def instead(function, args, options, seen, mask=mask):
            weights = like(mask.astype("float32"), args[0])[..., None]
            return (args[0] * weights).sum(1) / weights.sum(1)

        own = {"mean": "the mean of all positions", "getitem": "one position (such as the first)"}.get(
            op.name, op.name
        )
        yield compare(
            op, "pooling takes", own, f"the mean over what {words}, a mask, shows (no padding)", instead, MILD
        )


def transformed(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A Fourier transform scaled otherwise or over other axes; the real part or the imaginary one."""
    if op.name in ("fft", "ifft", "fft2", "ifft2", "fftn", "ifftn", "rfft", "irfft", "rfft2", "irfft2"):
        if op.torch:
            now = op.options.get("norm") or "backward"
            for new in ("backward", "ortho", "forward"):
                if new != now:
                    change = lambda f, a, o, s, new=new: f(*a, **{**o, "norm": new})  # noqa: E731
                    yield compare(op, "the transform's (fft) scale, `norm`, is", now, new, change, MILD)
        module = torch.fft if op.torch else mx.fft
        inverse = op.name.startswith("i")
        rank = len(shape(op.args[0]))
        for axis in range(rank):
            one = getattr(module, "ifft" if inverse else "fft")
            name = "dim" if op.torch else "axis"
            change = lambda f, a, o, s, one=one, name=name, axis=axis: one(a[0], **{name: axis})  # noqa: E731
            yield compare(
                op, "the transform (fft) is taken", f"as `{op.name}`", f"over axis {axis} alone", change
            )
        if rank > 1 and not op.name.endswith("2") and not op.name.startswith(("r", "ir")):
            two = getattr(module, "ifft2" if inverse else "fft2")
            change = lambda f, a, o, s, two=two: two(a[0])  # noqa: E731
            yield compare(
                op, "the transform (fft) is taken", f"as `{op.name}`", "over the last two axes", change
            )
    if op.name in ("real", "imag"):
        other = "imag" if op.name == "real" else "real"
        change = lambda f, a, o, s: getattr(maker_of(op), other)(a[0])  # noqa: E731
        words = {"real": "the real part", "imag": "the imaginary part"}
        yield compare(op, "of complex numbers it takes", words[op.name], words[other], change, MILD)


def distributed(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A factor of a sum that belongs to one of its terms."""
    if op.name not in ("mul", "div") or len(op.args) < 2 or not is_array(op.args[0]):
        return
    added = given_by(op.args[0], seen)
    if added is None or added.name != "add" or len(added.args) < 2:
        return
    for at in (0, 1):
        term = told(added.args[at], around.named)
        rest = added.args[1 - at]
        if not is_array(rest) or not is_array(added.args[at]):
            continue
        place = added.place

        def instead(function, args, options, seen, at=at, place=place):
            parts = list(_operands(seen, place))
            parts[at] = function(parts[at], *args[1:], **options)
            return parts[0] + parts[1]

        own, other = "a whole sum", f"{term} alone"
        yield compare(op, "the factor (scale) multiplies", own, other, instead, USUAL)


def _operands(seen: Sequence[Operation], place: int) -> tuple:
    found = [each.args[:2] for each in seen if each.place == place]
    if not found:
        raise LookupError(f"no operation {place} in this pass")
    return found[0]


def squeezed(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """An axis of one entry that one half drops, or adds."""
    if op.name in ("squeeze", "unsqueeze", "expand_dims", "flatten") and op.args and is_array(op.args[0]):
        own, other = shape(op.result), shape(op.args[0])
        told = f"{{this}} reshapes (`{op.name}`) {other} to {own}, {{other}} does not"
        yield Option(told, {op.place: lambda f, a, o, s: a[0]}, MILD)
    if op.name != "getitem" or not is_array(op.result) or not shape(op.args[0]):
        return
    before, after = shape(op.args[0]), shape(op.result)
    if np.prod(before) != np.prod(after or (1,)):
        return
    told = f"{{this}} drops or adds an axis ({before} to {after}, squeeze), {{other}} does not"
    yield Option(told, {op.place: lambda f, a, o, s: a[0]}, MILD)
    for axis in range(len(after)) if len(after) == len(before) + 1 else []:
        sizes = (*before[:axis], 1, *before[axis:])
        if sizes != after:
            told = f"an array (a mask) is broadcast as {after} in {{this}} and as {sizes}, along other axes,"
            change = lambda f, a, o, s, sizes=sizes: a[0].reshape(sizes)  # noqa: E731
            yield Option(f"{told} in {{other}}", {op.place: change}, USUAL)


def best(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The largest entries or the smallest, and how many."""
    if op.name in ("topk", "argsort", "sort", "argpartition") and op.args and is_array(op.args[0]):
        if op.torch and op.name == "topk":
            now, k = bool(value(op, 3, "largest", default=True)), value(op, 1, "k")
            change = lambda f, a, o, s: torch.topk(a[0], k, largest=not now)  # noqa: E731
            yield compare(op, "of the sorted entries (topk)", "the largest", "the smallest", change, MILD)
            for new in (k - 1, k + 1):
                if new > 0:
                    change = lambda f, a, o, s, new=new: torch.topk(a[0], new)  # noqa: E731
                    yield compare(
                        op, "how many of the best (topk, k) are taken is", str(k), str(new), change, MILD
                    )
        yield Option(
            "the order of sorting is reversed in {other}: the largest and the smallest are exchanged",
            {op.place: lambda f, a, o, s: f(-a[0], *a[1:], **o)},
            USUAL,
        )


FAMILIES = (signs, counted, cast, masked, pooled, transformed, distributed, squeezed, best)
