"""Which attention over known values gives a value: how scores, masks and heads are recognised.

Softmax attention of Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762) over three arrays of one shape,
or over one that holds all three; heads, scale, mask and the order of axes are found by trying.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from twins.parity.diagnosis.expressions import EXACT
from twins.parity.differences import relative

HEADS = 32  # at most tried
NUMBERS = 40_000  # looked at, in whole examples
RECENT = 3  # arrays that queries, keys and values are sought among
HIDDEN = -1e9  # a score that softmax makes nothing of
OUTER = "split off as the outer axis"
SPLITS = {OUTER: (0, 2, 1, 3), "split off as the inner axis": (0, 3, 1, 2)}  # -> (B, H, T, D)


def recognised(
    known: dict[str, np.ndarray], wanted: np.ndarray, masks: Iterable[np.ndarray]
) -> dict[str, str]:
    """The attention over these values that gives the one wanted, by its parts; empty when none does."""
    if wanted.ndim != 3 or wanted.shape[1] < 2:
        return {}
    rows = max(1, NUMBERS // wanted[0].size)
    cut = wanted[:rows]
    hidden = dict(_hidden(cut.shape, masks))
    for names, arrays in _triples({k: v[:rows] for k, v in known.items()}, cut.shape):
        for heads in (h for h in range(1, min(HEADS, cut.shape[2]) + 1) if cut.shape[2] % h == 0):
            if found := _found(arrays, heads, hidden, cut):
                return names | {"number of heads is": str(heads)} | found
    return {}


def _triples(known: dict[str, np.ndarray], shape: tuple[int, ...]) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """Queries, keys and values: parts of one array three times as wide, or three arrays in any order."""
    packed = [v for v in known.values() if v.shape == (*shape[:2], 3 * shape[2])]
    thirds = [("first", "second", "third")[i] + " third" for i in range(3)]
    parts = [list(zip(thirds, np.split(v.astype(np.float64), 3, axis=-1), strict=True)) for v in packed[-1:]]
    alone = [(k, v.astype(np.float64)) for k, v in known.items() if v.shape == shape][-RECENT:]
    for each in [*parts, alone]:
        for chosen in itertools.permutations(each, 3):
            names = zip(("queries are", "keys are", "values are"), chosen, strict=True)
            yield {what: name for what, (name, _) in names}, [array for _, array in chosen]


def _hidden(shape: tuple[int, ...], masks: Iterable[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What may be hidden from a query: nothing, what follows, what the batch's masks leave out, or both."""
    rows, length, _ = shape
    later = np.triu(np.ones((length, length), bool), 1)[None, None]
    yield "none", np.zeros((1, 1, 1, 1), bool)
    yield "causal", later
    for mask in masks:
        flat = mask.reshape(-1, mask.shape[-1])[:rows] if mask.ndim > 1 else mask
        if flat.shape == (rows, length) and set(np.unique(flat)) <= {0, 1}:
            padded = ~flat.astype(bool)[:, None, None]
            yield "that of padding", padded
            yield "causal and that of padding", padded | later


def _found(
    arrays: list[np.ndarray], heads: int, hidden: dict[str, np.ndarray], wanted: np.ndarray
) -> dict[str, str]:
    """Scale, mask and order of axes with which attention gives the value wanted, in words."""
    rows, length, width = wanted.shape
    depth = width // heads
    for split, axes in SPLITS.items():
        sizes = (rows, length, heads, depth) if split == OUTER else (rows, length, depth, heads)
        q, k, v = (x.reshape(sizes).transpose(axes) for x in arrays)
        scores = q @ k.swapaxes(-1, -2)
        scales = {f"divided by the root of {n}": math.sqrt(n) for n in {depth: 0, width: 0}}
        for (how, scale), (masked, hide) in itertools.product(
            {**scales, "not scaled": 1.0}.items(), hidden.items()
        ):
            made = _softmax(np.where(hide, HIDDEN, scores / scale)) @ v
            for merged, value in _merged(made, wanted.shape).items():
                if relative(value, wanted) < EXACT:
                    return {"scores are": how, "mask is": masked, "heads are": f"{split}, {merged}"}
    return {}


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _merged(made: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The heads side by side again; not moved back before; or inside."""
    return {
        "merged side by side": made.transpose(0, 2, 1, 3).reshape(shape),
        "merged without moving them back": made.reshape(shape),
        "merged as the inner axis": made.transpose(0, 2, 3, 1).reshape(shape),
    }
