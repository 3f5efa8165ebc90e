"""The most bytes that MLX holds at once in a training step, counted on its graph without evaluating it.

MLX orders a graph from its outputs on, breadth first up to a width, and gives memory to operations faster
than they are computed: what an operation no longer needs is freed when it has run, some tasks later. Both are
repeated here from its source (mlx/transforms.cpp, mlx/scheduler.h, mlx/backend/cpu/encoder.h and
mlx/backend/metal/device.cpp of https://github.com/ml-explore/mlx). A view holds what it views, and an
operation by elements writes over an input of its size that nothing else needs.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from twins.timing import flops
from twins.timing.memory_traffic import VIEWS

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)

WIDTH = 20  # MLX_BFS_MAX_WIDTH
TASKS = 10  # that may wait to be computed; MAX_ACTIVE_TASKS
# Operations that need an input whole while they write: products, reductions, and what moves elements.
KEEPS = {"Matmul", "AddMM", "Convolution", "QuantizedMatmul", "Reduce", "Gather", "GatherAxis", "Scatter"}
KEEPS |= {"ScatterAxis", "Concatenate", "Pad", "Sort", "ArgSort", "Scan", "ScaledDotProductAttention"}


@dataclass(frozen=True)
class Task:
    """What MLX hands over at once: so many operations, or fewer that write more than so many bytes."""

    operations: int
    most: float


CPU = Task(5, math.inf)  # DISPATCHES_PER_TASK; an operation makes two: its work, and what it lets go
METAL = Task(40, 40 * 2**20)  # of a command buffer on most chips


@dataclass(frozen=True)
class Graph:
    """A function's graph: inputs and constants as (name, bytes), operations as exported, and outputs."""

    inputs: list[tuple[str, int]]
    constants: list[tuple[str, int]]
    operations: list[dict]
    outputs: list[str]


def graph(function: Callable, arrays: Iterable[mx.array]) -> Graph:
    """The graph of `function(*arrays)`; nothing is computed."""
    entries = flops.exported(function, *arrays)
    given = next(entry["inputs"] for entry in entries if entry["type"] == "inputs")
    outputs = next(entry["outputs"] for entry in entries if entry["type"] == "outputs")
    held = [pair for entry in entries if entry["type"] == "constants" for pair in entry["constants"]]
    return Graph(
        [(name, _size(shape, kind)) for name, shape, kind in given],
        [(name, array.nbytes) for name, array in held],
        [entry for entry in entries if entry["type"] == "primitive"],
        [name for name, *_ in outputs],
    )


def _size(shape: Iterable[int], kind: mx.Dtype) -> int:
    return math.prod(shape) * kind.size


def _uses(maker: dict[str, dict], outputs: list[str]) -> dict[str, int]:
    """How often each array is used by what the outputs need; all outputs of an operation count as one."""
    uses: dict[str, int] = {}
    frames = [iter(outputs)]
    while frames:
        name = next(frames[-1], None)
        if name is None:
            frames.pop()
        elif name in maker:
            known = name in uses
            for sibling, *_ in maker[name]["outputs"]:
                uses[sibling] = uses.get(sibling, 0) + 1 if known else 1
            if not known:
                frames.append(iter([each for each, *_ in maker[name]["inputs"]]))
    return uses


def ordered(found: Graph) -> list[dict]:
    """The operations in the order in which MLX computes them."""
    maker = {name: entry for entry in found.operations for name, *_ in entry["outputs"]}
    uses = _uses(maker, found.outputs)
    tape: list[str | None] = [None]  # None stands for what waits for all outputs
    place, deeper = 0, []
    while uses and (place < len(tape) or deeper):
        if place < len(tape):
            name, at = tape[place], 0
            place += 1
        else:
            name, at = deeper.pop()
        needed = found.outputs if name is None else [each for each, *_ in maker[name]["inputs"]]
        for index in range(at, len(needed)):
            if needed[index] not in uses:
                continue
            if len(tape) - place >= WIDTH:
                deeper.append((name, index))
                break
            if _last_use(needed[index], maker, uses):
                tape.append(needed[index])
    return [maker[name] for name in reversed(tape) if name is not None]


def _last_use(name: str, maker: dict[str, dict], uses: dict[str, int]) -> bool:
    """Count one use less; whether it was the last one, after which the array can be placed."""
    siblings = [each for each, *_ in maker[name]["outputs"]]
    uses[name] -= 1
    if uses[name]:
        for each in siblings:
            if each != name:
                uses[each] -= 1
        return False
    for each in siblings:
        uses.pop(each, None)
    return True


def _tasks(operations: list[dict], size: dict[str, int], task: Task) -> Iterator[int]:
    """The number of the task that each operation is handed over in."""
    number = count = written = 0
    for entry in operations:
        yield number
        count += 1
        written += sum(size[name] for name, *_ in entry["outputs"])
        if count >= task.operations or written >= task.most:
            number, count, written = number + 1, 0, 0


def peak(found: Graph, kept: set[int], task: Task = CPU) -> int:
    """The most bytes held at once; inputs at the places in `kept` are never freed."""
    operations = ordered(found)
    size = dict([*found.inputs, *found.constants])
    root = {name: name for name in size}  # a view's name -> the array that it holds
    for entry in operations:
        view = entry["name"] in VIEWS and entry["inputs"]
        for name, shape, kind in entry["outputs"]:
            root[name] = root[entry["inputs"][0][0]] if view else name
            size[name] = _size(shape, kind)
    work = [entry for entry in operations if not (entry["name"] in VIEWS and entry["inputs"])]
    last = {root[name]: place for place, entry in enumerate(work) for name, *_ in entry["inputs"]}
    forever = {root[found.inputs[place][0]] for place in kept} | {root[name] for name in found.outputs}
    now = most = sum(each for _, each in [*found.inputs, *found.constants])
    waiting: deque[tuple[int, int]] = deque()  # task and bytes of what is freed when it has run
    for place, (entry, number) in enumerate(zip(work, _tasks(work, size, task), strict=True)):
        while waiting and waiting[0][0] < number - TASKS:
            now -= waiting.popleft()[1]
        dying = {root[name] for name, *_ in entry["inputs"] if last[root[name]] == place} - forever
        for name, *_ in entry["outputs"]:
            same = None if entry["name"] in KEEPS else next((d for d in dying if size[d] == size[name]), None)
            dying.discard(same)
            now += 0 if same else size[name]
        most = max(most, now)
        waiting.extend((number, size[name]) for name in dying)
    return most
