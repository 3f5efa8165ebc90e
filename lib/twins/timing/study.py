"""From a twin to records: the gate, training, timing, memory and work of one model.

Every notebook that trains a twin calls these. A twin that fails the gate is not timed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from twins.frameworks import BOTH, compile_fault, is_compile_error, on, told
from twins.machine import kept_processes, kernel_compiler, process_memory
from twins.models import reader_code, user_model
from twins.parity import checks, diagnosis, fairness_gate, half_precision_gate, limits
from twins.parity.differences import Check, Verdict
from twins.records.record_types import Gate, Memory, Timing, Work
from twins.timing import flops, harness, statistics
from twins.timing.progress import tell
from twins.training import train
from twins.training.twin import Study as Study

FEW = 3  # processes, and rounds in each, of what is shown without an interval
STARTED = 2**29  # bytes of a process that has imported both frameworks
Batches = Sequence[tuple[np.ndarray, ...]]
TRIAL = "first pass"  # the check of what a reader's file may not do


def room(study: Study, batch: int, models: int = 1) -> int:
    """Bytes a training step is estimated to need while `models` of the size are held, optimizers included.

    Errors: MemoryError, with the estimate, when they are not free.
    """
    module = train.named(study.model)
    sizes = module.Config(**study.config)
    needed = module.memory(sizes, batch) + (models - 1) * module.memory(sizes, 0)
    return process_memory.room(needed, f"training {study.name} at batch {batch}")


def needed(study: Study, batch: int) -> str:
    """What a training step is estimated to hold, in a sentence; or that a reader's half fails, and where.

    Errors: MemoryError, with the estimate, when it is not free.
    """
    try:
        return f"A step is estimated to hold {room(study, batch) / 2**20:.0f} MB."
    except user_model.FAULTS as error:
        if not study.of_the_reader:
            raise
        return f"What a step holds is not known: PyTorch's half fails ({user_model.placed(error)})."


def trainable(study: Study, verdict: Gate, batch_sizes: Sequence[int]) -> tuple[list[int], str]:
    """The batch sizes both halves can be trained at, and a sentence on the others, which names the half."""
    if not verdict.passed:
        return list(batch_sizes), ""
    refused = {size: diagnosis.refused(study.halves, [study.example(size)]) for size in batch_sizes}
    left = [f"Batch {size} is left out: {told.departs}." for size, told in refused.items() if told]
    return [size for size, told in refused.items() if not told], " ".join(left)


def modes(verdict: Gate | None = None, compiled: bool = True) -> list[str]:
    """How a step is run: as written, and `compiled` where both frameworks can compile this twin."""
    return ["eager"] if uncompiled(verdict, compiled) else ["eager", "compiled"]


def uncompiled(verdict: Gate | None = None, compiled: bool = True) -> str:
    """Why steps of a twin are not compiled here, in one sentence; empty when they are."""
    if not compiled:
        return "Compiled steps are left out, as the parameter `compiled` says."
    if refused := verdict.case.get("uncompiled") if verdict else "":
        who, reason = "mx" if refused.startswith("MLX: ") else "torch", refused.removeprefix("MLX: ")
        return f"Compiled steps are left out: {who}.compile refuses this model ({reason})."
    return compile_fault()


def trial(study: Study, batches: Batches) -> str:
    """What a reader's file does in a first pass through both halves and may not; empty where nothing is."""
    if not study.of_the_reader:
        return ""
    try:
        with reader_code.limited(f"{study.name}.py: a first pass through both halves"):
            diagnosis.refused(lambda dtype: study.apart(), batches[:1])
    except reader_code.RefusedError as error:
        return str(error)
    except user_model.FAULTS:
        pass  # the gate says more of it
    return ""


