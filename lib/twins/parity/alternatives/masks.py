"""Masks: causal or of padding; missing, inverted, as numbers that are added, aligned to another corner."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from twins.parity.interception import provenance
from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    USUAL,
    Around,
    Option,
    is_array,
    kind,
    like,
    numpy,
    shape,
    value,
)

import torch  # isort: skip

HIDDEN = -1e9  # added to a score that softmax makes nothing of


def masks(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Scaled dot-product attention with another mask."""
    if op.name != "attention":
        return
    rows, columns = shape(op.args[0])[-2], shape(op.args[1])[-2]
    mask = value(op, 3, "attn_mask", "mask")
    causal = bool(value(op, 5, "is_causal", default=False)) if op.torch else mask == "causal"
    mask = None if isinstance(mask, str) else mask
    for words, new in _other_masks(mask, causal, rows, columns, around):
        yield Option(words, {op.place: _masked(op, new)}, MILD)


def _other_masks(
    mask: object, causal: bool, rows: int, columns: int, around: Around
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Sentences and masks (True shows, or added numbers) to try in the place of one."""
    own = _shown(mask)
    lower = np.tril(np.ones((rows, columns), bool))
    corner = np.tril(np.ones((rows, columns), bool), columns - rows)
    if causal:
        yield (
            "{this} hides what follows with a causal mask, {other} does not: its causal mask is missing",
            own,
        )
    if own is not None:
        kept = lower if causal else None
        what = "causal mask" if provenance.causal(mask) else "mask"
        yield (
            f"{{other}} does not use the {what} that {{this}} hides with: its {what} is missing or ignored",
            kept,
        )
        yield from (
            (words, _both(each, kept)) for words, each in turned(own, mask is not None and kind(mask))
        )
    if not causal:
        both = own if own is None or own.dtype == bool else None
        if both is not None or own is None:
            words = (
                "{other} hides what follows with a causal mask, {this} does not: its causal mask is missing"
            )
            yield words, _both(lower, both)
            if rows != columns:
                yield words + " (aligned to the last query)", _both(corner, both)
    if causal and rows != columns:
        told = "the causal mask is aligned to the first query and key in {this} and to the last in {other}"
        yield told, _both(corner, own)
    if causal:
        told = "the causal mask of {other} is shifted by one position: it {how}"
        yield told.replace("{how}", "hides the position itself as well"), np.tril(lower, -1)
        yield told.replace("{how}", "shows one that follows"), np.tril(np.ones((rows, columns), bool), 1)
    if own is None:
        yield from _padding(around, columns, lower if causal else None)


def _padding(
    around: Around, columns: int, causal: np.ndarray | None
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Masks of the batch that may hide keys."""
    for words, array in around.masks.items():
        if array.ndim == 2 and array.shape[1] == columns:
            shown = _both(array[:, None, None, :], causal)
            yield (
                f"{{other}} hides what {words} leaves out, {{this}} does not: its padding mask is missing",
                shown,
            )
            hidden = _both(~array[:, None, None, :], causal)
            yield f"{{other}} hides what {words} holds, and {{this}} does not", hidden


def _both(one: np.ndarray | None, two: np.ndarray | None) -> np.ndarray | None:
    if one is None or two is None:
        return one if two is None else two
    return one & two if one.dtype == two.dtype == bool else one


def _shown(mask: object) -> np.ndarray | None:
    """A mask as an array, True where it shows when it is of booleans; numbers that are added stay numbers."""
    return numpy(mask) if is_array(mask) else None


def turned(own: np.ndarray, of: str | bool = "bool") -> Iterator[tuple[str, np.ndarray]]:
    """A mask inverted, as numbers that are added, transposed, or aligned to the other corner."""
    two = np.unique(own) if own.size < 1_000_000 else own.reshape(-1)[:2]
    if own.dtype == bool:
        yield "the mask is inverted: what {this} shows is hidden in {other}, and the reverse", ~own
        yield (
            "{other} adds the mask's numbers, 0 and 1, to the scores, where {this} hides with it",
            own.astype("float32"),
        )
        told = "{other} adds the inverted mask's numbers, 0 and 1, to the scores, where {this} hides with it"
        yield told, (~own).astype("float32")
    elif len(two) == 2 and own.dtype.kind == "f":
        low, high = two
        yield (
            "the mask is inverted: what {this} shows is hidden in {other}, and the reverse",
            np.where(own == low, high, low).astype(own.dtype),
        )
        if (low, high) == (0, 1):
            told = "{this} adds the mask's numbers, 0 and 1, to the scores, where {other} hides with it"
            yield told, own.astype(bool)
            yield told + " (inverted)", ~own.astype(bool)
    if len(two) == 2 and own.ndim > 1 and own.shape[-1] > 1 and own.shape[-2] > 1:
        hide, show = (False, True) if own.dtype == bool else two
        yield from _corners(own, hide, show)


def _corners(own: np.ndarray, hide: object, show: object) -> Iterator[tuple[str, np.ndarray]]:
    rows, columns = own.shape[-2:]
    own_diagonal = [d for d in (-1, 0, 1, columns - rows) if _is_causal(own, d, show)]
    if own_diagonal:
        for d in dict.fromkeys((0, columns - rows, -1, 1)):
            if d not in own_diagonal:
                new = np.where(np.tril(np.ones((rows, columns), bool), d), show, hide).astype(own.dtype)
                yield _diagonal(own_diagonal[0], d, columns - rows), np.broadcast_to(new, own.shape)
    if rows == columns:
        causal = "causal " if own_diagonal or _is_causal(own, 0, hide) or provenance.causal(own) else ""
        yield (
            f"the {causal}mask is transposed in {{other}}: its queries and keys are exchanged",
            np.ascontiguousarray(own.swapaxes(-1, -2)),
        )


def _is_causal(own: np.ndarray, diagonal: int, show: object) -> bool:
    lower = np.tril(np.ones(own.shape[-2:], bool), diagonal)
    return bool(((own == show) == lower).all())


def _diagonal(now: int, new: int, last: int) -> str:
    if last and {now, new} == {0, last}:
        ends = ("first", "last") if now == 0 else ("last", "first")
        told = f"the causal mask is aligned to the {ends[0]} query and key in {{this}} and to the {ends[1]}"
        return f"{told} in {{other}}"
    how = "hides the position itself as well" if new < now else "shows one that follows"
    return f"the causal mask of {{other}} is shifted by one position: it {how}"


def _masked(op: Operation, mask: np.ndarray | None) -> Callable:
    """Attention with this mask and no other."""

    def instead(function, args, options, seen):
        query, key, own = args[0], args[1], args[2]
        scale = value(op, 9, "scale") or 1 / math.sqrt(shape(query)[-1])
        array = like(mask, query) if mask is not None else None
        more = {"enable_gqa": True} if options.get("enable_gqa") else {}
        if op.torch:
            array = array.to(query.dtype) if array is not None and array.dtype != torch.bool else array
            return function(query, key, own, attn_mask=array, scale=scale, **more)
        return function(query, key, own, scale=scale, mask=array)

    return instead


def scores(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Handwritten attention: a causal mask, or one of the batch, that the softmax does not see."""
    if op.name != "softmax" or not op.args or len(shape(op.args[0])) < 3 or shape(op.args[0])[-2] < 2:
        return
    rows, columns = shape(op.args[0])[-2:]
    lower = np.tril(np.ones((rows, columns), bool))
    told = "{other} hides what follows with a causal mask, {this} does not: its causal mask is missing"
    yield Option(told, {op.place: _hiding(lower)}, COARSE)
    for words, array in around.masks.items():
        if array.ndim == 2 and array.shape[1] == columns:
            shown = array.reshape(len(array), *(1,) * (len(shape(op.args[0])) - 2), columns)
            told = f"{{other}} hides what {words} leaves out, {{this}} does not: its padding mask is missing"
            yield Option(told, {op.place: _hiding(shown)}, COARSE)


def _hiding(shown: np.ndarray) -> Callable:
    def instead(function, args, options, seen):
        hidden = like(np.where(shown, 0.0, HIDDEN).astype("float32"), args[0])
        return function(args[0] + hidden, *args[1:], **options)

    return instead


def arguments(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A mask that an operation is given: inverted, as numbers, aligned otherwise."""
    if op.name in ("attention", "logical_not", "astype", "to", "reshape", "getitem"):
        return
    for at, each in [*enumerate(op.args), *op.options.items()]:
        if not is_array(each) or not 1 < math.prod(shape(each)) < 100_000 or len(shape(each)) < 2:
            continue
        if kind(each) == "int" or (kind(each) == "float" and op.name not in ("add", "mul", "sub")):
            continue
        array = numpy(each)
        if kind(each) == "float" and len(np.unique(array)) != 2:
            continue
        if isinstance(at, str):
            what = "causal mask" if provenance.causal(array) else "padding mask"
            told = f"{{other}} does not use the mask `{at}` of {{this}}: its {what} is missing or ignored"
            yield Option(told, {op.place: _replacing(op, at, None)}, MILD)
        for words, new in turned(array):
            if op.name not in ("where", "masked_fill") or new.dtype == bool:
                yield Option(words, {op.place: _replacing(op, at, new)}, MILD)
        if op.name in ("masked_fill", "where") and array.dtype == bool:
            yield from _added(op, array)


def _replacing(op: Operation, at: int | str, new: np.ndarray | None) -> Callable:
    """The operation with another mask in one argument; booleans that are added hide."""

    def instead(function, args, options, seen):
        if isinstance(at, str):
            changed = None if new is None else like(np.array(new), options[at])
            return function(*args, **{**options, at: changed})
        if op.name == "add" and new.dtype == bool:
            hidden = like(np.where(new, 0.0, HIDDEN).astype("float32"), args[1 - at])
            return args[1 - at] + hidden
        return function(*args[:at], like(np.array(new), args[at]), *args[at + 1 :], **options)

    return instead


def _added(op: Operation, mask: np.ndarray) -> Iterator[Option]:
    """The mask's numbers added to the scores where it should hide."""
    told = "{other} adds the mask's numbers, 0 and 1, to the scores, where {this} hides with it"
    scores_at = 0 if op.name == "masked_fill" else 1
    for numbers in (mask, ~mask):

        def instead(function, args, options, seen, numbers=numbers):
            found = [a for a in args[scores_at:] if is_array(a) and kind(a) == "float"]
            return found[0] + like(numbers.astype("float32"), found[0])

        yield Option(told, {op.place: instead}, USUAL)


FAMILIES = (masks, scores, arguments)
