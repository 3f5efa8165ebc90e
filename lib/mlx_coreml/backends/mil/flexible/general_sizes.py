"""Sizes at which a function shows its most general form, all sizes of a short list, and sizes for the check.

Where a picture needs no padding, `if pad > 0` leaves it out: such sizes tell nothing about the others.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence

from mlx_coreml.backends.mil.flexible.axes import Axis, Sizes
from mlx_coreml.backends.mil.flexible.merge_lengths import Step

Groups = Sequence[Sequence[Axis]]
GOLDEN = 0.6180339887  # its multiples are spread evenly, with all remainders
CANDIDATES, CHOSEN, OTHERS = 24, 9, 4
SMALL, MORE = 300, 16  # nodes of a function that is looked at at so many sizes
FEWEST = 5  # sizes of one form
BEYOND = (0, 1, 2, 3)  # past the end of a range
LISTED_MOST = 24  # sizes that are all looked at
UNSEEN, AT_STEPS = 2, 6  # more sizes for the check


def candidates(groups: Groups, avoid: set[int]) -> list[Sizes]:
    """The largest sizes, then others all over the ranges or lists."""
    columns = [_spread(group, number, avoid) for number, group in enumerate(groups)]
    count = max(len(column) for column in columns)
    return [_joined(groups, [column[k % len(column)] for column in columns]) for k in range(count)]


def _joined(groups: Groups, chosen: Sequence[int]) -> Sizes:
    """One choice for each group: a size, or a place in the lists."""
    return {
        axis.place: each if axis.is_range else axis.sizes[each]
        for group, each in zip(groups, chosen, strict=True)
        for axis in group
    }


def _spread(group: Sequence[Axis], number: int, avoid: set[int]) -> list[int]:
    if not group[0].is_range:
        return list(range(len(group[0].sizes)))[::-1][:LISTED_MOST]
    low, high = group[0].sizes
    fractions = (((k + 1) * (GOLDEN + 0.21 * number)) % 1 for k in range(3 * CANDIDATES))
    drawn = dict.fromkeys(low + int(f * (high - low + 1)) for f in fractions)
    free = [n for n in drawn if n != high and n > 1]
    good = [n for n in free if n not in avoid]
    return [high, *(good if len(good) >= CANDIDATES // 2 else free)][:CANDIDATES]


def general_sizes(
    groups: Groups, avoid: set[int], form: Callable[[Sizes], Sequence | None]
) -> tuple[list[Sizes], list[Sizes]]:
    """Sizes of the form that has the most parts, the largest first, and the same with some of other forms.

    Either is empty where there are none. `form` gives the form of the function at sizes, a sequence of parts
    that begin with a kind, or None where it has none.
    """
    tried = candidates(groups, avoid)
    forms: dict[Hashable, list[Sizes]] = {}
    for sizes in tried:
        forms.setdefault(form(sizes), []).append(sizes)
    ranged = all(group[0].is_range for group in groups)
    fewest = min(FEWEST, len(tried)) if ranged else max(2, len(tried) // 2)
    common = [each for each, of in forms.items() if each is not None and len(of) >= fewest]
    if not common:
        return [], []
    count = MORE if max(map(len, common)) <= SMALL else CHOSEN
    chosen = max(common, key=lambda each: (len(each), len(forms[each])))
    if any(each and len(each) == len(chosen) and _kinds(each) != _kinds(chosen) for each in forms):
        return [], []  # two ways to compute, of which neither is the other with something left out
    alike = forms[chosen]
    others = [sizes for sizes in tried if sizes not in alike and form(sizes) is not None]
    mixed = [tried[0], *alike[:count], *others[:OTHERS]] if others else []
    if alike[0] is not tried[0]:
        alike = [*_largest(groups, chosen, form), *alike]
    first = max(alike, key=lambda sizes: sorted(sizes.values()))
    alike = [first, *(sizes for sizes in alike if sizes is not first)][:count]
    return alike, [sizes for i, sizes in enumerate(mixed) if sizes not in mixed[:i]]


def _kinds(form: Sequence[tuple]) -> list:
    return [part[0] for part in form]


def _largest(groups: Groups, wanted: Hashable, form: Callable) -> list[Sizes]:
    """Sizes of a form at or just beyond the ends of the ranges."""
    if not all(group[0].is_range for group in groups):
        return []
    for more in itertools.product(BEYOND, repeat=len(groups)):
        sizes = _joined(groups, [g[0].sizes[-1] + n for g, n in zip(groups, more, strict=True)])
        if form(sizes) == wanted:
            return [sizes]
    return []


def every(groups: Groups) -> list[Sizes]:
    """All sizes, the largest first, where there is one list or range and it is short; else none."""
    if len(groups) > 1:
        return []
    axis = groups[0][0]
    if not axis.is_range:
        places = range(len(axis.sizes))
    elif axis.sizes[1] - axis.sizes[0] < LISTED_MOST:
        places = range(axis.sizes[0], axis.sizes[1] + 1)
    else:
        return []
    return [_joined(groups, [n]) for n in places][::-1][: LISTED_MOST + 1]


def unseen(
    groups: Groups, seen: Sequence[Sizes], steps: Sequence[tuple[tuple[int, int], Step]]
) -> list[Sizes]:
    """Sizes for the check that the model was not lowered at: small ones, and ones beside which a division of
    a size, `steps` by input and axis, gives another number.
    """
    made = []
    for group in groups:
        at = [seen_at[group[0].place] for seen_at in seen]
        if group[0].is_range:
            low, high = group[0].sizes
            fresh = [n for n in range(low + 1, high) if n not in at]
            spread = fresh[:: max(1, len(fresh) // (2 * UNSEEN))]
            made.append([*_at_steps(group, steps, fresh), *spread[:UNSEEN]])
        else:
            places = range(len(group[0].sizes))
            made.append([k for k in places if group[0].sizes[k] not in at])
    count = min(max(len(column) for column in made), UNSEEN + AT_STEPS)
    filled = [
        column or [group[0].sizes[0] if group[0].is_range else 0]
        for column, group in zip(made, groups, strict=True)
    ]
    return [
        _joined(groups, [column[(k * (1 + i)) % len(column)] for i, column in enumerate(filled)])
        for k in range(count)
    ]


def _at_steps(group: Sequence[Axis], steps: Sequence, fresh: Sequence[int]) -> list[int]:
    """The first size at which each division gives more, and the one before it."""
    found: dict[int, None] = {}
    own = {axis.place for axis in group}
    for place, step in steps:
        if place in own:
            places = [n for n in fresh if (step.times * n + step.plus) % step.by == 0]
            jumps = places[:1] + places[len(places) // 2 :][:1]
            found |= dict.fromkeys(n for jump in jumps for n in (jump, jump - 1) if n in fresh)
    return list(found)[:AT_STEPS]
