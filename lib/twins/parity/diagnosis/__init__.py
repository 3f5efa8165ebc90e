"""What is wrong with a pair that fails the gate: where it diverges first, and the cause.

It may import twins.frameworks, twins.models, twins.parity, twins.parity.alternatives,
twins.parity.interception, twins.parity.optimizers and twins.training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twins.models import user_model
from twins.parity import indices, settings
from twins.parity.checks import Batch, Halves
from twins.parity.diagnosis import divergence, forward, optimizer, structure, training, trials
from twins.parity.diagnosis.calls import record
from twins.parity.diagnosis.structure import Told
from twins.parity.interception.bounds import IndexOutOfRangeError
from twins.training.train import Half

LIVELY = "with random weights of usual size, at which the difference is larger than rounding"
EVALUATING = "in evaluation mode; in training mode the halves agree"
UNEXPLAINED = "No single change on one side that was tried explains it."


@dataclass(frozen=True)
class Diagnosis:
    """Where two halves first differ, the sentence that describes it, and the cause if one was shown.

    The cause is empty when no change that was tried explains the difference, None when none was to be tried.
    """

    where: str
    departs: str
    cause: str | None

    def __str__(self) -> str:
        cause = f" Likely cause: {self.cause}." if self.cause else f" {UNEXPLAINED}" * (self.cause == "")
        return f"First departure: {self.departs}.{cause}"


def diagnose(make: Halves, batch: Batch) -> Diagnosis | None:
    """The first departure of the pairs that `make` gives, on one batch; None when no stage finds one."""
    told = next(filter(None, _stages(make, batch)), None)
    return Diagnosis(*told) if told else None


def refused(make: Halves, batches: Sequence[Batch]) -> Diagnosis | None:
    """Why a half cannot be trained on these batches at all; None when both can.

    Indices are checked in every batch, everything else in the first.
    """
    halves = make("float32")
    with indices.guarded():
        told = next(filter(None, _refusals(halves, batches[0])), None)
        told = told or next(_beyond(halves[0], batches[1:]), None)
    return Diagnosis(*told) if told else None


def _refusals(halves: tuple[Half, Half], batch: Batch) -> Iterator[Told | None]:
    for half in halves:
        yield structure.refusal(half, record(half, batch))
        yield structure.output(half, batch)
        yield structure.cut(half, batch)


def _beyond(half: Half, batches: Sequence[Batch]) -> Iterator[Told]:
    """Where a half would index out of range in one of these batches; others of its errors are left alone."""
    for batch in batches if any(a.dtype.kind in "iu" for each in batches for a in each) else []:
        try:
            half.loss(half.model, *half.batch(batch))
        except IndexOutOfRangeError:
            yield from filter(None, [structure.refusal(half, record(half, batch))])
        except user_model.FAULTS:
            continue


def _stages(make: Halves, batch: Batch) -> Iterator[Told | None]:
    yield structure.names(*make("float32"))
    yield structure.numbers(*make("float32"))
    with indices.guarded():  # MLX is not to index out of range in any of these passes
        first = _forward(make, batch) or next(filter(None, _refusals(make("float32"), batch)), None)
    yield first
    traces = tuple(record(half, batch) for half in make("float32"))
    yield training.loss(make, traces, batch)
    yield training.statistics(make, traces, batch)
    yield _forward(lambda dtype: trials.lively(make(dtype)), batch, LIVELY)
    yield structure.trained(*make("float32"))
    yield training.gradients(make, batch)
    yield from _evaluated(make, batch)
    yield optimizer.optimizer(make, batch)
    yield _settings(*make("float32"))


def _settings(mlx: Half, torch_half: Half) -> Told | None:
    """Settings that differ in meaning, where no float32 number of a single step shows it."""
    told = settings.sentences(mlx, torch_half)
    departs = "settings of the halves differ, too little for a float32 number of one step to depart"
    return ("the settings", departs, "; ".join(told)) if told else None


def _forward(make: Halves, batch: Batch, how: str = "") -> Told | None:
    traces = tuple(record(half, batch) for half in make("float32"))
    found = divergence.departure(make, batch, traces)
    if found is None:
        return None
    return found.pair.where, ", ".join(filter(None, (str(found), how))), forward.cause(found)


def _evaluated(make: Halves, batch: Batch) -> Iterator[Told | None]:
    """What differs in evaluation mode alone, where the halves have agreed in training mode."""
    yield _forward(lambda dtype: _evaluating(trials.lively(make(dtype))), batch, EVALUATING)
    for half in _evaluating(make("float32")):
        told = structure.refusal(half, record(half, batch))
        yield told and (told[0], f"{told[1]} {EVALUATING}", told[2])


def _evaluating(halves: tuple[Half, Half]) -> tuple[Half, Half]:
    for half in halves:
        half.model.eval()
    return halves
