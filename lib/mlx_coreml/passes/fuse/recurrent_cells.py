"""One step of MLX's recurrent layers: how the hidden state follows from the one before and from the input.

The input is projected for all steps at once; a step cuts its part out of the projection.
https://ml-explore.github.io/mlx/build/html/python/nn/layers.html
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlx_coreml.ir.graph import Tensor
from mlx_coreml.passes.rewriting.pattern import Some, matches, op, uncast
from mlx_coreml.passes.rewriting.rewrite import RESHAPES, made_by, through


@dataclass(frozen=True)
class Projected:
    """Some features of one time step of what the input was projected to."""

    source: Tensor
    time: int
    first: int
    last: int


@dataclass(frozen=True)
class Step:
    """One step: the projected input, the state before (None at a first step without), the parameters."""

    at: Projected
    weight: Tensor | None = None
    hidden: Tensor | None = None
    before: Tensor | None = None
    memory: Tensor | None = None
    bias: Tensor | None = None


def core(tensor: Tensor) -> Tensor:
    """The tensor before reshapes and casts."""
    return uncast(through(uncast(tensor), *RESHAPES))


def _projected(tensor: Tensor) -> Projected | None:
    """Where a time step and its features are cut from what the input was projected to."""
    if not tensor.shape:
        return None
    time, first, size, steps = 0, 0, tensor.shape[-1], None
    tensor = core(tensor)
    while (node := made_by(tensor, "Slice")) is not None:
        start, _, strides = node.unpack(3)
        x, cut = node.inputs[0], node.output.shape
        if x.rank < 2 or any(s != 1 for s in strides) or cut[:-2] != x.shape[:-2]:
            return None
        time, first, steps = time + start[-2], first + start[-1], steps or cut[-2]
        tensor = core(x)
    one = steps == 1 and tensor.rank in (2, 3) and made_by(tensor, "linear") is not None
    return Projected(tensor, time, first, first + size) if one else None


def _recurrent(tensor: Tensor) -> list[tuple[Projected, Tensor | None, Tensor | None]]:
    """What is added up before the gates: the projected input, the recurrent weight, the hidden state."""
    if (at := _projected(tensor)) is not None:
        return [(at, None, None)]
    total, found = made_by(core(tensor), "Add"), []
    for input_, product in (total.inputs, total.inputs[::-1]) if total is not None else ():
        at, linear = _projected(input_), made_by(core(product), "linear")
        if at is not None and linear is not None and len(linear.inputs) == 2:
            found.append((at, linear.inputs[1], core(linear.inputs[0])))
    return found


def _gates(parts: list[Tensor]) -> Tensor | None:
    """What is split into these parts, in order."""
    node = made_by(parts[0], "Split")
    if node is None or node.outputs != parts or node.unpack(2)[1] != parts[0].rank - 1:
        return None
    return node.inputs[0] if len({part.shape for part in parts}) == 1 else None


WRITTEN = op("Multiply", op("Sigmoid", Some("i")), op("Tanh", Some("g")))
MEMORIES = (WRITTEN, op("Add", op("Multiply", op("Sigmoid", Some("f")), Some("c")), WRITTEN))
OUTPUT = op("Multiply", op("Sigmoid", Some("o")), op("Tanh", Some("memory")))


def _lstm(hidden: Tensor) -> list[Step]:
    """sigmoid(o) * tanh(memory), memory = sigmoid(f) * before + sigmoid(i) * tanh(g); without f at first."""
    steps = []
    for found in matches([OUTPUT], [hidden]):
        for form in MEMORIES:
            for inner in matches([form], [found["memory"]]):
                # Without a state before, the gate that would forget it is the split's only unread part.
                node = made_by(inner["i"], "Split")
                parts = [inner["i"], inner.get("f"), inner["g"], found["o"]]
                if node is None or len(node.outputs) != 4:
                    continue
                parts[1] = parts[1] or node.outputs[1]
                total = _gates(parts)
                for at, weight, before in _recurrent(total) if total is not None else ():
                    steps.append(Step(at, weight, before, inner.get("c"), found["memory"]))
    return steps


def _rnn(hidden: Tensor) -> list[Step]:
    """tanh(projected + recurrent)."""
    node = made_by(hidden, "Tanh")
    return [Step(*found) for found in _recurrent(node.inputs[0])] if node is not None else []


UPDATED = op("Multiply", op("Subtract", 1.0, Some("z")), op("Tanh", Some("n")))
STATES = (UPDATED, op("Add", UPDATED, op("Multiply", Some("z"), Some("before"))))
CANDIDATE = op("Add", Some("input"), op("Multiply", Some("r"), Some("recurrent")))


def _gru(hidden: Tensor) -> list[Step]:
    """(1 - z) * tanh(input + r * (recurrent + bias)) + z * before; without `before` at first."""
    steps = []
    for form in STATES:
        for found in matches([form], [hidden]):
            for inner in (*matches([CANDIDATE], [found["n"]]), {"input": found["n"]}):
                step = _gru_step(found["z"], inner.get("r"), inner["input"], inner.get("recurrent"))
                if step is not None and step.hidden is (core(found["before"]) if "before" in found else None):
                    steps.append(step)
    return steps


def _gru_step(z: Tensor, r: Tensor | None, input_: Tensor, recurrent: Tensor | None) -> Step | None:
    split = made_by(z, "Split")
    if split is None or len(split.outputs) != 2:
        return None
    gates = _gates([r or split.outputs[0], z])
    sigmoid = made_by(gates, "Sigmoid") if gates is not None else None
    candidate = _projected(input_)
    if sigmoid is None or candidate is None:
        return None
    bias, product = _biased(recurrent)
    size = z.shape[-1]
    at, both = _gate_sum(sigmoid.inputs[0])
    whole = (product, both) == (None, None)
    if product is not None and both is not None:
        whole = product[0] is both[0] and (both[1:], product[1:]) == ((0, 2 * size), (2 * size, size))
    apart = Projected(candidate.source, candidate.time, 0, 2 * size)
    if not whole or at != apart or (candidate.first, candidate.last) != (2 * size, 3 * size):
        return None
    step = Projected(at.source, at.time, 0, 3 * size)
    if both is None:
        return Step(step, bias=bias)
    linear = both[0].node
    return Step(step, linear.inputs[1], core(linear.inputs[0]), bias=bias)


def _gate_sum(tensor: Tensor) -> tuple[Projected | None, tuple | None]:
    """The projected input of gates, and the features of a recurrent product added to it."""
    if (at := _projected(tensor)) is not None:
        return at, None
    total = made_by(core(tensor), "Add")
    for input_, product in (total.inputs, total.inputs[::-1]) if total is not None else ():
        at, features = _projected(input_), _features(product)
        if at is not None and features is not None:
            return at, features
    return None, None


def _biased(tensor: Tensor | None) -> tuple[Tensor | None, tuple | None]:
    """A constant, and the features of a recurrent product it is added to; each may be missing."""
    if tensor is None or tensor.value is not None:
        return tensor, None
    total = made_by(tensor, "Add")
    for product, bias in (total.inputs, total.inputs[::-1]) if total is not None else ():
        if bias.value is not None:
            return bias, _features(product)
    return None, _features(tensor)


def _features(tensor: Tensor) -> tuple[Tensor, int, int] | None:
    """A product with a constant, and the first and the number of its features that a tensor is."""
    size, first = tensor.shape[-1], 0
    tensor = core(tensor)
    if (node := made_by(tensor, "Slice")) is not None:
        start, _, strides = node.unpack(3)
        if any(s != 1 for s in strides) or any(start[:-1]) or tensor.shape[:-1] != node.inputs[0].shape[:-1]:
            return None
        first, tensor = start[-1], core(node.inputs[0])
    linear = made_by(tensor, "linear")
    return (tensor, first, size) if linear is not None and len(linear.inputs) == 2 else None


CELLS: dict[str, Callable[[Tensor], list[Step]]] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
