"""Changes tried one by one on one half until its value is the other half's: the only way to name a cause.

A change that fits is confirmed with other weights, at which functions that are alike on small values part; of
several that still fit the mildest is told.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

import numpy as np

from twins.frameworks import TORCH
from twins.models import user_model, weights
from twins.parity.alternatives import (
    attention,
    axes,
    functions,
    layers,
    layouts,
    losses,
    masks,
    modes,
    numbers,
    positions,
    removals,
    signs,
    sources,
)
from twins.parity.checks import Batch, Halves
from twins.parity.diagnosis.calls import skipping, watched
from twins.parity.differences import apart
from twins.parity.interception import operations, provenance
from twins.parity.interception.operations import Changes, Instead, Operation
from twins.parity.interception.option import Around, Option
from twins.training.train import Half

import torch  # isort: skip  (after frameworks: the BLAS)

FAULTS = (*user_model.FAULTS, StopIteration)  # what a changed pass may raise
PASSES, SECONDS = 1500, 20.0  # at most spent on one departure
CUTS = ("detach", operations.GRAPH)
LIVELY = (1.0, 4.0)  # times the usual size of random weights, at which a change is confirmed
NOISE = 5e-5  # relative, within which confirmed values agree: larger weights round more
MODULES = (
    losses,
    numbers,
    axes,
    positions,
    functions,
    attention,
    masks,
    layers,
    modes,
    layouts,
    signs,
    removals,
    sources,
)
FAMILIES = tuple(family for module in MODULES for family in module.FAMILIES)


@dataclass(frozen=True)
class Place:
    """A value that departs: how each half makes it, both values, and within what they would agree."""

    make: Halves
    batch: Batch
    measure: Callable[[Half, Batch], np.ndarray]
    values: tuple[np.ndarray, np.ndarray]
    limit: float
    agreed: tuple[frozenset, frozenset] = (
        frozenset(),
        frozenset(),
    )  # (path, n-th call) of modules that agree
    cuts: bool = False  # whether only cuts of the graph are looked for: a gradient departs, all values agree


@dataclass(frozen=True)
class Trial:
    """A change of one half: 0 MLX, 1 PyTorch; either of operations or of the batch."""

    side: int
    sentence: str
    rank: float
    changes: Changes = field(default_factory=dict)
    arrays: Callable[[Batch], Batch] | None = None
    left_out: tuple[str, int] | None = None  # the n-th call of a module


class Search:
    """The trials of one place, while MLX's operations are wrapped."""

    def __init__(self, place: Place, holder: dict):
        self.place, self.holder = place, holder
        self.until = time.monotonic() + SECONDS
        self.passes = 0
        self.halves = place.make("float32")
        self.seen, self.named = zip(*(self._seen(half, place.batch) for half in self.halves), strict=True)

    def _seen(self, half: Half, batch: Batch) -> tuple[list[Operation], dict[int, str]]:
        """The operations of a pass up to the value, and the modules' arrays by name."""
        with (
            watched(half, keep=False) as recorder,
            operations.passing(self.holder, half, inside=recorder.inside) as seen,
            suppress(*FAULTS),  # what was seen until then may hold the cause
        ):
            self.place.measure(half, batch)
        return seen, provenance.named(half, seen, recorder.named)

    def spent(self) -> bool:
        """Whether the passes or the seconds are used up."""
        return self.passes >= PASSES or time.monotonic() > self.until

    def value(self, trial: Trial, half: Half, seen: list[Operation]) -> np.ndarray | None:
        """The value of a changed half; None when the change does not fit what it changes."""
        self.passes += 1
        batch = trial.arrays(self.place.batch) if trial.arrays else self.place.batch
        try:
            without = skipping(half, *trial.left_out) if trial.left_out else nullcontext()
            with without, operations.passing(self.holder, half, trial.changes, seen):
                return self.place.measure(half, batch)
        except FAULTS:
            return None

    def fits(self, trial: Trial) -> bool:
        """Whether the change gives the other half's value."""
        value = self.value(trial, self.halves[trial.side], self.seen[trial.side])
        return value is not None and _apart(trial.side, value, self.place.values) < self.place.limit

    def confirmed(self, trial: Trial) -> bool:
        """Whether it does so with other weights, where the values of unchanged halves part more."""
        for size in LIVELY:
            halves = lively(self.place.make("float32"), size)
            try:
                values = tuple(self.place.measure(half, self.place.batch) for half in halves)
            except FAULTS:
                return False
            seen = self._seen(halves[trial.side], self.place.batch)[0]
            value = self.value(trial, halves[trial.side], seen)
            limit = max(self.place.limit, min(NOISE, apart(*values) / 10))
            if value is None or not _apart(trial.side, value, values) < limit:
                return False
        return True

    def found(self, trials: Iterator[Trial]) -> list[Trial]:
        """Every trial that fits and is confirmed, the mildest first."""
        fitting = [
            trial for trial in itertools.takewhile(lambda _: not self.spent(), trials) if self.fits(trial)
        ]
        return sorted(filter(self.confirmed, fitting), key=lambda trial: trial.rank)


