"""Is the GPU right? Each framework's CPU against its own GPU, on the twins that the pages time.

The fairness gate compares two frameworks on one device. A GPU that computes something else than the CPU would
pass it whenever both frameworks err alike, and would blame the wrong side when one of them does.
Known faults: https://github.com/pytorch/pytorch/issues/193487 and 195163 (long products on M1 and M2).
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from twins.frameworks import BOTH, DEVICE_NAMES, MLX, Mlx, Torch, on
from twins.parity import limits, noise
from twins.parity.checks import ZERO_GRADIENT
from twins.parity.diagnosis.calls import record
from twins.parity.differences import Check, relative, worst
from twins.parity.limits import limit
from twins.records.record_types import Gate
from twins.timing import comparison
from twins.timing.study import Batches, Study
from twins.training import train

TWINS = ("transformer_lm", "bert", "resnet", "vit")
STEPS = 5  # of training whose losses are compared; rounding has not grown by then
LONG_ROWS = (32_767, 40_000)  # numbers summed by one element: the fault begins at the first
SIDE = 64  # rows and columns of the long products: the fault needs 16 of each
BEHIND = 1e3  # what lies in memory behind the operands, so that reading past their end shows
LONG_PRODUCT = 1e-3  # relative L2; one number of a row too many moves it by 5e-3, float32 by 1e-6
Values = dict[str, np.ndarray]


def studies() -> list[Study]:
    """Every twin at its smallest size."""
    return [Study(name, asdict(train.named(name).tiny())) for name in TWINS]


def gates() -> Iterator[Gate]:
    """A gate per framework and twin between its CPU and the GPU in use; nothing where there is no GPU."""
    if MLX.device == "cpu":
        return
    for framework in BOTH:
        yield gate("long products", framework, list(long_products(framework)))
        for twin in studies():
            yield gate(twin.name, framework, checks(framework, twin, twin.examples(8, STEPS)))


def gate(name: str, framework: Mlx | Torch, found: list[Check]) -> Gate:
    """The record of some checks."""
    case = {"framework": framework.name, "between": f"CPU and {DEVICE_NAMES[MLX.device]}"}
    checks, passed = [check.plain() for check in found], all(check.passed for check in found)
    return Gate(f"{name}, {framework.name}", case, passed, checks, {}, limits.measured())


def checks(framework: Mlx | Torch, twin: Study, batches: Batches) -> list[Check]:
    """Outputs, every gradient and the first losses of one half on the GPU in use against its own CPU.

    Wrong outputs are reported with the first layer that computes them. As in the gate, gradients and losses
    that differ by more than their limit are compared with the effect of rounding alone on the CPU.
    """
    with on("cpu"):
        wanted = computed(framework, twin, batches)
    found = computed(framework, twin, batches)
    outputs, gradients, losses = (_worst(name, found[name], wanted[name]) for name in wanted)
    if not outputs.passed:
        outputs = replace(outputs, where=first_layer(framework, twin, batches[0]))
    if not gradients.passed:
        with on("cpu"):
            (gradients,) = noise.relaxed([gradients], noise.switched(twin.halves, batches[0]))
    if not losses.passed:
        with on("cpu"):
            losses = _above_floor(losses, _floor(twin, batches))
    return [outputs, gradients, losses]


def _worst(name: str, found: Values, wanted: Values) -> Check:
    """The largest difference of some values from those wanted, and where it is; losses differ in nats."""
    if name == "losses":
        apart = {key: float(np.abs(found[key] - value).max()) for key, value in wanted.items()}
        return worst(name, apart, limit(name))
    zero = ZERO_GRADIENT * max(np.linalg.norm(value) for value in wanted.values())
    real = {k: v for k, v in wanted.items() if max(np.linalg.norm(v), np.linalg.norm(found[k])) > zero}
    apart = {key: relative(found[key], value) for key, value in real.items()}
    return worst(name, apart, limit(name))


def _above_floor(check: Check, floor: float) -> Check:
    most = max(check.limit, noise.FLOOR_FACTOR * floor)
    return replace(check, limit=most, where=f"{check.where}, floor {floor:.2g}")


def _floor(twin: Study, batches: Batches) -> float:
    """How far rounding moves the first losses on the device in use: torch against itself shaken, in nats."""
    halves = twin.halves()[1], noise.shaken(twin.halves()[1], 0)
    plain, moved = (train.fit(half, batches) for half in halves)
    return float(np.abs(np.array(plain) - np.array(moved)).max())


def _half(framework: Mlx | Torch, twin: Study) -> train.Half:
    return twin.halves()[BOTH.index(framework)]


def computed(framework: Mlx | Torch, twin: Study, batches: Batches) -> dict[str, Values]:
    """What one half computes on the device in use: outputs, gradients by name, losses by step."""
    half = _half(framework, twin)
    ready = half.batch(batches[0])
    outputs = framework.numpy(half.model(*ready[:-1]))
    gradients = train.gradients(half, *ready)[1]
    losses = train.fit(_half(framework, twin), batches)
    return {
        "outputs": {"the whole model": outputs},
        "gradients": {name: framework.numpy(value) for name, value in gradients.items()},
        "losses": {f"step {step}": np.array([loss]) for step, loss in enumerate(losses)},
    }


def first_layer(framework: Mlx | Torch, twin: Study, batch: tuple[np.ndarray, ...]) -> str:
    """The first layer whose output on the GPU in use is not that of its own CPU, in words."""
    with on("cpu"):
        wanted = record(_half(framework, twin), batch)
    half = _half(framework, twin)
    kinds = {path: type(module).__name__ for path, module in half.model.named_modules()}
    for there, here in zip(wanted.calls, record(half, batch).calls, strict=True):
        apart = relative(here.output, there.output)
        if not apart <= limit("outputs"):
            return f"first in `{here.path or 'the whole model'}`, a {kinds[here.path]}: {apart:.2g}"
    return "in no layer alone"


def long_products(framework: Mlx | Torch) -> Iterator[Check]:
    """Products whose elements sum LONG_ROWS numbers, alone and batched, on the device in use.

    They are compared with float64. A kernel that reads past the end of an operand sums what lies behind it:
    large numbers here.
    """
    rng = np.random.default_rng(0)
    for length in LONG_ROWS:
        for count, kind in ((1, "product"), (2, "batched product")):
            x, wanted_x = _operand(framework, rng, count, (SIDE, length))
            y, wanted_y = _operand(framework, rng, count, (length, SIDE))
            error = relative(framework.numpy(x @ y), wanted_x @ wanted_y)
            shapes = f"{tuple(wanted_x.shape)} by {tuple(wanted_y.shape)}"
            yield Check(f"{kind} of rows of {length:,}", error, LONG_PRODUCT, shapes)


def _operand(framework: Mlx | Torch, rng: np.random.Generator, count: int, shape: tuple[int, int]) -> tuple:
    """Random (count, *shape) on the device, the first numbers of a longer array, and the same in float64."""
    rows = count * shape[0]
    numbers = rng.standard_normal((rows + SIDE, shape[1])).astype(np.float32)
    numbers[rows:] = BEHIND
    wanted = shape if count == 1 else (count, *shape)
    array = framework.array(numbers)[:rows].reshape(wanted)
    return array, numbers[:rows].reshape(wanted).astype(np.float64)


def table(found: list[Gate]) -> pd.DataFrame:
    """Every check between a framework's two devices, with its limit on this device."""
    rows = [
        {"what": gate.twin.partition(",")[0], "framework": gate.case["framework"]}
        | comparison.check_row(check)
        for gate in found
        for check in gate.checks
    ]
    return pd.DataFrame(rows, columns=["what", "framework", "check", "worst", "limit", "where", "verdict"])


def reading(found: list[Gate]) -> str:
    """The result of the gates between the devices, with every failed check."""
    if not found:
        return "Both frameworks compute on the CPU here: there is no GPU to compare with it."
    if all(gate.passed for gate in found):
        return (
            f"In all of {len(found)} comparisons each framework's GPU computes what its CPU computes. "
            f"Limits: {found[0].limits}."
        )
    rows = table(found)
    told = [
        f"{row.framework}, {row.what}, {row.check}: {row.worst}, limit {row.limit}, {row.where}"
        for row in rows[rows["verdict"] == "FAILED"].itertuples()
    ]
    return f"**The GPU does not compute what the CPU computes**, and times of it are void: {'; '.join(told)}."
