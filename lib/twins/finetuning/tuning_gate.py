"""The fairness gate of a fine-tuning: that of every twin, and what holds for adapters alone.

Adapters start as zero, so both halves must begin at the base's outputs; and the base must not move. A
quantized base has other weights in each framework's memory: it is compared by the numbers that they stand
for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from twins.finetuning import adapters, base_model, bases, quantized_base
from twins.finetuning.tuning import Tuning, adapter_values, trained_torch
from twins.frameworks import MLX
from twins.machine import kernel_compiler
from twins.parity import checks, fairness_gate, limits
from twins.parity.checks import Batch, Halves
from twins.parity.differences import Check, Verdict, relative, worst
from twins.parity.limits import limit
from twins.records.record_types import Gate
from twins.training import train
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after twins.frameworks: the BLAS)

STEPS = 5  # after which the base is compared with what it was
IN_FLOAT64 = (
    "not compared in float64: transformers computes RMSNorm and the angles of rotary embeddings in float32 "
    "whatever the model's type is"
)
NOT_EQUAL = "the two formats differ, so quality is compared after equal steps and not step by step"


@kernel_compiler.faster()
def gate(tuning: Tuning, batches: Sequence[Batch], compiled: bool = False) -> Gate:
    """Whether both halves of a fine-tuning compute the same; a failed check is named in the record.

    `compiled`: MLX's compiled step, which mlx-lm's trainer takes, is checked beside the eager one.
    """
    verdict = judge(tuning, tuning.halves, batches, compiled)
    found = [check.plain() for check in verdict.checks]
    losses = {k: [x if np.isfinite(x) else None for x in run] for k, run in verdict.losses.items()}
    case = tuning.config | {"batch": len(batches[0][0]), "length": batches[0][0].shape[1]}
    return Gate(tuning.name, case, verdict.passed, found, losses, limits.measured(), list(verdict.notes))


def judge(tuning: Tuning, make: Halves, batches: Sequence[Batch], compiled: bool = False) -> Verdict:
    """The verdict on halves that `make` makes anew at each call, by dtype."""
    if tuning.base:
        return _quantized(tuning, make, batches)
    options = {"torch_compiled": False, "in_float64": False, "mlx_compiled": compiled}
    verdict = fairness_gate.gate(tuning.name, make, batches, **options)
    if tuning.method == "full" or not verdict.losses:
        return replace(verdict, notes=(*verdict.notes, IN_FLOAT64))
    found = (*verdict.checks, *_starts(tuning, make, batches[0]), *_stays(make, batches[:STEPS]))
    return replace(verdict, checks=found, notes=(*verdict.notes, IN_FLOAT64))


def _base_outputs(tuning: Tuning, half: Half, batch: Batch) -> list[np.ndarray]:
    """What the base of a half gives without adapters."""
    folder = Path(tuning.folder)
    if half.framework is MLX:
        model = base_model.load_mlx(folder, half.dtype)
    else:
        model = base_model.Logits(base_model.load_torch(folder, half.dtype))
    return checks.outputs_of(replace(half, model=model), batch)


def _starts(tuning: Tuning, make: Halves, batch: Batch) -> Iterator[Check]:
    """Both halves begin at the outputs of their base: the adapters add nothing yet."""
    for half in make("float32"):
        found, wanted = checks.outputs_of(half, batch)[0], _base_outputs(tuning, half, batch)[0]
        where = "outputs with adapters and without, relative L2"
        yield Check(f"start, {half.framework.name}", relative(found, wanted), limit("outputs"), where)


def _frozen(half: Half) -> dict[str, np.ndarray]:
    """The weights of a half that are no adapter's, under its own names."""
    return {name: value for name, value in checks.own_weights(half).items() if not _of_an_adapter(half, name)}


def _of_an_adapter(half: Half, name: str) -> bool:
    goal = half.names.get(name, name)
    return adapters.is_adapter(goal[0] if isinstance(goal, tuple) else str(goal))


def _stays(make: Halves, batches: Sequence[Batch]) -> Iterator[Check]:
    """No weight of the base changes in a few steps; the value is how many do."""
    for half in make("float32"):
        before = _frozen(half)
        train.fit(half, batches)
        moved = sorted(
            name for name, value in _frozen(half).items() if not np.array_equal(value, before[name])
        )
        where = ", ".join(moved[:3]) or f"all {len(before)} tensors stay"
        yield Check(f"base, {half.framework.name}", float(len(moved)), 0.0, where)


def _quantized(tuning: Tuning, make: Halves, batches: Sequence[Batch]) -> Verdict:
    """The checks of a quantized base: equal numbers where the formats hold them, and what follows from it."""
    halves = make("float32")
    if tuning.base not in bases.EQUAL:
        return Verdict(tuning.name, tuple(_drawn(*halves)), {}, (NOT_EQUAL,))
    ours, theirs = (
        quantized_base.dequantized_mlx(halves[0].model),
        quantized_base.dequantized_torch(halves[1].model),
    )
    apart = {name: relative(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()}
    missing = ours.keys() ^ theirs.keys()
    found = [
        Check("quantized layers", float(len(missing)), 0.0, ", ".join(sorted(missing)[:3]) or f"{len(apart)}")
    ]
    found += [worst("quantized weights", apart, limit("outputs")), *_drawn(*halves)]
    found += [*checks.check_outputs(*halves, batches[0]), _adapter_gradients(*halves, batches[0])]
    more, losses = _losses(make, batches)
    return Verdict(tuning.name, (*found, more), losses, (IN_FLOAT64,))


def _drawn(ours: Half, theirs: Half) -> Iterator[Check]:
    """The adapters of both halves are the same numbers."""
    drawn = adapter_values(trained_torch(theirs), theirs.names)
    mine = {n: MLX.numpy(value) for n, value in tree_flatten(ours.model.trainable_parameters())}
    missing = mine.keys() ^ drawn.keys()
    yield Check(
        "adapters", float(len(missing)), 0.0, ", ".join(sorted(missing)[:3]) or f"{len(mine)} tensors"
    )
    shared = mine.keys() & drawn.keys()
    yield worst("adapter weights", {n: relative(mine[n], drawn[n]) for n in shared}, limit("weights"))


def _adapter_gradients(ours: Half, theirs: Half, batch: Batch) -> Check:
    mine = checks.gradients_of(ours, batch)
    known = adapter_values(checks.gradients_of(theirs, batch), theirs.names)
    largest = max(float(np.linalg.norm(value)) for value in mine.values())
    real = [n for n, value in mine.items() if np.linalg.norm(value) > checks.ZERO_GRADIENT * largest]
    empty = np.zeros(())
    return worst("gradients", {n: relative(mine[n], known.get(n, empty)) for n in real}, limit("gradients"))


def _losses(make: Halves, batches: Sequence[Batch]) -> tuple[Check, dict[str, list[float]]]:
    """The first losses of both halves, compared with PyTorch's on permuted rows, the floor."""
    halves = make("float32")
    runs = {half.framework.name + " eager": train.fit(half, batches) for half in halves}
    runs["floor"] = train.fit(make("float32")[1], fairness_gate.permuted(batches))
    apart = np.abs(np.subtract(runs["MLX eager"], runs["PyTorch eager"]))
    floor = float(np.abs(np.subtract(runs["floor"], runs["PyTorch eager"])).max())
    allowed = max(limit("losses"), fairness_gate.FLOOR_FACTOR * floor)
    where = f"step {apart.argmax()}, floor {floor:.2g}"
    return Check("losses, MLX eager", float(apart.max()), allowed, where), runs
