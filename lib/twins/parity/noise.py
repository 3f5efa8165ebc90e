"""What rounding alone can do to a pair: the floors that the gate's float32 checks are compared with.

A limit alone does not know the noise of a network: the gradient of a bias before BatchNorm is zero but for
rounding, long sums round more, a ReLU whose input is zero but for rounding switches. So a float32 check above
its limit is compared with how far each half is from its own float64 result; the float64 checks have no such
floor. Without float64, the floor is each half against itself, its weights changed in their last places.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from twins.frameworks import MLX, on
from twins.models import weights
from twins.parity import float64_stand_ins
from twins.parity.checks import (
    ZERO_GRADIENT,
    Batch,
    Halves,
    check_gradients,
    check_update,
    evaluated,
    gradient_pairs,
    outputs_of,
)
from twins.parity.differences import Check, compared, relative
from twins.parity.limits import limit as limit_of
from twins.training.train import Half

FLOOR_FACTOR = 10.0  # what chaos or a switched ReLU parts may differ by this many times the floor
ROUNDING = 3.0  # what rounding parts may differ by this many times what it moves one half from float64
MOST = 1e-2  # of the largest gradient, or of a value: rounding that moves more excuses nothing
SHAKE = 3e-6  # of every weight: moves what is computed from it by a few times what rounding does
DRAWS = 4


def permuted(batches: Sequence[Batch], seed: int = 0) -> list[Batch]:
    """The same batches with their rows in another order: the same mean loss, rounded differently."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(batch[0])) for batch in batches]
    return [
        tuple(array[order] if len(array) == len(order) else array for array in batch)
        for batch, order in zip(batches, orders, strict=True)
    ]


def shaken(half: Half, draw: int) -> Half:
    """A half, each of its floating-point weights changed by about SHAKE of itself."""
    rng, mlx = np.random.default_rng(draw), half.framework is MLX
    found = (weights.mlx_weights if mlx else weights.torch_weights)(half.model)
    for name, value in found.items():
        if value.dtype.kind == "f":
            found[name] = (value * (1 + SHAKE * rng.standard_normal(value.shape))).astype(value.dtype)
    (weights.load_mlx if mlx else weights.load_torch)(half.model, found)
    return half


def floors(make: Halves, batch: Batch, index: int = 1) -> dict[str, float]:
    """By check, what rounding alone can do to one half: against itself shaken, the largest of DRAWS."""
    largest: dict[str, float] = {}
    for draw in range(DRAWS):
        pair = shaken(make("float32")[index], draw), make("float32")[index]
        for check in _checks(*pair, batch):
            largest[check.name] = max(check.value, largest.get(check.name, 0.0))
    return largest


def _checks(one: Half, two: Half, batch: Batch) -> Iterator[Check]:
    """The checks that rounding moves, of any two halves."""
    losses = [half.framework.numpy(half.loss(half.model, *half.batch(batch))) for half in (one, two)]
    yield compared("outputs", *[outputs_of(half, batch) for half in (one, two)])
    yield Check("loss", relative(*losses), limit_of("outputs"), "")
    yield evaluated(one, two, batch)
    yield check_gradients(one, two, batch)
    yield from check_update(one, two, batch)


def of_both(make: Halves, batch: Batch) -> dict[str, float]:
    """By check, the larger floor of the two halves."""
    ours, theirs = (floors(make, batch, index) for index in (0, 1))
    return {name: max(value, theirs[name]) for name, value in ours.items()}


def by_float64(make: Halves, batch: Batch) -> dict[str, float]:
    """By check, how far rounding moves a half from its own float64 result, the larger of both halves."""
    largest: dict[str, float] = {}
    for index in (0, 1):
        low = make("float32")[index]
        with on("cpu"), float64_stand_ins.convolutions():
            for check in _checks(low, make("float64")[index], batch):
                largest[check.name] = max(check.value, largest.get(check.name, 0.0))
    return largest


def relaxed(
    checks: Sequence[Check], floors: Mapping[str, float], factor: float = FLOOR_FACTOR
) -> list[Check]:
    """The checks; a limit that is exceeded becomes `factor` floors, unless the floor itself is too large."""
    return [_relaxed(check, floors.get(check.name, 0.0), factor) for check in checks]


def _relaxed(check: Check, floor: float, factor: float) -> Check:
    if check.passed or not floor <= MOST:
        return check
    return replace(check, limit=max(check.limit, factor * floor), where=f"{check.where}, floor {floor:.2g}")


def gradients(make: Halves, batch: Batch) -> Check:
    """(c) The gradients tensor by tensor, each with what rounding moves it from float64 in either half."""
    low = gradient_pairs(*make("float32"), batch)
    with on("cpu"), float64_stand_ins.convolutions():
        high = gradient_pairs(*make("float64"), batch)
    largest = max(np.linalg.norm(each) for pair in high.values() for each in pair)
    limits, values = {}, {}
    for name, (ours, theirs) in low.items():
        moved = max(np.linalg.norm(a - b) for a, b in zip(low[name], high[name], strict=True))
        size = max(np.linalg.norm(high[name][1]), ZERO_GRADIENT * largest)
        excused = ROUNDING * moved if moved <= MOST * largest else 0.0
        limits[name] = max(limit_of("gradients"), excused / size)
        values[name] = float(np.linalg.norm(ours - theirs) / size)
    where = max(values, key=lambda k: np.inf if np.isnan(values[k]) else values[k] / limits[k])
    return Check("gradients", values[where], limits[where], f"{where}, limit from its rounding")
