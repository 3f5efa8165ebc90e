"""Timing that can be believed: several processes, random order, raw samples, A/A variants of both frameworks.

The process is the unit of replication, since some effects are fixed for a process's life
(https://github.com/pytorch/pytorch/issues/182815); inside one, variants run in random order per round, in
blocks whose first call is dropped, because alternation in a fixed order favours the variant that finds
warm caches. Every process is a fresh one whose libraries are imported beforehand (kept_processes.py), torch's
compiler too where something is compiled: a first call holds the compilation of its own code, and what
a compiler sets up. What the samples say is in statistics.py.
"""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from twins.frameworks import COMPILER
from twins.machine import conditions, fresh_process, kept_processes
from twins.timing.statistics import Run, Samples, run_from

SLEPT = 0.1  # seconds; two clocks are not read at one time
TRIES = 5  # of one process that the system's sleep interrupts
WARM = 0.1  # seconds of a warm-up, in which caches are full and a clock has risen


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Variant:
    """One thing to time: a call, a function that waits for its work, and an untimed preparation."""

    call: Callable[[], object]
    synchronize: Callable[[], None]
    prepare: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Plan:
    """How much to time: processes, rounds in each, calls per block (the first is dropped), warm-up calls.

    Warm-up calls are at most so many (`warm`).
    """

    processes: int = 5
    rounds: int = 6
    block: int = 3
    warmup: int = 3
    seed: int = 0

    def __post_init__(self):
        if self.processes < 1 or self.rounds < 1 or self.warmup < 0:
            raise ValueError(f"{self}: processes and rounds must be at least 1, warm-up at least 0")
        if self.block < 2:
            raise ValueError(
                f"timing: block is {self.block}; it must be at least 2, since the first call is dropped"
            )


def once(variant: Variant) -> tuple[float, float]:
    """Wall and CPU seconds of one call until its work is done, without its preparation."""
    variant.prepare()
    wall, cpu = time.perf_counter(), time.process_time()
    variant.call()
    variant.synchronize()
    return round(time.perf_counter() - wall, 9), round(time.process_time() - cpu, 9)  # nanoseconds


def warm(variant: Variant, calls: int) -> None:
    """The calls of a warm-up: fewer than asked once they have taken WARM seconds, but one at least."""
    spent = 0.0
    for _ in range(calls):
        if spent >= WARM:
            return
        spent += once(variant)[0]


def interleave(variants: dict[str, Variant], plan: Plan, order: np.random.Generator) -> dict[str, Samples]:
    """Time variants in this process, in random order per round; raw samples by variant.

    The first call of every variant is kept apart: it holds compilation.
    """
    samples = {name: Samples(once(variant)[0], [], []) for name, variant in variants.items()}
    for variant in variants.values():
        warm(variant, plan.warmup)
    names = list(variants)
    for _ in range(plan.rounds):
        for name in order.permutation(names):
            block = [once(variants[name]) for _ in range(plan.block)][1:]
            samples[name].wall.extend(wall for wall, _ in block)
            samples[name].cpu.extend(cpu for _, cpu in block)
    return samples


@contextlib.contextmanager
def small_heap() -> Iterator[None]:
    """Python's collector leaves alone what is there already: its work does not grow with what is imported."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def timed(variants: str, arguments: dict, plan: dict, index: int) -> dict:
    """The work of one process: make the variants, time them; a Run in plain form, or how long it slept."""
    made, chosen, slept = fresh_process.find(variants)(**arguments), Plan(**plan), conditions.asleep()
    with small_heap(), conditions.watch() as seen:
        samples = interleave(made, chosen, np.random.default_rng([chosen.seed, index]))
    slept = conditions.asleep() - slept
    return {"slept": slept} if slept > SLEPT else asdict(Run(samples, seen(), chosen.block - 1))


def begin(processes: int, variants: str = "twins.timing.variants:step_variants") -> None:
    """Start the processes of a later `measure` of the same module, which import while this one works on."""
    kept_processes.begin(processes, [__name__, variants.partition(":")[0]])


def measure(
    variants: str,
    arguments: dict,
    plan: Plan,
    tell: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
    compiled: bool = False,
) -> list[Run]:
    """Time what `variants` ("package.module:function") makes from `arguments`, in several processes.

    The function is called in every process and returns {name: Variant}; `tell` hears of every process done.
    They work one at a time. `compiled`: torch's compiler is imported beforehand. `environment` is added to
    theirs, and then nothing is. A process during which the system slept is dropped, and another takes its
    place. Errors: RuntimeError with the child's last line when one fails.
    """
    job = {"variants": variants, "arguments": arguments, "plan": asdict(plan)}
    if not environment:
        modules = [__name__, variants.partition(":")[0], *(COMPILER if compiled else ())]
        kept_processes.prepare(plan.processes, modules)
    runs = []
    for index in range(plan.processes):
        runs.append(_uninterrupted(index, job, environment))
        if tell:
            tell(f"process {index + 1} of {plan.processes}")
    return runs


def _uninterrupted(index: int, job: dict, environment: Mapping[str, str] | None) -> Run:
    """One process's Run; one during which the system slept is dropped. Errors: RuntimeError after TRIES."""
    work = "twins.timing.harness:timed", job | {"index": index}
    for _ in range(TRIES):
        found = fresh_process.call(*work, environment) if environment else kept_processes.call(index, *work)
        if "slept" not in found:
            return run_from(found)
    raise RuntimeError(
        f"the machine slept during each of {TRIES} measurements of one process, the last time for "
        f"{found['slept']:.0f} s; keep it awake and run this again"
    )
