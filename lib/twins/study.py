"""From a twin to records: the gate, training, timing, memory and work of one model.

Every notebook that trains a twin calls these. A twin that fails the gate is not timed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import psutil

from twins import flops, parity, processes, results, timing, train
from twins.frameworks import BOTH, compile_fault
from twins.show import tell

MEMORY_SHARE = 0.7  # of what is free; above it a system starts to compress or page
Batches = Sequence[tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Study:
    """A twin of twins.models at one size, and the arithmetic of its training."""

    model: str
    config: dict
    recipe: train.Recipe = field(default_factory=train.Recipe)
    seed: int = 0

    def __post_init__(self):
        train.named(self.model).Config(**self.config)  # refuses what cannot be built

    def halves(self, dtype: str = "float32") -> tuple[train.Half, train.Half]:
        """Fresh halves with equal weights, MLX first."""
        module = train.named(self.model)
        return train.halves(module, module.Config(**self.config), self.recipe, self.seed, dtype)

    def example(self, batch: int) -> tuple[np.ndarray, ...]:
        """A random batch of the right shapes."""
        module = train.named(self.model)
        return module.example(module.Config(**self.config), np.random.default_rng(self.seed), batch)


def room(study: Study, batch: int, models: int = 1) -> int:
    """Bytes a training step is estimated to need while `models` of the size are held, optimizers included.

    Errors: MemoryError, with the estimate, when they are not free.
    """
    module = train.named(study.model)
    sizes = module.Config(**study.config)
    needed = module.memory(sizes, batch) + (models - 1) * module.memory(sizes, 0)
    free = psutil.virtual_memory().available
    if needed > MEMORY_SHARE * free:
        raise MemoryError(
            f"{study.model} at batch {batch} is estimated to need {needed / 2**30:.1f} GiB to train; "
            f"{free / 2**30:.1f} GiB are free and {MEMORY_SHARE:.0%} of that may be used"
        )
    return needed


def modes() -> list[str]:
    """How a step can run here: as written, and compiled where both frameworks can compile."""
    return ["eager"] if compile_fault() else ["eager", "compiled"]


def gate(study: Study, batches: Batches, torch_compiled: bool = True) -> results.Gate:
    """The fairness gate on the first batches of the data the twin will train on."""
    verdict = parity.gate(study.model, study.halves, batches, torch_compiled)
    checks = [asdict(c) | {"value": _finite(c.value), "passed": c.passed} for c in verdict.checks]
    losses = {name: [_finite(loss) for loss in run] for name, run in verdict.losses.items()}
    return results.Gate(study.model, study.config, verdict.passed, checks, losses)


def _finite(value: float) -> float | None:
    """JSON has no nan and no infinity: None stands for both."""
    return value if np.isfinite(value) else None


def refusal(verdict: results.Gate) -> str:
    """Why a twin is not timed, naming check, tensor and size of the difference; empty when it is."""
    failed = [check for check in verdict.checks if not check["passed"]]
    size = [f"{c['value']:.2g}" if c["value"] is not None else "no finite number" for c in failed]
    told = "; ".join(
        f"{c['name']}: {value}, limit {c['limit']:.2g}, at {c['where']}"
        for c, value in zip(failed, size, strict=True)
    )
    why = "because its halves do not compute the same thing"
    return f"**{verdict.twin} is not timed**, {why}: {told}." if told else ""


def fit(
    study: Study, dataset: str, digest: str, entropy: float | None, batches: Batches, held_out: Batches
) -> results.Fit:
    """Train each half eagerly on the same batches, and torch again on permuted rows: the floor.

    `held_out` is evaluated after training; its mean loss is in nats. Errors: FloatingPointError.
    """
    runs = {"MLX": (0, batches), "PyTorch": (1, batches), "floor": (1, parity.permuted(batches))}
    losses, after = {}, {}
    for name, (index, data) in runs.items():
        half = study.halves()[index]
        losses[name] = train.fit(half, data)
        after[name] = train.evaluate(half, held_out)
        finite = np.isfinite([*losses[name], after[name]])
        if not finite.all():
            step = int(np.argmin(finite))
            raise FloatingPointError(
                f"{study.model}: {name}'s loss is not finite at step {step}; lower learning_rate"
            )
        tell(f"{name}: {len(data)} steps, held-out loss {after[name]:.3f}")
    case = study.config | {"batch": len(batches[0][0]), "steps": len(batches)}
    return results.Fit(study.model, case, dataset, digest, entropy, losses, after)


def _timing(subject: str, study: Study, batch: int, runs: list[timing.Run], **more: object) -> results.Timing:
    case = {"twin": study.model, **study.config, "batch": batch, **more}
    return results.Timing(subject, case, [asdict(run) for run in runs])


def steps(
    study: Study, verdict: results.Gate, batch_sizes: Sequence[int], modes: Sequence[str], plan: timing.Plan
) -> Iterator[results.Timing]:
    """Time whole training steps at each batch size; nothing when the gate failed."""
    for batch in batch_sizes if verdict.passed else []:
        room(study, batch, models=2 * len(modes) + 1)
        arguments = {"model": study.model, "config": study.config, "batch": batch, "modes": list(modes)}
        runs = timing.measure(
            "twins.arms:step_arms", arguments, plan, lambda done, b=batch: tell(f"batch {b}, {done}")
        )
        yield _timing("training step", study, batch, runs)


def parts(study: Study, verdict: results.Gate, batch: int, plan: timing.Plan) -> Iterator[results.Timing]:
    """Time the parts of an eager step; nothing when the gate failed."""
    if verdict.passed:
        arguments = {"model": study.model, "config": study.config, "batch": batch}
        yield _timing("parts", study, batch, timing.measure("twins.arms:part_arms", arguments, plan, tell))


def memory(study: Study, verdict: results.Gate, batch: int, modes: Sequence[str]) -> Iterator[results.Memory]:
    """Memory of each half in each mode, every one in a process of its own; nothing when the gate failed."""
    arms = [(each.name, mode) for each in BOTH for mode in modes if verdict.passed]
    for framework, mode in arms:
        sizes = {"model": study.model, "config": study.config, "batch": batch}
        read = processes.call("twins.arms:memory", sizes | {"framework": framework, "mode": mode})
        yield results.Memory(study.model, study.config | {"batch": batch}, f"{framework} {mode}", **read)


def works(study: Study, verdict: results.Gate, batch_sizes: Sequence[int]) -> Iterator[results.Work]:
    """Operations of one training step at each batch size; nothing when the gate failed.

    Errors: ArithmeticError when the two counts differ.
    """
    for batch in batch_sizes if verdict.passed else []:
        counted = flops.count(*study.halves(), study.example(batch))
        yield results.Work(study.model, study.config | {"batch": batch}, counted)


def probes(sizes: Sequence[int], half_sizes: Sequence[int], plan: timing.Plan) -> Iterator[results.Timing]:
    """The machine's ceilings: products in float32 and in both half types, long additions, synchronisation."""
    jobs = [("matmul", {"n": n, "dtype": "float32"}) for n in sizes]
    jobs += [("matmul", {"n": n, "dtype": dtype}) for dtype in ("float16", "bfloat16") for n in half_sizes]
    for subject, case in [*jobs, ("addition", {}), ("synchronisation", {})]:
        yield _probe(subject, case, plan)


def _probe(subject: str, case: dict, plan: timing.Plan) -> results.Timing:
    runs = timing.measure(f"twins.machine:{subject}_arms", case, plan)
    tell(" ".join([subject, *map(str, case.values())]))
    return results.Timing(subject, case, [asdict(run) for run in runs])


def ceiling_probes(machine: results.Machine, plan: timing.Plan) -> list[results.Timing]:
    """The products that give this machine's ceiling: those of its newest 01_machine, or one timed now.

    Records made under other versions or on another device do not count.
    """
    newest = results.latest(results.read(), machine.id, "01_machine")
    same = [r for r in newest.records if (r.versions, r.device) == (machine.versions, machine.device)]
    known = results.Found(same, []).bodies(results.Timing, subject="matmul")
    return known or [_probe("matmul", {"n": 1024, "dtype": "float32"}, plan)]


def next_token(windows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of (ids, next ids) from windows (steps, batch, context + 1)."""
    return [(each[:, :-1], each[:, 1:]) for each in windows]
