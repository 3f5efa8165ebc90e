"""What is timed of a twin: whole steps, their parts, and the transfer of the data to the device.

Each function here makes {name: Variant} in a fresh process, from plain arguments; the twin is named by its
file in twins.models. Batches lie on the device before anything is timed, except in the data variants.
"""

from functools import partial
from itertools import cycle
from types import ModuleType

import numpy as np

from twins.frameworks import BOTH, Mlx, Torch
from twins.machine import process_memory
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.training import half_precision, train
from twins.training.train import Half, Recipe

BATCHES = 4  # different batches that a variant cycles through
MODES = {"eager": False, "compiled": True}


def examples(model: str, config: dict, batch: int) -> list[tuple[np.ndarray, ...]]:
    """BATCHES different random batches of `batch` examples."""
    module, rng = train.named(model), np.random.default_rng(0)
    return [module.example(module.Config(**config), rng, batch) for _ in range(BATCHES)]


def _half(model: str, config: dict, framework: Mlx | Torch) -> Half:
    module = train.named(model)
    return train.half(module, module.Config(**config), Recipe(), framework)


def step_variant(half: Half, batches: list, compiled: bool) -> Variant:
    """A whole training step, going round in batches that lie on the device."""
    ready = cycle([half.batch(arrays) for arrays in batches])
    take = train.step(half, compiled)
    return Variant(lambda: take(*next(ready)), half.framework.synchronize)


def step_variants(model: str, config: dict, batch: int, modes: list[str]) -> dict[str, Variant]:
    """Whole training steps: each framework in each mode, and both in the first mode again for A/A."""
    kinds = [(each, mode, "") for mode in modes for each in BOTH] + [(each, modes[0], AGAIN) for each in BOTH]
    batches = examples(model, config, batch)
    return {
        f"{each.name} {mode}{again}": step_variant(_half(model, config, each), batches, MODES[mode])
        for each, mode, again in kinds
    }


def type_variants(model: str, config: dict, batch: int, dtypes: list[str]) -> dict[str, Variant]:
    """Whole eager steps: each framework in each type, and both in the first type again for A/A."""
    kinds = [(each, dtype, "") for dtype in dtypes for each in BOTH]
    kinds += [(each, dtypes[0], AGAIN) for each in BOTH]
    batches = examples(model, config, batch)
    return {
        f"{each.name} {dtype}{again}": step_variant(
            half_precision.lowered(_half(model, config, each), dtype), batches, compiled=False
        )
        for each, dtype, again in kinds
    }


def part_variants(model: str, config: dict, batch: int) -> dict[str, Variant]:
    """The parts of an eager step in both frameworks: data, forward, forward and backward, optimizer.

    The forward of both is timed again with a second model, for A/A.
    """
    arrays, variants = examples(model, config, batch)[0], {}
    for half in (_half(model, config, each) for each in BOTH):
        parts = {"data": partial(_hand_over, half, half.arranged(arrays))} | train.parts(
            half, half.batch(arrays)
        )
        for part, call in parts.items():
            variants[f"{half.framework.name} {part}"] = Variant(call, half.framework.synchronize)
    for half in (_half(model, config, each) for each in BOTH):
        call = train.parts(half, half.batch(arrays))["forward"]
        variants[f"{half.framework.name} forward{AGAIN}"] = Variant(call, half.framework.synchronize)
    return variants


def _hand_over(half: Half, arrays: tuple[np.ndarray, ...]) -> None:
    half.framework.evaluate(*half.hand_over(arrays))


def _warm(module: ModuleType, framework: Mlx | Torch, mode: str) -> None:
    """An eager step of the smallest twin, so that what a library loads on first use is not counted.

    A reader's own file has no smaller size; the smallest language model stands in.
    """
    module = module if hasattr(module, "tiny") else train.named("transformer_lm")
    sizes = module.tiny()
    half = train.half(module, sizes, Recipe(), framework)
    train.step(half)(*half.batch(module.example(sizes, np.random.default_rng(0))))
    if MODES[mode]:
        framework.evaluate(framework.compile(lambda x: x * x)(framework.array(np.ones(2, np.float32))))


def memory(model: str, config: dict, batch: int, framework: str, mode: str, steps: int = 3) -> dict:
    """Bytes that a few training steps of one half add, in a process of its own.

    `resident`: the process's peak above what it held before the model was made, the same reading for
    both frameworks, and `process` says which. `allocator`: the framework's own count, None where it keeps
    none.
    """
    one = next(each for each in BOTH if each.name == framework)
    module = train.named(model)
    sizes = module.Config(**config)
    example = module.example(sizes, np.random.default_rng(0), batch)
    _warm(module, one, mode)
    process_memory.reset_peak()
    before = process_memory.held()
    half = train.half(module, sizes, Recipe(), one)
    half.framework.reset_peak_memory()
    take = train.step(half, MODES[mode])
    for _ in range(steps):
        take(*half.batch(example))
        half.framework.synchronize()
    return {
        "resident": max(0, process_memory.peak() - before),
        "allocator": half.framework.peak_memory(),
        "source": half.framework.memory_source(),
        "process": process_memory.meaning(),
    }
