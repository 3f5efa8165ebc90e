"""Numbers written in a model: factors, epsilons, slopes, exponents, limits, and where an epsilon stands."""

import math
from collections.abc import Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    Around,
    Option,
    compare,
    is_array,
    made,
    put,
    shape,
    value,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import torch  # isort: skip

MOST = 24  # other numbers tried for one
TOPICS = {
    "mul": "the factor (scale) that values are multiplied by is",
    "div": "the number (a scale) that values are divided by is",
    "rdiv": "the number that is divided is",
    "add": "the number added is",
    "sub": "the number subtracted is",
    "rsub": "the number that values are taken from is",
    "pow": "the exponent is",
    "maximum": "the least value allowed is",
    "minimum": "the largest value allowed is",
}
USUAL_NUMBERS = {  # what a setting usually is, by a part of its name or of its operation's
    "slope": (0.01, 0.1, 0.2, 0.3, 1 / 3, 0.25),
    "eps": (1e-5, 1e-6, 1e-8, 1e-12, 1e-3, 1e-7, 0.0),
    "beta": (1.0, 0.5, 0.1),
    "delta": (1.0, 0.5, 0.1),
    "alpha": (1.0, 0.5, 0.25, 0.1, 0.01),
    "margin": (1.0, 0.5, 0.2, 0.1, 0.0),
    "p": (2.0, 1.0),
}
SETTINGS = {  # numbers that are not written where they are usual: position, name and default
    "leaky_relu": (1, "negative_slope", 0.01, "slope", "leaky ReLU's slope is"),
    "elu": (1, "alpha", 1.0, "alpha", "ELU's alpha is"),
    "celu": (1, "alpha", 1.0, "alpha", "CELU's alpha is"),
    "layer_norm": (4, "eps", 1e-5, "eps", "its epsilon is"),
    "rms_norm": (3, "eps", None, "eps", "its epsilon is"),
    "batch_norm": (7, "eps", 1e-5, "eps", "its epsilon is"),
    "group_norm": (4, "eps", 1e-5, "eps", "its epsilon is"),
    "instance_norm": (7, "eps", 1e-5, "eps", "its epsilon is"),
    "normalize": (3, "eps", 1e-12, "eps", "its epsilon is"),
    "smooth_l1_loss": (5, "beta", 1.0, "beta", "beta of the smooth L1 loss is"),
    "huber_loss": (3, "delta", 1.0, "delta", "delta of the Huber loss is"),
    "softplus": (1, "beta", 1.0, "beta", "softplus' beta is"),
    "triplet_margin_loss": (3, "margin", 1.0, "margin", "the margin is"),
    "margin_ranking_loss": (3, "margin", 0.0, "margin", "the margin is"),
    "cosine_similarity": (3, "eps", 1e-8, "eps", "its epsilon is"),
}


def number(each: object) -> bool:
    """Whether a value is a number that a model may have written otherwise."""
    return isinstance(each, int | float) and not isinstance(each, bool)


def written(operations: Sequence[Operation]) -> tuple[float, ...]:
    """The numbers in the operations of a half, the newest first."""
    found: dict[float, None] = {}
    for op in reversed(operations):
        for each in (*op.args, *op.options.values()):
            if number(each) and math.isfinite(each) and not (isinstance(each, int) and op.name not in TOPICS):
                found.setdefault(float(each), None)
            elif is_array(each) and not shape(each) and op.name in TOPICS and each is not op.result:
                _constant(found, each)
    return tuple(found)


def _constant(found: dict[float, None], each: object) -> None:
    """The number in an array that is one."""
    scalar = float(each.item()) if not getattr(each, "requires_grad", False) else math.nan
    if math.isfinite(scalar):
        found.setdefault(scalar, None)


