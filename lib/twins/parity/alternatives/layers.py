"""PyTorch's layers as functions: convolutions, pooling, upsampling."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    MILD,
    USUAL,
    Around,
    Option,
    compare,
    shape,
    value,
    with_value,
)

from torch.nn import functional as F  # isort: skip

CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)}
TRANSPOSED = {f"conv_transpose{n}d": n for n in (1, 2, 3)}
POOLS = {f"{kind}_pool{n}d": n for kind in ("max", "avg", "lp") for n in (1, 2, 3)}
MODES = {
    "constant": "zeros",
    "reflect": "reflected values",
    "replicate": "the edge's values",
    "circular": "the other edge's values",
}
UPSAMPLING = ("nearest", "nearest-exact", "bilinear", "bicubic", "linear", "trilinear", "area")


def convolved(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A convolution with another stride, padding or dilation, with other values around it, or on one side."""
    if not op.torch or op.name not in CONVOLUTIONS | TRANSPOSED:
        return
    rank, sizes = len(shape(op.args[1])) - 2, shape(op.args[1])[2:]
    transposed = op.name in TRANSPOSED
    names = (
        ("stride", "padding", "output_padding", "groups", "dilation")
        if transposed
        else ("stride", "padding", "dilation")
    )
    tried = {
        "stride": (1, 2, 3),
        "padding": (0, 1, 2, 3, 4, "same"),
        "dilation": (1, 2, 3),
        "output_padding": (0, 1),
    }
    for name, choices in tried.items():
        if name in names:
            at = 3 + names.index(name)
            now = value(op, at, name, default=1 if name in ("stride", "dilation") else 0)
            for new in choices:
                if _tuple(new, rank) != _tuple(now, rank) and (new != "same" or not transposed):
                    yield compare(
                        op,
                        f"the `{name}` of the convolution is",
                        str(now),
                        str(new),
                        with_value(at, (name,), new),
                        MILD,
                    )
    if not transposed:
        yield from _bordered(op, rank, sizes)


def _tuple(setting: object, rank: int) -> object:
    return (
        (setting,) * rank
        if isinstance(setting, int)
        else tuple(setting)
        if isinstance(setting, list)
        else setting
    )


