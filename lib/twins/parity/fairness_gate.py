"""The fairness gate: a twin is timed only after its halves are shown to compute the same thing.

Loss curves of correct twins part after about a hundred steps, even inside one framework, because
training is chaotic; so the gate compares outputs, gradients and updates at the start, and the first
losses against the floor that a framework shows against itself when the rows of every batch are permuted and
its weights changed in their last places. Checks in float32 that exceed their limit are compared with what
rounding does to the same pair (noise.py); the float64 checks are not.
"""

from collections.abc import Sequence

import numpy as np

from twins.frameworks import MLX
from twins.models import user_model
from twins.parity import checks, float64, noise
from twins.parity.checks import Batch, Halves, check_names, check_update, check_weights
from twins.parity.differences import Check, Verdict
from twins.parity.limits import limit as limit_of
from twins.parity.noise import FLOOR_FACTOR, ROUNDING, permuted, relaxed, shaken
from twins.parity.optimizer_state import check_state
from twins.parity.settings import check_settings
from twins.training import train
from twins.training.train import Half

SAME = 1e-3  # relative; a first loss further away is of another computation
MOST_OF_LOSSES = 1e-2  # nats in 20 steps: rounding that moves a loss by more excuses nothing


class NotCompiledError(RuntimeError):
    """MLX cannot compile a step that runs as written; the message says why."""


def _runs(torch_compiled: bool, mlx_compiled: bool) -> dict[str, tuple[int, bool]]:
    """Name of a run -> which half it trains (0 MLX, 1 PyTorch) and whether its step is compiled."""
    runs = {"PyTorch eager": (1, False), "MLX eager": (0, False)}
    more = {"MLX compiled": (0, mlx_compiled), "PyTorch compiled": (1, torch_compiled)}
    return runs | {name: run for name, run in more.items() if run[1]}


def _fit(half: Half, batches: Sequence[Batch], compiled: bool) -> list[float]:
    """The losses of a run. Errors: NotCompiledError for a step of MLX's that only runs as written."""
    if not (compiled and half.framework is MLX):
        return train.fit(half, batches, compiled)
    try:
        return train.fit(half, batches, compiled)
    except user_model.FAULTS as error:
        raise NotCompiledError(user_model.one_line(error)) from error


def _floor(
    make: Halves, batches: Sequence[Batch], index: int, reference: Sequence[float]
) -> tuple[Half, list[float]]:
    """A half whose weights were shaken, trained on batches with their rows in another order, and its losses.

    Where another order of rows is another computation (the nodes of one graph), the order stays.
    """
    for data in (permuted(batches), batches):
        half = shaken(make("float32")[index], 0)
        losses = train.fit(half, data)
        if abs(losses[0] - reference[0]) <= SAME * max(1.0, abs(reference[0])):
            break
    return half, losses


def check_losses(
    make: Halves,
    batches: Sequence[Batch],
    torch_compiled: bool,
    mlx_compiled: bool = True,
    exact: Sequence[Sequence[float]] = (),
) -> tuple[list[Check], dict[str, list[float]]]:
    """(e) and (f): the first losses of every step function compared with the floor, and what moved.

    The floor is PyTorch's. When a check would fail, it is also how far rounding moves a half from `exact`,
    both halves' losses in float64; or without these MLX's own floor.
    """
    before, losses, left, ran = checks.both_weights(*make("float32"))[0], {}, {}, {}
    for name, (index, compiled) in _runs(torch_compiled, mlx_compiled).items():
        halves = make("float32")
        losses[name], ran[name] = _fit(halves[index], batches, compiled), halves[index]
        left[name] = checks.unmoved(*halves, before, index)
    nowhere, count = left["PyTorch eager"] & left["MLX eager"], len(checks.trained(*halves))
    moved = [checks.check_moved(name, each, nowhere, count) for name, each in left.items()]
    reference = losses["PyTorch eager"]
    again, losses["floor"] = _floor(make, batches, 1, reference)
    state = check_state(ran["MLX eager"], ran["PyTorch eager"], again)
    floor = _apart(losses["floor"], reference).max()
    found = _loss_checks(losses, floor)
    if not all(check.passed for check in found):
        eager = losses["MLX eager"], reference
        wanted = exact or [_floor(make, batches, 0, losses["MLX eager"])[1]]
        rounded = max(_apart(*pair).max() for pair in zip(eager, wanted, strict=False))
        share = ROUNDING / FLOOR_FACTOR if exact else 1.0
        found = _loss_checks(losses, max(floor, share * rounded if rounded < MOST_OF_LOSSES else 0.0))
    return [*moved, *found, state], losses


