"""Bytes that a training step moves, counted on MLX's graph of the whole step, optimizer included.

Two figures. The compulsory bytes are a lower bound: every weight is read in the forward pass and again in the
backward pass, its gradient is written and read (clipping by the global norm needs all gradients before the
first weight moves), the optimizer's state is read and written, the weight is written, the batch is read. A
table that is only gathered from, an embedding, is not read by the backward pass. Activations count as kept
in caches. It bounds memory traffic only where nothing stays in a cache from one of these passes to the
next, as with models larger than the caches; a small model may move less.

The unfused bytes are what the step moves when every primitive reads its inputs from memory and writes its
outputs there: compiling, fused attention and caches lower it. Views move nothing, a broadcast is read at the
size it had before, a gather reads the rows it picks.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from twins.frameworks import on
from twins.records import store
from twins.records.record_types import Timing, Traffic, Work
from twins.timing import comparison, flops
from twins.timing.progress import tell
from twins.timing.study import Study
from twins.training import accumulation, train
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.optimizers as mlx_optimizers  # isort: skip
from mlx.utils import tree_flatten, tree_map, tree_unflatten  # isort: skip

VIEWS = {"AsStrided", "Broadcast", "BroadcastAxes", "Depends", "ExpandDims", "Flatten", "Reshape", "Slice"}
VIEWS |= {"Split", "Squeeze", "StopGradient", "Transpose", "Unflatten", "View"}
PICKS = ("Gather", "GatherAxis")
MODELS = ("transformer_lm", "bert", "resnet", "vit")


def sizes(found: store.Found, machine: str, own: str) -> list[tuple[Study, int]]:
    """The twins and batch sizes that this machine's newest records counted or timed.

    `own` is the reader's own pair, taken when it was timed. Without any record: every model's tiny size.
    """
    newest = [store.latest(found, machine, name) for name in comparison.SERIES]
    works = [work for each in newest for work in each.bodies(Work) if work.twin in MODELS]
    made = [(Study(w.twin, _sizes(w.case)), w.case["batch"]) for w in works]
    timed = newest[-1].bodies(Timing, subject="training step")
    made += [(Study(own, {}), t.case["batch"]) for t in timed if t.case["twin"] == Path(own).stem]
    return made or [(Study(name, asdict(train.named(name).tiny())), 4) for name in MODELS]


def _sizes(case: dict) -> dict:
    return {name: value for name, value in case.items() if name != "batch"}


def counted(steps: list[tuple[Study, int]]) -> Iterator[Work | Traffic]:
    """Operations and bytes of each step; nothing of a twin whose two counts of operations differ."""
    for study, batch in steps:
        try:
            with on("cpu"):
                operations = flops.count(*study.halves(), study.example(batch))
                moved = traffic(study, batch)
        except ArithmeticError as error:
            tell(f"{study.name}, batch {batch}: {error}")
            continue
        yield Work(study.name, study.config | {"batch": batch}, operations)
        yield moved


def traffic(study: Study, batch: int) -> Traffic:
    """Compulsory and unfused bytes of one training step of the MLX half."""
    half, _ = study.halves()
    arrays = half.batch(study.example(batch))
    least = compulsory(half, arrays)
    return Traffic(study.name, study.config | {"batch": batch}, least, unfused(half, arrays))


def compulsory(half: Half, batch: list[mx.array]) -> int:
    """The fewest bytes a training step must move through memory; the module's first lines say of what."""
    weights = dict(tree_flatten(half.model.trainable_parameters()))
    half.optimizer.init(half.model.trainable_parameters())
    state = sum(array.nbytes for _, array in tree_flatten(half.optimizer.state) if array.ndim)
    once = gathered(half, batch)
    moved = sum((4 if name in once else 5) * array.nbytes for name, array in weights.items())
    return moved + 2 * state + sum(array.nbytes for array in batch)


def gathered(half: Half, batch: list[mx.array]) -> set[str]:
    """Names of the weights that the forward pass only picks rows of."""
    names, arrays = zip(*tree_flatten(half.model.trainable_parameters()), strict=True)

    def loss(*inputs):
        half.model.update(tree_unflatten(list(zip(names, inputs[: len(names)], strict=True))))
        return half.loss(half.model, *inputs[len(names) :])

    entries = flops.exported(loss, *arrays, *batch)
    half.model.update(tree_unflatten(list(zip(names, arrays, strict=True))))
    inputs = next(entry["inputs"] for entry in entries if entry["type"] == "inputs")
    users = defaultdict(set)
    for entry in entries:
        if entry["type"] == "primitive":
            for place, (name, *_) in enumerate(entry["inputs"]):
                users[name].add((entry["name"], place))
    return {name for name, (key, *_) in zip(names, inputs, strict=False) if users[key] == {("Gather", 0)}}


def unfused(half: Half, batch: list[mx.array]) -> int:
    """Bytes that one training step moves when nothing is fused or cached."""
    half.optimizer.init(half.model.trainable_parameters())
    mx.eval(half.optimizer.state)
    loss_and_gradients = accumulation.mlx_loss_and_gradients(half.model, half.loss, half.accumulate, True)

    def step(*arrays):
        loss, gradients = loss_and_gradients(*arrays)
        if half.clip is not None:
            gradients, _ = mlx_optimizers.clip_grad_norm(gradients, half.clip)
        half.optimizer.update(half.model, gradients)
        return [
            loss,
            *(x for _, x in tree_flatten([half.model.trainable_parameters(), half.optimizer.state])),
        ]

    weights, state = half.model.parameters(), tree_map(lambda array: array, half.optimizer.state)
    moved = _moved(flops.primitives(step, *batch))
    half.model.update(weights)  # tracing left tracers in both
    half.optimizer.state = state
    return moved


def _moved(primitives: list[dict]) -> int:
    """Bytes read and written by primitives that are no views."""
    held: dict[str, int] = {}  # what lies in memory behind a name: less than its size for a broadcast
    total = 0
    for primitive in primitives:
        read = {name: held.get(name, _bytes(shape, kind)) for name, shape, kind in primitive["inputs"]}
        written = {name: _bytes(shape, kind) for name, shape, kind in primitive["outputs"]}
        if primitive["name"] in VIEWS:
            source = sum(read.values())
            held |= {name: min(size, source) for name, size in written.items()}
            continue
        if primitive["name"] in PICKS:
            table = primitive["inputs"][0][0]
            read[table] = min(read[table], sum(written.values()))
        total += sum(read.values()) + sum(written.values())
    return total


def _bytes(shape: tuple[int, ...], kind: mx.Dtype) -> int:
    return math.prod(shape) * kind.size