@kernel_compiler.faster()
def gate(study: Study, batches: Batches, torch_compiled: bool = True) -> Gate:
    """The fairness gate on the first batches of the data the twin will train on.

    Halves whose weights differ in name or shape, and a half that refuses the batch, fail in one check. A
    model that a compiler refuses is judged by its eager steps; `case` says why it is not compiled. An error
    of a reader's own file is a check that fails, with the error in one line, and so is what `trial` refuses.
    """
    if why := trial(study, batches):
        return _recorded(study, Verdict(study.name, (Check(TRIAL, float("inf"), 0.0, why),), {}))
    names = checks.check_names(*study.apart())
    if not names.passed:
        return _recorded(study, Verdict(study.name, (names,), {}))
    if refused := diagnosis.refused(study.halves, batches):
        check = Check("batch", float("inf"), 0.0, refused.where)
        return _recorded(study, Verdict(study.name, (names, check), {}))
    judge = partial(fairness_gate.gate, study.name, study.halves, batches)
    try:
        return _compiled(study, judge, torch_compiled)
    except user_model.FAULTS as error:
        if not study.of_the_reader:
            raise
        check = Check("error", float("inf"), 0.0, user_model.placed(error))
        return _recorded(study, Verdict(study.name, (names, check), {}))


def _compiled(study: Study, judge: Callable[..., Verdict], torch_compiled: bool) -> Gate:
    """The verdict with compiled steps, or with eager ones alone where a compiler refuses them."""
    try:
        return _recorded(study, judge(torch_compiled=torch_compiled))
    except fairness_gate.NotCompiledError as error:
        reason = f"MLX: {error}"
    except RuntimeError as error:
        if not (torch_compiled and is_compile_error(error)):
            raise
        reason = told(error)
    verdict = judge(torch_compiled=False, mlx_compiled=not reason.startswith("MLX: "))
    return _recorded(study, verdict, uncompiled=reason)


def explained(study: Study, verdict: Gate, batches: Batches) -> str:
    """Where the halves of a twin first differ, and the likely cause; when it passed, what was not checked."""
    if verdict.passed:
        return " ".join(f"{note[0].upper()}{note[1:]}." for note in verdict.notes)
    failed = {check["name"]: check.get("where", "") for check in verdict.checks if not check["passed"]}
    if TRIAL in failed:
        return f"{failed[TRIAL]}."
    make = study.halves if "names" not in failed else lambda dtype: study.apart()
    found = diagnosis.diagnose(make, batches[0]) or diagnosis.refused(make, batches)
    if found:
        return str(found)
    if "error" in failed:
        return f"The gate ends with an error of this file: {failed['error']}."
    if all(name.endswith("compiled") for name in failed):
        return (
            "Eager steps agree and compiled ones do not: what changes from step to step in the model is not "
            "among its arrays, so that compilation keeps its first value."
        )
    return "In a single step no departure is found; the halves part in the steps that follow."


def half_type_gate(study: Study, batches: Batches, dtype: str) -> Gate:
    """The gate of training in a half type, on the first batches of the data."""
    return _recorded(study, half_precision_gate.gate(study.name, study.halves, batches, dtype), dtype=dtype)


def _recorded(study: Study, verdict: Verdict, **more: object) -> Gate:
    checks = [check.plain() for check in verdict.checks]
    losses = {k: [x if np.isfinite(x) else None for x in run] for k, run in verdict.losses.items()}
    notes, where = list(verdict.notes), limits.measured()
    return Gate(study.name, study.config | more, verdict.passed, checks, losses, where, notes)


def refusal(verdict: Gate) -> str:
    """Why a twin is not timed, naming check, tensor and size of the difference; empty when it is."""
    failed = [check for check in verdict.checks if not check["passed"]]
    if [check["name"] for check in failed] == [TRIAL]:
        return f"**{verdict.twin} is not timed.**"  # `explained` says why
    size = [f"{c['value']:.2g}" if c["value"] is not None else "no finite number" for c in failed]
    told = "; ".join(
        f"{c['name']}: {value}, limit {c['limit']:.2g}, at {c['where']}"
        for c, value in zip(failed, size, strict=True)
    )
    why = "because its halves do not compute the same thing"
    return f"**{verdict.twin} is not timed**, {why}: {told}." if told else ""


def _timing(subject: str, study: Study, batch: int, runs: list[statistics.Run], **more: object) -> Timing:
    case = {"twin": study.name, **study.config, "batch": batch, **more}
    return Timing(subject, case, [asdict(run) for run in runs])