def _apart(losses: Sequence[float], reference: Sequence[float]) -> np.ndarray:
    return np.abs(np.subtract(losses, reference))


def _loss_checks(losses: dict[str, list[float]], floor: float) -> list[Check]:
    """One check for every run but PyTorch's eager one, which the others are compared with."""
    limit, found = max(limit_of("losses"), FLOOR_FACTOR * float(floor)), []
    for name in [run for run in losses if run not in ("floor", "PyTorch eager")]:
        apart = _apart(losses[name], losses["PyTorch eager"])
        where = f"step {apart.argmax()}, floor {floor:.2g}"
        found.append(Check(f"losses, {name}", float(apart.max()), limit, where))
    return found


def check_float64(make: Halves, batches: Sequence[Batch]) -> tuple[list[Check], tuple[list[float], ...], str]:
    """(g) The same in float64, on the CPU: gradients at step 0, the first losses, and what they leave.

    Gives the checks, both halves' losses and a note. What cannot be computed in float64 is no failure: then
    there are no checks and no losses, and the note is a sentence that says why.
    """
    try:
        with float64.stage():
            halves = make("float64")
            gradients = checks.check_gradients(*halves, batches[0], "float64 gradients")
            ours, theirs = (train.fit(half, batches) for half in halves)
            left = list(checks.check_evaluation(*halves, batches[0], "float64 "))
    except float64.FAULTS as error:
        return [], (), float64.unchecked(error)
    apart, limit = _apart(ours, theirs), limit_of("float64 losses")
    losses = Check("float64 losses", float(apart.max()), limit, f"step {apart.argmax()}")
    return [gradients, losses, *left], (ours, theirs), ""


def _at_the_start(make: Halves, batch: Batch, exact: bool) -> list[Check]:
    """Outputs, gradients and updates of the first batch; above a limit, compared with the pair's rounding."""
    halves = make("float32")
    found = [*checks.check_outputs(*halves, batch)]
    gradients = checks.check_gradients(*halves, batch)
    found += [*checks.check_evaluation(*halves, batch), gradients, *check_update(*halves, batch)]
    if all(check.passed for check in found) or not all(np.isfinite(check.value) for check in found):
        return found
    if not gradients.passed:
        found[found.index(gradients)] = noise.gradients(make, batch, exact)
    if not exact:
        return relaxed(found, noise.switched(make, batch))
    moved = noise.by_float64(make, batch)
    del moved["gradients"]  # each tensor has had its own rounding, which excuses no other
    return relaxed(found, moved, ROUNDING)


def gate(
    twin: str,
    make: Halves,
    batches: Sequence[Batch],
    torch_compiled: bool = False,
    in_float64: bool = True,
    mlx_compiled: bool = True,
) -> Verdict:
    """Every check of the fairness gate on a twin, over as many steps as there are batches (20 is usual).

    When names or shapes differ the rest cannot be compared, and the verdict holds that check alone.
    Errors: NotCompiledError when MLX cannot compile the step.
    """
    halves = make("float32")
    names = check_names(*halves)
    if not names.passed:
        return Verdict(twin, (names,), {})
    exact, wanted, note = check_float64(make, batches) if in_float64 else ([], (), "")
    found = [names, check_weights(*halves), checks.check_trained(*halves), check_settings(*halves)]
    found += _at_the_start(make, batches[0], bool(exact))
    more, losses = check_losses(make, batches, torch_compiled, mlx_compiled, wanted)
    return Verdict(twin, tuple(found + more + exact), losses, tuple(filter(None, [note])))
