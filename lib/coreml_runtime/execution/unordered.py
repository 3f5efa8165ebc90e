"""Outputs of a program whose order, or choice among equal elements, MIL leaves open.

topk with sort=False guarantees no order, and the arguments of equal elements may be any of theirs: for
reduce_argmax and reduce_argmin MIL says so, for topk and argsort it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coreml_runtime.execution.constants import Constants

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


def unordered_outputs(block: Any, constants: Constants) -> dict[str, Unordered]:
    """The outputs of a protobuf block that a selecting operation computes."""
    made = {result.name: operation for operation in block.operations for result in operation.outputs}
    found = {}
    for output in block.outputs:
        name = output
        while name in made and made[name].type in PASSING:
            name = made[name].inputs["x"].arguments[0].name
        if name in made and made[name].type in SELECTING:
            selected = _selected(made[name], name, constants)
            if selected is not None:
                found[output] = selected
    return found


def _selected(operation: Any, name: str, constants: Constants) -> Unordered | None:
    axis, ordered = constants.argument(operation, "axis", -1), constants.argument(operation, "sort", True)
    operand = operation.inputs["x"].arguments[0]
    if operand.WhichOneof("binding") != "name":
        return None
    is_top = operation.type == "topk"
    return Unordered(
        operation.type,
        operand.name,
        int(axis),
        indices=not is_top or name != operation.outputs[0].name,
        sorted=bool(ordered),
        kept=is_top or operation.type == "argsort" or bool(constants.argument(operation, "keep_dims", False)),
    )