def steps(
    study: Study, verdict: Gate, batch_sizes: Sequence[int], modes: Sequence[str], plan: harness.Plan
) -> Iterator[Timing]:
    """Time whole training steps at each batch size; nothing when the gate failed."""
    for batch in batch_sizes if verdict.passed else []:
        yield from timed_steps(study, batch, modes, plan)


def timed_steps(
    study: Study, batch: int, modes: Sequence[str], plan: harness.Plan, **more: object
) -> Iterator[Timing]:
    """Time whole training steps at one batch size; `more` goes into the record's case.

    Errors: ValueError, naming the half, when one cannot be trained at this size.
    """
    if study.of_the_reader and (refused := diagnosis.refused(study.halves, [study.example(batch)])):
        raise ValueError(f"{study.name} cannot be timed at batch {batch}: {refused.departs}")
    room(study, batch, models=2 * len(modes) + 2)
    arguments = {"model": study.model, "config": study.config, "batch": batch, "modes": list(modes)}
    job = "twins.timing.variants:step_variants", arguments, plan, lambda done: tell(f"batch {batch}, {done}")
    runs = harness.measure(*job, compiled="compiled" in modes)
    yield _timing("training step", study, batch, runs, **more)


def half_types(study: Study, verdicts: Sequence[Gate], batch: int, plan: harness.Plan) -> Iterator[Timing]:
    """Time eager steps in float32 and in every half type whose gate passed; nothing when none did."""
    dtypes = [verdict.case["dtype"] for verdict in verdicts if verdict.passed]
    if dtypes:
        sizes = {"model": study.model, "config": study.config, "batch": batch}
        room(study, batch, models=2 * len(dtypes) + 4)
        arguments = sizes | {"dtypes": ["float32", *dtypes]}
        runs = harness.measure("twins.timing.variants:type_variants", arguments, plan, tell)
        yield _timing("training step by type", study, batch, runs)


def parts(study: Study, verdict: Gate, batch: int, plan: harness.Plan) -> Iterator[Timing]:
    """Time the parts of an eager step, in FEW processes: shares of a step, of which no interval is shown.

    Nothing when the gate failed.
    """
    plan = replace(plan, processes=min(FEW, plan.processes), rounds=min(FEW, plan.rounds))
    if verdict.passed:
        arguments = {"model": study.model, "config": study.config, "batch": batch}
        runs = harness.measure("twins.timing.variants:part_variants", arguments, plan, tell)
        yield _timing("parts", study, batch, runs)


def memory(
    study: Study, verdict: Gate, batch: int, modes: Sequence[str], processes: int = 3
) -> Iterator[Memory]:
    """Memory of each half in each mode, in `processes` fresh ones each; nothing when the gate failed."""
    variants = [(each.name, mode) for each in BOTH for mode in modes if verdict.passed]
    step = train.named(study.model)
    held = step.memory(step.Config(**study.config), batch) if variants else 0
    at_once = process_memory.at_once(STARTED + held)
    for framework, mode in variants:
        sizes = {"model": study.model, "config": study.config, "batch": batch}
        arguments = sizes | {"framework": framework, "mode": mode}
        read = kept_processes.memory("twins.timing.variants:memory", arguments, processes, at_once)
        yield Memory(study.name, study.config | {"batch": batch}, f"{framework} {mode}", **read)


def countable(study: Study, verdict: Gate, batch_sizes: Sequence[int]) -> tuple[list[Work], str]:
    """The works, or none and the sentence that the two counts of a step's operations differ."""
    try:
        return list(works(study, verdict, batch_sizes)), ""
    except ArithmeticError as error:
        return [], f"The share of the ceiling is not known: {error}."


def works(study: Study, verdict: Gate, batch_sizes: Sequence[int]) -> Iterator[Work]:
    """Operations of one training step at each batch size, counted on the CPU; nothing when the gate failed.

    Errors: ArithmeticError when the two counts differ.
    """
    for batch in batch_sizes if verdict.passed else []:
        with on("cpu"):
            counted = flops.count(*study.halves(), study.example(batch))
        yield Work(study.name, study.config | {"batch": batch}, counted)


def next_token(windows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of (ids, next ids) from windows (steps, batch, context + 1)."""
    return [(each[:, :-1], each[:, 1:]) for each in windows]
