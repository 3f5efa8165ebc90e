"""Why a step of training moves the weights differently when the gradients agree.

A setting is named as the cause only if torch's half, moved as described with that setting made MLX's, moves
as MLX's half does (optimizers/updates.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from twins.parity.checks import Batch, Halves, both_weights, changes, check_update, enlarged, trained
from twins.parity.differences import relative
from twins.parity.limits import limit as limit_of
from twins.parity.optimizer_settings import BESIDE, Difference, differences
from twins.parity.optimizers import described, updates
from twins.parity.optimizers.described import NEUTRAL, Described, Read
from twins.training import train
from twins.training.train import Half

Told = tuple[str, str, str]  # where, what differs, the cause or nothing
STEPS = 2  # a rate that warms up from zero moves nothing in the first


def optimizer(make: Halves, batch: Batch) -> Told | None:
    """An update that departs, and the fewest settings of the optimizers that make it agree."""
    moved = _moved(make, batch)
    if moved:
        return moved
    parted = [check for check in check_update(*make("float32"), batch) if not check.passed]
    if parted:
        departs = f"the median change of a weight departs by {parted[0].value:.2g} of its size"
        step = "the second" if parted[0].name == "clipping" else "the first"
        return "the optimizer", f"{departs} in {step} step, though gradients agree", _cause(make, batch)
    return None


def _moved(make: Halves, batch: Batch) -> Told | None:
    """A half that leaves all of its trained weights, or some that the other moves, where they are."""
    halves = make("float32")
    known = sorted(trained(*halves))
    before = both_weights(*halves)
    for _ in range(STEPS):
        for half in halves:
            train.step(half)(*half.batch(batch))
    after = both_weights(*halves)
    still = [
        {k for k in known if k in now and np.array_equal(was[k], now[k])}
        for was, now in zip(before, after, strict=True)
    ]
    for side, mine, other in (("MLX", *still), ("PyTorch", *still[::-1])):
        if len(mine) == len(known) > len(other):
            why = "the optimizer's step is missing, or it holds other weights"
            return "the optimizer", f"no weight moves in {side}", why
        if mine - other:
            first = sorted(mine - other)[0]
            why = f"in {side} it is frozen, or the optimizer does not hold it"
            return f"`{first}`", f"`{first}` does not move in {side}", why
    return None


def _cause(make: Halves, batch: Batch) -> str:
    """The fewest settings that, made equal, let the updates agree; empty when none do."""
    read = described.of_torch if _is_known(*make("float32")) else _supposed(make, batch)
    found = differences(*make("float32"), read and read(*make("float32")))
    agree = partial(_agree, make, batch, read or described.of_torch)
    alone = next((each for each in found if agree([each])), None)
    if alone is None and (len(found) < 2 or not agree(found)):
        return ""
    needed = [alone] if alone else list(found)
    for each in found if alone is None else ():
        rest = [other for other in needed if other is not each]
        if rest and agree(rest):
            needed = rest
    return _classes(make, needed) + "; ".join(each.sentence for each in needed)


def _is_known(mlx: Half, torch_half: Half) -> bool:
    return None not in described.of_torch(mlx, torch_half).values()


def _supposed(make: Halves, batch: Batch) -> Callable[[Half, Half], Read] | None:
    """What reads an optimizer of one's own as MLX's rule, if it is shown to move the weights like that."""
    torch_half, following = make("float32")[1], aligned(*make("float32"), [], described.supposed)
    if following is None:
        return None
    for ready in (enlarged, replace):
        own, told = (changes(ready(half), batch) for half in (torch_half, following))
        if not all(relative(told[name], own[name]) <= limit_of("clipping") for name in own):
            return None
    return described.supposed


def _classes(make: Halves, needed: Sequence[Difference]) -> str:
    """The optimizers' classes, where the decay that differs is what tells them apart."""
    kinds = [type(half.optimizer).__name__ for half in make("float32")]
    decay = any(each.whole and each.setting in ("weight_decay", "decoupled") for each in needed)
    if not decay or kinds[0] == kinds[1] or "MultiOptimizer" in kinds:
        return ""
    return f"MLX's half has {kinds[0]} and PyTorch's {kinds[1]}: "


def _agree(make: Halves, batch: Batch, read: Callable, chosen: Sequence[Difference]) -> bool:
    """Whether the halves move alike once these settings of PyTorch's half are MLX's."""
    mlx, torch_half = make("float32")
    changed = aligned(mlx, torch_half, chosen, read)
    return changed is not None and all(check.passed for check in check_update(mlx, changed, batch))


def aligned(mlx: Half, torch_half: Half, chosen: Sequence[Difference], read: Callable) -> Half | None:
    """PyTorch's half, as it is read, with the chosen settings of MLX's; None where no rule is known."""
    around = {each.setting: each.ours for each in chosen if each.setting in ("clip", "accumulate")}
    changed = replace(torch_half, **around)
    if around and len(around) == len(chosen):
        return changed
    ours, theirs = described.of_mlx(mlx), read(mlx, torch_half)
    held = {}
    for name, parameters in described.torch_parameters(mlx, torch_half).items():
        told = theirs.get(name)
        settings = [each.setting for each in chosen if name in each.names]
        if told is not None and settings:
            told = _with(told, ours[name], settings)
        if told is None or not updates.known(told.rule):
            return None
        held |= {id(parameter): (parameter, told) for parameter in parameters}
    return replace(changed, optimizer=updates.Following(list(held.values())), schedule=None)


def _with(told: Described, ours: Described, settings: Sequence[str]) -> Described:
    """A description with some settings of another, and with what these bring along."""
    if "rule" in settings:
        return ours
    brought = [name for name, main in BESIDE.items() if main in settings and name not in told.settings]
    taken = {
        name: ours.settings.get(name, NEUTRAL.get(name))
        for name in [*settings, *brought]
        if name in ours.settings or name in NEUTRAL
    }
    rate = ours.rate if "learning_rate" in settings else told.rate
    return replace(told, rate=rate, settings={**told.settings, **taken})