def replaced(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A written number is another: one of the other half's, or one that follows from a shape."""
    keys = [*range(len(op.args)), *op.options]
    for key in keys:
        now = op.args[key] if isinstance(key, int) else op.options[key]
        real = isinstance(now, float) or (op.name in TOPICS and number(now))
        if not real or isinstance(now, bool) or op.name in SETTINGS or op.name in ("attention", "getitem"):
            continue
        for new in _candidates(op, float(now), around):
            other = said(new) + (" (another sign, the other way)" if new == -now else "")
            yield compare(op, _topic(op, key, float(now)), said(now), other, _with(key, new), MILD)


def _topic(op: Operation, key: int | str, now: float) -> str:
    if op.name == "add" and 0 < now < 0.01:
        return "the epsilon (eps) that is added is"
    if op.name in TOPICS:
        return TOPICS[op.name]
    return f"`{key}` of `{op.name}` is" if isinstance(key, str) else f"the number given to `{op.name}` is"


def _with(key: int | str, new: float):
    def instead(function, args, options, seen):
        if isinstance(key, int):
            args = (*args[:key], new, *args[key + 1 :])
        else:
            options = {**options, key: new}
        return function(*args, **options)

    return instead


def _candidates(op: Operation, now: float, around: Around) -> list[float]:
    """Numbers of the other half as they are and inverted, and roots of the sizes of what is computed."""
    sizes = {n for each in (*op.args, op.result) for n in shape(each) if n > 1}
    scales = [f for n in sorted(sizes) for f in (math.sqrt(n), n)] if op.name in ("mul", "div") else []
    plain = [n for n in around.numbers if n]
    tried = [*plain, *(1 / n for n in plain), *scales, *(1 / n for n in scales), *(-n for n in plain)]
    tried += [1 / now, now * now, math.sqrt(abs(now))] if now else []
    different = (n for n in dict.fromkeys(tried) if abs(n - now) > 1e-7 * max(abs(n), abs(now)))
    return list(different)[:MOST]


def said(number: float | None) -> str:
    """A number, or the root of a whole one where it is that."""
    if number is None:
        return "that of its type"
    for words, square in (
        ("the root of {}", number * number),
        ("1 / the root of {}", 1 / (number * number or 1e-30)),
    ):
        whole = round(square)
        if number <= 0 or whole < 2 or abs(square - whole) > 1e-6 * whole:
            continue
        if round(number) != number and round(1 / number, 9) != round(round(1 / number), 9):
            return words.format(whole)
    return f"{number:.4g}"


def settings(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A number that a function takes by default, or as it is written, is another."""
    if op.name not in SETTINGS:
        return
    position, name, default, usual, topic = SETTINGS[op.name]
    names = (name,) if op.torch else (name, "eps", "alpha", "beta", "delta", "margin")
    at = position if op.torch else {"layer_norm": 3, "rms_norm": 2}.get(op.name, 1)
    now = value(op, at, *names, default=default)
    if now is not None and not number(now):
        return
    for new in dict.fromkeys([*around.numbers, *USUAL_NUMBERS[usual]]):
        if now is None or abs(new - now) > 1e-9 * abs(new):

            def instead(function, args, options, seen, new=new):
                args, options = put(args, options, at, names, new)
                return function(*args, **options)

            yield compare(op, topic, said(now), said(new), instead, MILD)


def _maker(array: object, name: str):
    return getattr(torch if hasattr(array, "detach") else mx, name)


def epsilon(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """An epsilon is added inside of a root or after it, or is the least that a value may have."""
    inside, outside = "inside of the root", "outside of the root, to its result"
    if op.name in ("add", "maximum", "clamp") and any(0 < e < 0.1 for e in op.args[1:] if number(e)):
        small = next(e for e in op.args[1:] if number(e))
        if op.name == "add":
            root = given_by(op.args[0], seen)
            if root is not None and root.name in ("sqrt", "std", "norm"):
                yield _epsilon(
                    op, outside, inside, lambda f, a, o, s: _maker(a[0], "sqrt")(a[0] * a[0] + small)
                )
            yield compare(
                op,
                f"an epsilon of {small:.4g} is",
                "added",
                "the least allowed",
                lambda f, a, o, s: _maker(a[0], "clip")(a[0], small, None),
            )
        else:
            yield compare(
                op,
                f"an epsilon of {small:.4g} is",
                "the least allowed",
                "added",
                lambda f, a, o, s: a[0] + small,
            )
    yield from _inside_root(op, seen, (inside, outside))
    if op.name in ("layer_norm", "rms_norm", "batch_norm"):
        yield from _after_root(op)


def _inside_root(op: Operation, seen: Sequence[Operation], words: tuple[str, str]) -> Iterator[Option]:
    """A root of a sum with an epsilon."""
    inside, outside = words
    if op.name in ("sqrt", "rsqrt", "pow") and op.args and is_array(op.args[0]):
        added = given_by(op.args[0], seen)
        if added is None or added.name != "add" or not number(added.args[-1]):
            return
        small = added.args[-1]

        def instead(function, args, options, seen):
            root = _maker(args[0], "sqrt")(args[0] - small) + small
            inverse = op.name == "rsqrt" or (op.name == "pow" and args[1] < 0)
            return 1 / root if inverse else root

        yield _epsilon(op, inside, outside, instead)


def _epsilon(op: Operation, own: str, changed: str, instead) -> Option:
    return compare(op, "the epsilon is added", own, changed, instead, MILD)


def _after_root(op: Operation) -> Iterator[Option]:
    """A norm whose epsilon is added to the standard deviation."""
    if not op.torch or op.name != "layer_norm":
        return
    small = value(op, 4, "eps", default=1e-5)

    def instead(function, args, options, seen, unbiased=False):
        x, sizes = args[0], args[1]
        axes = tuple(range(-len(sizes), 0))
        mean = x.mean(axes, keepdim=True)
        root = x.std(axes, keepdim=True, correction=int(unbiased))
        made = (x - mean) / (root + small)
        weight, bias = value(op, 2, "weight"), value(op, 3, "bias")
        made = made * weight if weight is not None else made
        return made + bias if bias is not None else made

    yield _epsilon(op, "inside of the root", "outside of the root, to its result", instead)
    yield compare(
        op,
        "the norm divides",
        "by the root of the variance plus epsilon",
        "by the unbiased standard deviation (n - 1) plus epsilon",
        lambda f, a, o, s: instead(f, a, o, s, True),
        COARSE,
    )


def given_by(array: object, seen: Sequence[Operation]) -> Operation | None:
    """The operation that gave an array."""
    return next((each for each in reversed(seen) if each.result is array), None)


def deviations(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A variance or standard deviation that is divided by n, or by n - 1."""
    if op.name not in ("var", "std", "var_mean", "std_mean") or not op.args:
        return
    what = "the variance" if op.name.startswith("var") else "the standard deviation"
    if op.torch:
        biased = value(op, 9, "unbiased") is False or value(op, 9, "correction") == 0
        new = {"correction": 1 if biased else 0}
    else:
        biased = not value(op, 3, "ddof", default=0)
        new = {"ddof": 1 if biased else 0}

    def instead(function, args, options, seen):
        kept = {k: v for k, v in options.items() if k not in ("unbiased", "correction", "ddof")}
        if any(isinstance(a, bool) for a in args):
            args = tuple(a for a in args if not isinstance(a, bool))
        return function(*args, **kept, **new)

    words = ("biased (divided by n)", "unbiased (by n - 1)")
    yield compare(op, f"{what} is", *(words if biased else words[::-1]), instead, MILD)


def scaled(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """An embedding or a matrix product times the root of its width, or what the other half multiplies by."""
    if op.name not in ("embedding",) or not shape(op.result):
        return
    width = shape(op.result)[-1]
    for factor in (math.sqrt(width), 1 / math.sqrt(width), *around.numbers[:8]):
        told = f"embeddings are multiplied by {said(factor)} in {{other}} and not in {{this}}"
        yield Option(told, {op.place: made(lambda x, factor=factor: x * factor)}, COARSE)


FAMILIES = (replaced, settings, epsilon, deviations, scaled)
