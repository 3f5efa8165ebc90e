"""Does speed come from shared memory? The same training step with hand-overs forced, and with none.

A twin's step takes batches that lie on the device, or hands batch and loss through NumPy every step, or
copies the batch on the device every step. What forcing adds is the most that sparing hand-overs can save.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import cycle
from typing import Any

import pandas as pd

from twins.frameworks import BOTH, MLX, Mlx, Torch
from twins.records.record_types import Gate, Timing
from twins.timing import comparison, harness, statistics, study, variants
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN
from twins.training import train
from twins.training.train import Half

SUBJECT = "step with hand-overs"
NONE, THROUGH, COPIED = "none", "through NumPy", "copied"


def through_numpy(half: Half, array: Any) -> Any:
    """An array of the framework by way of NumPy: to the host, and as a new array to the device."""
    return half.hand_over([half.framework.numpy(array)])[0]


def copied(half: Half, array: Any) -> Any:
    """A copy on the device; adding zero is MLX's, whose own copies of an array share its memory."""
    return array + 0 if half.framework is MLX else array.clone()


def forced(half: Half, batches: list, change: Callable | None, loss_too: bool) -> Variant:
    """An eager step whose batch is changed before it; with `loss_too` its loss is read by NumPy."""
    ready, take, one = cycle([half.batch(arrays) for arrays in batches]), train.step(half), half.framework

    def call() -> None:
        batch = next(ready)
        if change:
            batch = [change(half, array) for array in batch]
            one.evaluate(*batch)
        loss = take(*batch)
        if loss_too:
            one.numpy(loss)

    return Variant(call, one.synchronize)


def step_variants(model: str, config: dict, batch: int) -> dict[str, Variant]:
    """Steps of both frameworks with each kind of hand-over, and those with none again for A/A."""
    module, batches = train.named(model), variants.examples(model, config, batch)
    kinds = {NONE: None, THROUGH: through_numpy, COPIED: copied, NONE + AGAIN: None}

    def one(framework: Mlx | Torch, kind: str) -> Variant:
        half = train.half(module, module.Config(**config), train.Recipe(), framework)
        return forced(half, batches, kinds[kind], kind == THROUGH)

    return {f"{each.name} {kind}": one(each, kind) for kind in kinds for each in BOTH}


def steps(twin: study.Study, gate: Gate, batch: int, plan: harness.Plan) -> Iterator[Timing]:
    """The step with each kind of hand-over, timed; nothing when the gate failed."""
    if gate.passed:
        study.room(twin, batch, models=8)
        arguments = {"model": twin.model, "config": twin.config, "batch": batch}
        runs = harness.measure("twins.transfer.forced_hand_overs:step_variants", arguments, plan, tell)
        yield Timing(SUBJECT, {"twin": twin.name, **twin.config, "batch": batch}, [asdict(r) for r in runs])


def table(records: list[Timing]) -> pd.DataFrame:
    """Milliseconds of each step, and what its hand-overs add to the framework's step without any."""
    rows = []
    for record in records:
        found = comparison.runs(record)
        for variant in statistics.variant_names(found):
            framework, _, kind = variant.partition(" ")
            ratio = statistics.ratio(found, variant, f"{framework} {NONE}")
            ends = " to ".join(f"{100 * (end - 1):+.0f}" for end in (ratio.low, ratio.high))
            told = "" if kind == NONE else f"{100 * (ratio.value - 1):+.0f} [{ends}]"
            rows.append((framework, kind, 1e3 * statistics.median(found, variant), told))
    columns = ["framework", "hand-overs", "step, ms", "added, % [95 % interval, this session]"]
    return pd.DataFrame(rows, columns=columns)


def reading(records: list[Timing]) -> str:
    """How much of the difference between the frameworks forced hand-overs can explain, in sentences."""
    if not records:
        return "No step with hand-overs was timed."
    found = comparison.runs(records[0])
    wall = {each: 1e3 * statistics.median(found, each) for each in statistics.variant_names(found)}
    apart = wall[f"PyTorch {NONE}"] - wall[f"MLX {NONE}"]
    costs = {each: ms - wall[f"{each.split()[0]} {NONE}"] for each, ms in wall.items()}
    dearest = max((each for each in costs if each.endswith((THROUGH, COPIED))), key=lambda each: costs[each])
    told = f"Without hand-overs {'MLX' if apart > 0 else 'PyTorch'}'s step takes {abs(apart):.2g} ms less."
    framework, _, kind = dearest.partition(" ")
    if statistics.ratio(found, dearest, f"{framework} {NONE}").low <= statistics.band(found):
        return f"{told} No cost of forced hand-overs is shown in this session."
    return (
        f"{told} Forced hand-overs add at most {costs[dearest]:.2g} ms ({framework}, {kind}), "
        f"{100 * costs[dearest] / abs(apart):.2g} % of that difference."
    )
