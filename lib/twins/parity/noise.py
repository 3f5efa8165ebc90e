"""What rounding alone can do to a pair: the floors that the gate's float32 checks are compared with.

A limit alone does not know the noise of a network: the gradient of a bias before BatchNorm is zero but for
rounding, long sums round more, a ReLU whose input is zero but for rounding switches. So a float32 check above
its limit is compared with how far each half is from its own float64 result; the float64 checks have no such
floor. Without float64, the floor is each half against itself, its weights changed in their last places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from twins.frameworks import MLX
from twins.models import weights
from twins.parity import float64
from twins.parity.checks import (
    ZERO_GRADIENT,
    Batch,
    Halves,
    changes,
    enlarged,
    gradient_pairs,
    gradients_of,
    outputs_of,
)
from twins.parity.differences import Check, relative
from twins.parity.limits import limit as limit_of
from twins.training.train import Half

FLOOR_FACTOR = 10.0  # what chaos or a switched ReLU parts may differ by this many times the floor
ROUNDING = 3.0  # what rounding parts may differ by this many times what it moves one half from float64
MOST = 1e-2  # of the largest gradient, or of a value: rounding that moves more excuses nothing
MOST_OF_UPDATES = 0.2  # Adam enlarges what rounding does to small gradients; clipping on one side is 0.5
SHAKE = 3e-6  # of every weight: moves what is computed from it by a few times what rounding does
DRAWS = 4
SWITCHED = 1e-4  # gradients that SHAKE moves by more have a switched ReLU behind them; others reach 4e-5


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


Seen = dict[str, dict[str, np.ndarray]]  # by check, the values that rounding moves
MEDIANS = ("update", "clipping")  # checks of the median over tensors, not of the worst


def seen(half: Half, batch: Batch) -> Seen:
    """What a fresh half computes of a batch, by check and under its own names."""
    first = {str(i): value for i, value in enumerate(outputs_of(half, batch))}
    loss = half.framework.numpy(half.loss(half.model, *half.batch(batch)))
    gradients = gradients_of(half, batch)
    half.model.eval()
    evaluated = {str(i): value for i, value in enumerate(outputs_of(half, batch))}
    half.model.train()
    found = {"outputs": first, "loss": {"": loss}, "evaluation": evaluated, "gradients": gradients}
    return found | {"update": changes(enlarged(half), batch), "clipping": changes(half, batch)}


def moved(one: Seen, two: Seen) -> dict[str, float]:
    """By check, how far two computations of one half are apart."""
    found = {}
    for check, values in two.items():
        apart = {name: relative(one[check][name], value) for name, value in values.items()}
        sizes = {name: float(np.linalg.norm(value)) for name, value in values.items()}
        least = ZERO_GRADIENT * max(sizes.values(), default=0.0)
        ordered = sorted(apart[name] for name in apart if not sizes[name] <= least) or [0.0]
        found[check] = ordered[len(ordered) // 2] if check in MEDIANS else ordered[-1]
    return found


def floors(make: Halves, batch: Batch, index: int = 1) -> dict[str, float]:
    """By check, what rounding alone can do to one half: against itself shaken, the largest of DRAWS."""
    plain = seen(make("float32")[index], batch)
    draws = [moved(seen(shaken(make("float32")[index], draw), batch), plain) for draw in range(DRAWS)]
    return {check: max(draw[check] for draw in draws) for check in plain}


def by_float64(make: Halves, batch: Batch) -> dict[str, float]:
    """By check, how far rounding moves a half from its own float64 result, the larger of both halves."""
    low = [seen(half, batch) for half in make("float32")]
    with float64.stage():
        high = [seen(half, batch) for half in make("float64")]
    ours, theirs = (moved(*pair) for pair in zip(low, high, strict=True))
    return {check: max(value, theirs[check]) for check, value in ours.items()}


def relaxed(
    checks: Sequence[Check], floors: Mapping[str, float], factor: float = FLOOR_FACTOR
) -> list[Check]:
    """The checks; a limit that is exceeded becomes `factor` floors, unless the floor itself is too large."""
    return [
        _relaxed(check, floors[check.name], factor) if check.name in floors else check for check in checks
    ]


def _relaxed(check: Check, floor: float, factor: float) -> Check:
    most = MOST_OF_UPDATES if check.name in MEDIANS else MOST
    if check.passed or not floor <= most:
        return check
    return replace(check, limit=max(check.limit, factor * floor), where=f"{check.where}, floor {floor:.2g}")


def switched(make: Halves, batch: Batch) -> dict[str, float]:
    """By check, the larger floor of the two halves; none where no ReLU switches, as their gradients show."""
    ours, theirs = (floors(make, batch, index) for index in (0, 1))
    both = {name: max(value, theirs[name]) for name, value in ours.items()}
    return both if both["gradients"] > SWITCHED else {}


def gradients(make: Halves, batch: Batch, exact: bool = True) -> Check:
    """(c) The gradients tensor by tensor, each with what rounding moves it in either half.

    Rounding is the distance from float64, or without that between two orders of the batch's rows.
    """
    low = gradient_pairs(*make("float32"), batch)
    if exact:
        with float64.stage():
            high = gradient_pairs(*make("float64"), batch)
    else:
        high = gradient_pairs(*make("float32"), permuted([batch])[0])
    largest = max(np.linalg.norm(each) for pair in high.values() for each in pair)
    limits, values = {}, {}
    for name, (ours, theirs) in low.items():
        moved = max(np.linalg.norm(a - b) for a, b in zip(low[name], high[name], strict=True))
        size = max(np.linalg.norm(high[name][1]), ZERO_GRADIENT * largest)
        excused = ROUNDING * moved if moved <= MOST * largest else 0.0
        limits[name] = float(max(limit_of("gradients"), excused / size))
        values[name] = float(np.linalg.norm(ours - theirs) / size)
    where = max(values, key=lambda k: np.inf if np.isnan(values[k]) else values[k] / limits[k])
    return Check("gradients", values[where], limits[where], f"{where}, limit from its rounding")
