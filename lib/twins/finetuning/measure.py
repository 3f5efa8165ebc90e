"""From a fine-tuning to records: its steps timed, what it learns, and what of it is exported.

A step is the framework's own training step on the batch of prompts and completions; loading, quantizing and
compiling are outside. mlx-lm's trainer compiles its step, transformers' and peft's users run theirs as
written: both are timed as written, and compiled where that is asked for.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from twins.datasets.completions import Batch, Completions
from twins.finetuning import bases, tuning_gate
from twins.finetuning.tuning import Tuning, from_plain, plain
from twins.finetuning.tuning_tables import SUBJECT
from twins.frameworks import BOTH, MLX, TORCH, told
from twins.inference import checkpoint_folder
from twins.machine import kept_processes, process_memory
from twins.parity import noise
from twins.records.record_types import Fit, Gate, Memory, Timing
from twins.timing import energy, harness, loss_curves
from twins.timing.harness import Variant
from twins.timing.loss_curves import RUNS
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN
from twins.timing.study import STARTED
from twins.timing.variants import MODES, step_variant
from twins.training import train

DATASET = "stdlib completions"
BATCHES = 2  # different batches that a variant cycles through
# What a library raises when a format does not exist on a device, or is not installed.
REFUSALS = (RuntimeError, ValueError, ImportError, NotImplementedError, AttributeError, TypeError)


def step_variants(tuning: dict, batch: int, length: int, modes: list[str]) -> dict[str, Variant]:
    """Whole steps of both frameworks in each mode, and both in the first mode again for A/A."""
    made = from_plain(tuning)
    batches = made.examples(batch, BATCHES, length)
    kinds = [(each, mode, "") for mode in modes for each in BOTH] + [(each, modes[0], AGAIN) for each in BOTH]
    return {
        f"{each.name} {mode}{again}": step_variant(made.half(each), batches, MODES.get(mode, False))
        for each, mode, again in kinds
    }


def timings(
    tuning: Tuning,
    verdict: Gate,
    cases: Sequence[tuple[int, int]],
    plan: harness.Plan,
    modes: Sequence[str] = ("eager",),
) -> Iterator[Timing]:
    """Steps at each (batch, length) in each mode; nothing when the gate failed."""
    for batch, length in cases if verdict.passed else []:
        arguments = {"tuning": plain(tuning), "batch": batch, "length": length, "modes": list(modes)}
        tell(f"{tuning.name}, batch {batch}, {length} tokens")
        work = "twins.finetuning.measure:step_variants"
        runs = harness.measure(work, arguments, plan, tell, compiled="compiled" in modes)
        case = {"twin": tuning.name, **tuning.config, "batch": batch, "length": length}
        yield Timing(SUBJECT, case, [asdict(run) for run in runs])


def fits(
    tunings: Sequence[Tuning],
    gates: Sequence[Gate],
    data: Completions,
    batches: Sequence[Batch],
    tested: Sequence[Batch],
) -> Iterator[Fit]:
    """Both halves of each fine-tuned on the same batches, and PyTorch's on permuted rows, the floor.

    `held_out` is after training; "base" in it is the loss before. Nothing of one whose gate failed.
    Errors: FloatingPointError for a loss that is not finite.
    """
    passed = [tuning for tuning, verdict in zip(tunings, gates, strict=True) if verdict.passed]
    jobs = [(tuning, name) for tuning in passed for name in RUNS]
    with tempfile.TemporaryDirectory() as scratch:
        told = {
            "batches": loss_curves.written(batches, Path(scratch, "train.npz")),
            "tested": loss_curves.written(tested, Path(scratch, "test.npz")),
        }
        asked = [told | {"tuning": plain(tuning), "name": name} for tuning, name in jobs]
        at_once = process_memory.at_once(max(map(_held, passed), default=1))
        found = kept_processes.shared("twins.finetuning.measure:learnt", asked, at_once)
    for place, tuning in enumerate(passed):
        own = found[place * len(RUNS) : (place + 1) * len(RUNS)]
        yield _fit(tuning, data, batches, dict(zip(RUNS, own, strict=True)))


def _held(tuning: Tuning) -> int:
    """Bytes a process holds that trains one half and has made both: weights and moments."""
    weights = sum(math.prod(shape) for shape in checkpoint_folder.shapes(Path(tuning.folder)).values())
    return STARTED + 4 * weights * (2 + 3 * (tuning.method == "full"))


def learnt(tuning: dict, name: str, batches: str, tested: str) -> dict:
    """The work of a process: one run's losses, and its held-out losses after and before."""
    half, data, test = from_plain(tuning).halves()[RUNS[name]], *map(loss_curves.read, (batches, tested))
    before = train.evaluate(half, test) if name == next(iter(RUNS)) else None
    losses = train.fit(half, noise.permuted(data) if name == "floor" else data)
    return {"base": before, "losses": losses, "after": train.evaluate(half, test)}


