"""Float32 as each framework is shipped, and as this report sets it: how exact it is, and what that costs.

MLX computes float32 products in reduced precision (TF32) on CUDA and on the GPU of an M5 unless
MLX_ENABLE_TF32=0 (https://github.com/ml-explore/mlx/issues/3534); PyTorch's products are exact unless asked
otherwise. This report asks both for full precision; a public comparison may compare unequal work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd

from twins.frameworks import BOTH, SHIPPED, Mlx, Torch, on
from twins.machine import fresh_process
from twins.models import transformer_lm as lm
from twins.parity.differences import relative
from twins.records import store
from twins.records.record_types import AS_SHIPPED, EQUAL, Gate, Machine, Precision, Timing
from twins.timing import comparison, harness, statistics, study
from twins.timing.comparison import differing
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.timing.study import Study
from twins.training import train

SETTINGS = {AS_SHIPPED: {SHIPPED: "1"}, EQUAL: {}}
SUBJECT = "training step as shipped"


def _numbers(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)


def errors(n: int) -> dict[str, dict[str, float]]:
    """The work of a fresh process: by framework, relative L2 errors of a product and of a step's gradients.

    Both in float32 against float64 on the CPU: an (n, n) product, and every gradient of the smallest
    language model.
    """
    return {each.name: _errors(each, n) for each in BOTH}


def _errors(one: Mlx | Torch, n: int) -> dict[str, float]:
    x, index = _numbers(n), BOTH.index(one)
    product = one.numpy(one.array(x) @ one.array(x))
    batch = lm.example(lm.tiny(), np.random.default_rng(0), 8)
    halves = partial(train.halves, lm, lm.tiny(), train.Recipe(), 0)
    found = _gradients(halves("float32")[index], batch)
    with on("cpu"):
        wanted = _gradients(halves("float64")[index], batch)
    return {
        "product": relative(product, x.astype(np.float64) @ x.astype(np.float64)),
        "gradients": relative(found, wanted),
    }


def _gradients(half: train.Half, batch: tuple) -> np.ndarray:
    """Every gradient of one batch in a row, by name."""
    found = train.gradients(half, *half.batch(batch))[1]
    return np.concatenate([half.framework.numpy(found[name]).ravel() for name in sorted(found)])


def precisions(n: int = 512) -> Iterator[Precision]:
    """The errors of both frameworks in each setting, every setting in a fresh process."""
    for setting, environment in SETTINGS.items():
        target = "twins.timing.questions.float32_as_shipped:errors"
        for framework, found in fresh_process.call(target, {"n": n}, environment).items():
            yield Precision(framework, setting, n, **found)


def variants(n: int) -> dict[str, Variant]:
    """A product and a step of the smallest language model in both frameworks, and both products again."""
    made = {f"{each.name} product": _product(each, n) for each in BOTH}
    for each in BOTH:
        half = train.half(lm, lm.tiny(), train.Recipe(), each)
        batch = half.batch(lm.example(lm.tiny(), np.random.default_rng(0), 8))
        made[f"{each.name} step"] = Variant(partial(train.step(half), *batch), each.synchronize)
    return made | {f"{each.name} product{AGAIN}": _product(each, n) for each in BOTH}


def _product(framework: Mlx | Torch, n: int) -> Variant:
    x = framework.array(_numbers(n))
    return Variant(lambda: framework.evaluate(x @ x), framework.synchronize)


def timings(found: Sequence[Precision], plan: harness.Plan) -> Iterator[Timing]:
    """Products and steps timed in both settings, where they differ; nothing where they do not."""
    for setting, environment in SETTINGS.items() if differing(found) else ():
        arguments = {"n": found[0].size}
        measured = harness.measure(
            "twins.timing.questions.float32_as_shipped:variants", arguments, plan, environment=environment
        )
        yield Timing("precision", {"setting": setting, **arguments}, [asdict(run) for run in measured])


def table(found: Sequence[Precision], timed: Sequence[Timing]) -> pd.DataFrame:
    """By framework and setting: both errors, and milliseconds where they were timed."""
    by = {record.case["setting"]: comparison.runs(record) for record in timed}
    rows = []
    for each in found:
        row = {"framework": each.framework, "float32": each.setting}
        row |= {"error of a product": each.product, "error of gradients": each.gradients}
        if runs := by.get(each.setting):
            for what in ("product", "step"):
                row[f"{what}, ms"] = 1e3 * statistics.median(runs, f"{each.framework} {what}")
        rows.append(row)
    return pd.DataFrame(rows)


def reading(found: Sequence[Precision]) -> str:
    """Whether float32 as shipped is the float32 of this report, in one sentence."""
    names = differing(found)
    if not names:
        return "Nothing differs here: as shipped, both frameworks compute float32 as this report sets it."
    return (
        f"As shipped, {' and '.join(names)} computes float32 less exactly than in this report: comparisons "
        "that leave the defaults as they are do not compare equal work on this device."
    )


def known(machine: Machine) -> list[Precision]:
    """What the newest 01_machine of this machine and device found; empty when it has not run."""
    newest = store.latest(store.read().on(machine.device), machine.id, "01_machine")
    return newest.bodies(Precision)


def steps(twin: Study, gate: Gate, batch: int, plan: harness.Plan, machine: Machine) -> Iterator[Timing]:
    """Eager training steps with float32 as shipped, where 01_machine found that this is another float32."""
    if gate.passed and differing(known(machine)):
        study.room(twin, batch, models=4)
        arguments = {"model": twin.model, "config": twin.config, "batch": batch, "modes": ["eager"]}
        measured = harness.measure(
            "twins.timing.variants:step_variants", arguments, plan, environment=SETTINGS[AS_SHIPPED]
        )
        case = {"twin": twin.name, **twin.config, "batch": batch}
        yield Timing(SUBJECT, case, [asdict(run) for run in measured])


def step_reading(timed: Sequence[Timing], machine: Machine) -> str:
    """How the step compares as shipped, in one sentence; or why it was not timed."""
    if timed:
        found = comparison.by_mode(timed[0], f"batch {timed[0].case['batch']}, float32 as shipped")
        return f"{comparison.reading(found)} This is not equal work: see the page on this machine."
    if not known(machine):
        return "The page on this machine has not run: whether float32 as shipped differs here is not known."
    return "As shipped, both frameworks compute float32 as on this page, so there is no other step to time."