def _bordered(op: Operation, rank: int, sizes: tuple[int, ...]) -> Iterator[Option]:
    """Padding on one side, and other values in it."""
    dilation = value(op, 5, "dilation", default=1)
    wide = [(n - 1) * (_tuple(dilation, rank)[i]) for i, n in enumerate(sizes)]
    now = value(op, 4, "padding", default=0)
    about = _tuple(now, rank) if not isinstance(now, str) else tuple(n // 2 for n in wide)
    sides = {
        "on both sides": [(p, p) for p in about],
        "at the beginning only (causal)": [(n, 0) for n in wide],
    }
    sides |= {"at the end only": [(0, n) for n in wide]}
    sides |= {"one more at the end": [(n // 2, n - n // 2) for n in wide]}
    sides |= {"one more at the beginning": [(n - n // 2, n // 2) for n in wide]}
    for words, padded in sides.items():
        for mode, around in MODES.items():
            if (words, mode) != ("on both sides", "constant"):
                flat = [p for pair in reversed(padded) for p in pair]

                def instead(function, args, options, seen, flat=flat, mode=mode):
                    x = F.pad(args[0], flat, mode=mode)
                    kept = {k: v for k, v in options.items() if k != "padding"}
                    if len(args) > 4:
                        return function(x, *args[1:4], 0, *args[5:], **kept)
                    return function(x, *args[1:], **kept, padding=0)

                topic, own, other = (
                    "the convolution is padded",
                    "with zeros on both sides",
                    f"with {around} {words}",
                )
                yield compare(op, topic, own, other, instead, MILD if mode == "constant" else USUAL)


def padded(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Padding with other values, or on other sides."""
    if not op.torch or op.name != "pad":
        return
    sizes, mode = list(value(op, 1, "pad")), value(op, 2, "mode", default="constant")
    for new in MODES:
        if new != mode and shape(op.args[0]):
            yield compare(
                op, "padding holds", MODES.get(mode, mode), MODES[new], with_value(2, ("mode",), new), MILD
            )
    pairs = [sizes[i : i + 2] for i in range(0, len(sizes), 2)]
    others = {
        "on the other side": [p[::-1] for p in pairs],
        "of the other axis": pairs[::-1],
        "on both sides alike": [[sum(p) // 2, sum(p) - sum(p) // 2] for p in pairs],
        "at the beginning only": [[sum(p), 0] for p in pairs],
        "at the end only": [[0, sum(p)] for p in pairs],
    }
    for words, new in others.items():
        flat = [n for p in new for n in p]
        if flat != sizes:
            yield compare(op, f"padding {sizes} is", "as written", words, with_value(1, ("pad",), flat), MILD)


def pooled(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Pooling with other settings, or of the other kind."""
    if not op.torch or op.name not in POOLS:
        return
    rank, average = POOLS[op.name], op.name.startswith("avg")
    names = ("kernel_size", "stride", "padding") + (
        ("ceil_mode", "count_include_pad") if average else ("dilation", "ceil_mode")
    )
    tried: dict[str, tuple] = {
        "ceil_mode": (False, True),
        "stride": (1, 2, 3, 4),
        "padding": (0, 1, 2),
        "kernel_size": (2, 3, 4),
    }
    tried |= {"count_include_pad": (True, False)} if average else {"dilation": (1, 2)}
    defaults = {"ceil_mode": False, "count_include_pad": True, "padding": 0, "dilation": 1}
    default_stride = value(op, 1, "kernel_size")
    for name, choices in tried.items():
        at = 1 + names.index(name)
        now = value(op, at, name, default=defaults.get(name))
        now = default_stride if name == "stride" and (now is None or now == []) else now
        for new in choices:
            if _tuple(new, rank) != _tuple(now, rank):
                yield compare(
                    op, f"the pooling's `{name}` is", str(now), str(new), _setting(names, at, new), MILD
                )
    other = getattr(F, f"{'max' if average else 'avg'}_pool{rank}d")

    def instead(function, args, options, seen):
        return other(
            args[0],
            *[
                value(op, at, name, default=d)
                for at, (name, d) in enumerate((("kernel_size", 2), ("stride", None), ("padding", 0)), 1)
            ],
        )

    words = ("the mean", "the largest value")
    own, changed = words if average else words[::-1]
    yield compare(op, "pooling takes", own, changed, instead, MILD)


def _setting(names: tuple[str, ...], at: int, new: object) -> Callable:
    """Pooling with another setting; its positions are filled up by names."""

    def instead(function, args, options, seen):
        named = dict(zip(names, args[1:], strict=False)) | options | {names[at - 1]: new}
        named.pop("return_indices", None)
        return function(args[0], **named)

    return instead


def adaptive(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Global pooling of the other kind."""
    if op.torch and op.name.startswith("adaptive_") and "_pool" in op.name:
        average = "avg" in op.name
        other = getattr(F, op.name.replace("avg", "max") if average else op.name.replace("max", "avg"))
        words = ("the mean", "the largest value")
        own, changed = words if average else words[::-1]
        yield compare(op, "pooling takes", own, changed, lambda f, a, o, s: other(a[0], a[1]), MILD)


def upsampled(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Upsampling in another mode, with corners aligned or not, or with a factor that is rounded otherwise."""
    if not op.torch or op.name not in ("interpolate", "upsample"):
        return
    mode, aligned = value(op, 3, "mode", default="nearest"), value(op, 4, "align_corners")
    size, factor = value(op, 1, "size"), value(op, 2, "scale_factor")
    for new, align in itertools.product(UPSAMPLING, (None, True, False)):
        if (new, bool(align)) == (mode, bool(aligned)) or (
            align is not None and "linear" not in new and new != "bicubic"
        ):
            continue

        def instead(function, args, options, seen, new=new, align=align):
            return F.interpolate(args[0], size, factor, mode=new, align_corners=align)

        if new == mode:
            words = ("aligned", "not aligned")
            own, other = words if aligned else words[::-1]
            yield compare(op, "corners (`align_corners`) are", own, other, instead, MILD)
        else:
            corners = " with corners aligned" if align else ""
            yield compare(op, "the mode of upsampling is", mode, new + corners, instead, MILD)
    if factor is not None:

        def fixed(function, args, options, seen):
            target = list(shape(op.result)[2:])
            return F.interpolate(args[0], target, mode=mode, align_corners=aligned)

        told = "upsampling goes by the factor {this} is given, in {other} by the ratio of the two sizes"
        yield Option(told, {op.place: fixed}, MILD)

        def again(function, args, options, seen):
            return F.interpolate(
                args[0], None, factor, mode=mode, align_corners=aligned, recompute_scale_factor=True
            )

        yield Option(told, {op.place: again}, MILD)


FAMILIES = (convolved, padded, pooled, adaptive, upsampled)
