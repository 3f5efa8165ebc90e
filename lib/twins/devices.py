"""Is the GPU right? Each framework's CPU against its own GPU, on the twins that the pages time.

The fairness gate compares two frameworks on one device. A GPU that computes something else than the CPU would
pass it whenever both frameworks err alike, and would blame the wrong side when one of them does.
Known faults: https://github.com/pytorch/pytorch/issues/193487 (products of long rows on M1 and M2).
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from twins import parity, results, study, train
from twins.frameworks import BOTH, DEVICE_NAMES, MLX, Mlx, Torch, on
from twins.parity import Check
from twins.study import Batches, Study
from twins.thresholds import limit

TWINS = ("transformer_lm", "bert", "resnet", "vit")
STEPS = 5  # of training whose losses are compared; rounding has not grown by then
LONG_ROW = 40_000  # numbers that one element of the long product sums
LONG_PRODUCT = 1e-3  # relative L2; a sum taken number by number stays below 1e-4, the fault is far above
Values = dict[str, np.ndarray]


def studies() -> list[Study]:
    """Every twin at its smallest size."""
    return [Study(name, asdict(train.named(name).tiny())) for name in TWINS]


def gates() -> Iterator[results.Gate]:
    """A gate per framework and twin between its CPU and the GPU in use; nothing where there is no GPU."""
    if MLX.device == "cpu":
        return
    for framework in BOTH:
        yield gate("long product", framework, [long_product(framework)])
        for twin in studies():
            yield gate(twin.name, framework, checks(framework, twin, twin.examples(8, STEPS)))


def gate(name: str, framework: Mlx | Torch, found: list[Check]) -> results.Gate:
    """The record of some checks."""
    case = {"framework": framework.name, "between": f"CPU and {DEVICE_NAMES[MLX.device]}"}
    plain = [asdict(c) | {"value": study.finite(c.value), "passed": c.passed} for c in found]
    return results.Gate(f"{name}, {framework.name}", case, all(c.passed for c in found), plain, {})


def checks(framework: Mlx | Torch, twin: Study, batches: Batches) -> list[Check]:
    """Outputs, every gradient and the first losses of one half on the GPU in use against its own CPU."""
    with on("cpu"):
        wanted = computed(framework, twin, batches)
    found = computed(framework, twin, batches)
    kinds = {"outputs": "outputs", "gradients": "gradients", "losses": "losses"}
    return [
        _worst(f"{framework.name} {kind}", found[kind], wanted[kind], limit(name))
        for kind, name in kinds.items()
    ]


def _worst(name: str, found: Values, wanted: Values, most: float) -> Check:
    """The largest difference of some values from those wanted, and where it is."""
    noise = parity.ZERO_GRADIENT * max(np.linalg.norm(value) for value in wanted.values())
    apart = {
        key: parity.relative(found[key], value)
        for key, value in wanted.items()
        if max(np.linalg.norm(value), np.linalg.norm(found[key])) > noise
    }
    where = max(apart, key=lambda key: np.inf if np.isnan(apart[key]) else apart[key])
    return Check(name, apart[where], most, where)


def computed(framework: Mlx | Torch, twin: Study, batches: Batches) -> dict[str, Values]:
    """What one half computes on the device in use: outputs, gradients by name, losses by step."""
    index = BOTH.index(framework)
    half = twin.halves()[index]
    ready = half.batch(batches[0])
    outputs = {"outputs": framework.numpy(half.model(*ready[:-1]))}
    gradients = train.gradients(half, *ready)[1]
    named = {name: framework.numpy(value) for name, value in gradients.items()}
    losses = train.fit(twin.halves()[index], batches)
    return {
        "outputs": outputs,
        "gradients": named,
        "losses": {f"step {step}": np.array([loss]) for step, loss in enumerate(losses)},
    }


def long_product(framework: Mlx | Torch, length: int = LONG_ROW) -> Check:
    """A product whose elements sum `length` numbers, on the device in use, against float64."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, length)), rng.standard_normal((length, 8))
    a, b = (framework.array(each.astype(np.float32)) for each in (x, y))
    wanted = x.astype(np.float32).astype(np.float64) @ y.astype(np.float32).astype(np.float64)
    error = parity.relative(framework.numpy(a @ b), wanted)
    return Check(f"{framework.name} product", error, LONG_PRODUCT, f"(8, {length:,}) by ({length:,}, 8)")


def reading(found: list[results.Gate]) -> str:
    """What the gates between the devices say, in one sentence."""
    if not found:
        return "Both frameworks compute on the CPU here: there is no GPU to compare with it."
    failed = [gate.twin for gate in found if not gate.passed]
    if not failed:
        return f"In all of {len(found)} comparisons each framework's GPU computes what its CPU computes."
    return f"**The GPU does not compute what the CPU computes** in {', '.join(failed)}: times are void there."
