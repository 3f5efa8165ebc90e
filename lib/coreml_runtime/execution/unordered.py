"""Outputs of a program whose order, or choice among equal elements, MIL leaves open.

topk with sort=False guarantees no order, and the arguments of equal elements may be any of theirs: for
reduce_argmax and reduce_argmin MIL says so, for topk and argsort it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PASSING = ("cast", "identity")  # between the operation and the output
SELECTING = ("topk", "argsort", "reduce_argmax", "reduce_argmin")


@dataclass(frozen=True)
class Unordered:
    """What an output selects from: the value `operand` along `axis`, by one of the SELECTING operations.

    `indices` says whether the output has indices or elements, `sorted` whether they have an order, and `kept`
    whether the output has the axis of the operand.
    """

    operation: str
    operand: str
    axis: int
    indices: bool
    sorted: bool
    kept: bool


def unordered_outputs(block: Any, read: Callable[[Any], Any]) -> dict[str, Unordered]:
    """The outputs of a protobuf block that a selecting operation computes; `read` reads a constant."""
    made = {result.name: operation for operation in block.operations for result in operation.outputs}
    found = {}
    for output in block.outputs:
        name = output
        while name in made and made[name].type in PASSING:
            name = made[name].inputs["x"].arguments[0].name
        if name in made and made[name].type in SELECTING:
            selected = _selected(made[name], name, made, read)
            if selected is not None:
                found[output] = selected
    return found


def _selected(operation: Any, name: str, made: dict, read: Callable[[Any], Any]) -> Unordered | None:
    def constant(parameter: str, default: Any) -> Any:
        if parameter not in operation.inputs:
            return default
        binding = operation.inputs[parameter].arguments[0]
        if binding.WhichOneof("binding") == "value":
            return read(binding.value).item()
        known = made.get(binding.name)
        return read(known.attributes["val"]).item() if known is not None and known.type == "const" else None

    axis, ordered = constant("axis", -1), constant("sort", True)
    if axis is None or ordered is None:
        return None
    is_top = operation.type == "topk"
    return Unordered(
        operation.type,
        operation.inputs["x"].arguments[0].name,
        int(axis),
        indices=not is_top or name != operation.outputs[0].name,
        sorted=bool(ordered),
        kept=is_top or operation.type == "argsort" or bool(constant("keep_dims", False)),
    )