def _fit(tuning: Tuning, data: Completions, batches: Sequence[Batch], found: Mapping[str, dict]) -> Fit:
    for name, run in found.items():
        if not np.isfinite([*run["losses"], run["after"]]).all():
            raise FloatingPointError(f"{tuning.name}: {name}'s loss is not finite; lower learning_rate")
        tell(f"{tuning.label}, {name}: held-out loss {run['after']:.3f}")
    case = tuning.config | {"batch": len(batches[0][0]), "steps": len(batches), "seed": tuning.seed}
    losses = {name: run["losses"] for name, run in found.items()}
    after = {"base": next(iter(found.values()))["base"]} | {name: run["after"] for name, run in found.items()}
    return Fit(tuning.name, case, DATASET, data.digest, None, losses, after)


def cases(batch_sizes: Sequence[int], lengths: Sequence[int]) -> list[tuple[int, int]]:
    """What is timed, (batch, length): every batch size at the first length, then the largest at the rest."""
    first = [(batch, lengths[0]) for batch in batch_sizes]
    return first + [(max(batch_sizes), length) for length in lengths[1:]]


def refusals(tunings: Sequence[Tuning]) -> dict[str, str]:
    """What cannot be trained in one of the frameworks here, by its label, and why, in one sentence."""
    found = {tuning.label: refused(tuning) for tuning in tunings}
    return {label: why for label, why in found.items() if why}


def gates(tunings: Sequence[Tuning], batches: Sequence[Batch]) -> Iterator[Gate]:
    """The fairness gate of each."""
    for tuning in tunings:
        tell(f"{tuning.label}: fairness gate")
        yield tuning_gate.gate(tuning, batches)


def others(
    tunings: Sequence[Tuning], verdicts: Sequence[Gate], case: tuple[int, int], plan: harness.Plan
) -> Iterator[Timing]:
    """Eager steps of each at one case."""
    for tuning, verdict in zip(tunings, verdicts, strict=True):
        yield from timings(tuning, verdict, [case], plan)


def refused(tuning: Tuning) -> str:
    """Why one of the frameworks cannot train this here, in one sentence; empty when both can.

    One step on the smallest batch is tried in each.
    """
    for framework in (TORCH, MLX):
        try:
            half = tuning.half(framework)
            train.step(half)(*half.batch(tuning.example(1)))
            framework.synchronize()
        except REFUSALS as error:
            what = f"{tuning.label} on {framework.device}"
            return f"{framework.name} does not train {what} here ({told(error)})"
    return ""


def memory(tuning: dict, framework: str, batch: int, length: int, steps: int = 2) -> dict:
    """Bytes that loading and a few steps of one half add, in a process of its own; as in timing.variants."""
    made, one = from_plain(tuning), next(each for each in BOTH if each.name == framework)
    process_memory.reset_peak()
    before = process_memory.held()
    one.reset_peak_memory()
    half = made.half(one)
    take = train.step(half)
    for arrays in made.examples(batch, steps, length):
        take(*half.batch(arrays))
        one.synchronize()
    return {
        "resident": max(0, process_memory.peak() - before),
        "allocator": one.peak_memory(),
        "source": one.memory_source(),
        "process": process_memory.meaning(),
    }


def memories(
    tunings: Sequence[Tuning], verdicts: Sequence[Gate], case: tuple[int, int], processes: int
) -> Iterator[Memory]:
    """Memory of each framework in each fine-tuning at one case; nothing of one whose gate failed.

    A base of equal numbers is left out: MLX's half is made from PyTorch's, which is held meanwhile.
    """
    for tuning, verdict in zip(tunings, verdicts, strict=False):
        for framework in BOTH if verdict.passed and tuning.base not in bases.EQUAL else ():
            sizes = {"tuning": plain(tuning), "batch": case[0], "length": case[1]}
            arguments = sizes | {"framework": framework.name}
            read = kept_processes.memory("twins.finetuning.measure:memory", arguments, processes)
            told = tuning.config | {"batch": case[0], "length": case[1]}
            yield Memory(tuning.name, told, f"{framework.name} eager", **read)


def energies(tuning: Tuning, verdict: Gate, batch: int, length: int) -> Iterator:
    """Joules of one step of each framework; nothing when the gate failed or none can be read."""
    if verdict.passed:
        arguments = {"tuning": plain(tuning), "batch": batch, "length": length, "modes": ["eager"]}
        names = [f"{each.name} eager" for each in BOTH]
        case = {"twin": tuning.name, **tuning.config, "batch": batch, "length": length}
        yield from energy.records(SUBJECT, "twins.finetuning.measure:step_variants", arguments, names, case)