def _apart(side: int, value: np.ndarray, values: tuple[np.ndarray, np.ndarray]) -> float:
    """How far a changed half's value is from the other half's."""
    return apart(value, values[1]) if side == 0 else apart(values[0], value)


def lively(halves: tuple[Half, Half], size: float = 1.0) -> tuple[Half, Half]:
    """The halves with random weights added: a fresh network's small ones hide how its functions differ."""
    mlx, torch_half = halves
    rng = np.random.default_rng(int(size))
    padding = {
        id(each.weight): each.padding_idx
        for each in torch_half.model.modules()
        if isinstance(each, torch.nn.Embedding) and each.padding_idx is not None
    }
    for parameter in torch_half.model.parameters():
        scale = size / np.sqrt(max(1, parameter[0].numel())) if parameter.ndim > 1 else 0.3 * min(size, 2.0)
        noise = scale * rng.standard_normal(tuple(parameter.shape))
        if id(parameter) in padding:
            noise[padding[id(parameter)]] = 0.0
        parameter.data += TORCH.array(noise, "float32")
    weights.copy_to_mlx(torch_half.model, mlx.model, mlx.names)
    return halves


def cause(place: Place) -> str:
    """The sentence of the mildest change that mends a departure; empty when none does."""
    with operations.intercepted() as holder:
        search = Search(place, holder)
        found = search.found(_trials(search))
    return found[0].sentence if found else ""


def vanishes(place: Place, side: int, path: str, index: int) -> bool:
    """Whether a departure is gone when one call of a module is left out."""
    trial = Trial(side, "", 0, left_out=(path, index))
    with operations.intercepted() as holder:
        search = Search(place, holder)
        return search.fits(trial) and search.confirmed(trial)


def _trials(search: Search) -> Iterator[Trial]:
    """What is tried: first the batch's masks, then operations near the value, mildest families first."""
    if not search.place.cuts:
        yield from _inputs(search.place.batch)
    offers = [list(_offered(search, side)) for side in (1, 0)]
    mixed = [trial for group in itertools.zip_longest(*offers) for trial in group if trial is not None]
    yield from sorted(mixed, key=lambda trial: trial.rank)


def _inputs(batch: Batch) -> Iterator[Trial]:
    """A mask of the batch that holds everything, or that is inverted, for one half alone."""
    for at, array in enumerate(batch[:-1]):
        if at and array.ndim > 0 and array.size > 1 and set(np.unique(array)) == {0, 1}:
            for side in (1, 0):
                this, other = ("PyTorch", "MLX") if side else ("MLX", "PyTorch")
                mask = f"array {at} of the batch, a mask"
                told = f"{other} does not use {mask}: its padding mask is missing or ignored"
                yield Trial(side, told, 0, {}, _with(at, np.ones_like))
                told = f"{mask}, is inverted in one half: what {this} shows {other} hides"
                yield Trial(side, told, 0, {}, _with(at, lambda mask: (1 - mask).astype(mask.dtype)))


def _with(at: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Batch], Batch]:
    return lambda batch: (
        *batch[:at],
        change(batch[at].astype("int8")).astype(batch[at].dtype),
        *batch[at + 1 :],
    )


def _offered(search: Search, side: int) -> Iterator[Trial]:
    """The changes of one half's operations, the newest operation first."""
    seen, half, place = search.seen[side], search.halves[side], search.place
    masks = {
        f"array {i} of the batch": array.astype(bool)
        for i, array in enumerate(half.arranged(place.batch)[1:-1], 1)
        if array.ndim == 2 and set(np.unique(array)) <= {0, 1}
    }
    around = Around(numbers.written(search.seen[1 - side]), masks, search.named[side])
    views = {id(op.result) for op in seen if op.name == "as_strided"}  # MLX 0.32 reduces some of them wrongly
    alike: dict[tuple, dict[int, Instead]] = {}
    groups: dict[tuple, Trial] = {}
    for op in reversed(seen):
        if any(each in place.agreed[side] for each in op.inside) or (place.cuts and op.name not in CUTS):
            continue
        if any(id(each) in views for each in op.args):
            continue
        for option in _options(op, seen, around):
            yield Trial(side, option.sentence(bool(side)).strip(), option.rank, option.changes)
            if len(option.changes) == 1:
                for key in (
                    (op.name, option.told, option.own, option.changed),
                    (op.site, option.told, option.changed),
                ):
                    alike.setdefault(key, {}).update(option.changes)
                    if len(alike[key]) > 1:
                        both = Trial(
                            side, option.sentence(bool(side)).strip(), option.rank + 0.5, dict(alike[key])
                        )
                        groups[key] = both
    yield from groups.values()


def _options(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    for family in FAMILIES:
        yield from family(op, seen, around)
