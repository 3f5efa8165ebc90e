"""Puts the operations of programs side by side: some leave out padding by nothing and slices of everything.

A picture whose sides are multiples of a window is not padded, and the result is not cut. Where the program at
another size has such an operation, one that changes nothing stands in for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from coremltools.converters.mil.mil import Function, Operation, Var


@dataclass(frozen=True)
class Absent:
    """An operation that changes nothing, in the place of one that a program lacks."""

    op_type: str
    inputs: Mapping
    outputs: Sequence[Var]
    blocks: tuple = ()


Operations = Sequence[Operation | Absent]  # one operation, in every program


def side_by_side(functions: Sequence[Function]) -> list[Operations]:
    """Each operation of the longest program with those of the others; None where one has no counterpart."""
    listed = [[o for o in f.operations if o.op_type != "const"] for f in functions]
    if len({tuple(map(form, each)) for each in listed}) == 1:
        return list(zip(*listed, strict=True))
    longest = max(range(len(listed)), key=lambda i: sum(o.op_type != "identity" for o in listed[i]))
    inputs = [list(function.inputs.values()) for function in functions]
    rows = [
        _aligned(listed[longest], own, dict(zip(inputs[longest], theirs, strict=True)))
        for own, theirs in zip(listed, inputs, strict=True)
    ]
    return list(zip_longest(*rows))


def _aligned(reference: Sequence[Operation], own: Sequence[Operation], twin: dict[Var, Var]) -> list:
    """A program's operations beside those of another; as they are from the first without a counterpart."""
    made: list[Operation | Absent] = []
    i = 0
    for operation in reference:
        present = own[i] if i < len(own) else None
        if form(present) == form(operation) and _reads_alike(operation, present, twin):
            made.append(present)
            i += 1
        else:
            x = twin.get(operation.inputs.get("x"))
            stand_in = _absent(operation, x)
            if stand_in is None:
                return [*made, *own[i:]]
            if present is not None and present.op_type == "identity" and present.inputs["x"] is x:
                stand_in = Absent(stand_in.op_type, stand_in.inputs, present.outputs)
                i += 1
            made.append(stand_in)
        twin |= dict(zip(operation.outputs, made[-1].outputs, strict=True))
    return [*made, *own[i:]]


def _reads_alike(one: Operation, other: Operation, twin: Mapping[Var, Var]) -> bool:
    """Whether what is no constant corresponds."""
    return all(
        twin.get(a, b) is b
        for name, a in one.inputs.items()
        if isinstance(a, Var) and isinstance(b := other.inputs[name], Var)
    )


def _absent(operation: Operation, x: Var | None) -> Absent | None:
    """What changes nothing of the kind of an operation, reading x."""
    given = dict(operation.inputs)
    if x is None or operation.outputs[0].rank != x.rank:
        return None
    if operation.op_type == "pad" and operation.mode.val == "constant":
        given |= {"x": x, "pad": np.zeros(operation.pad.shape, np.int32)}
    elif operation.op_type == "slice_by_index" and _has_no_strides(operation):
        given |= {"x": x, "begin": np.zeros(x.rank, np.int32), "end": np.array(x.shape, np.int32)}
    else:
        return None
    return Absent(operation.op_type, given, [x])


def _has_no_strides(operation: Operation) -> bool:
    return operation.stride is None or bool(np.all(operation.stride.val == 1))


def form(operation: Operation | Absent | None) -> tuple:
    """What must be equal in all programs: the operation's type, and the numbers of its inputs and outputs."""
    if operation is None:
        return ()
    counts = {
        n: len(v) if isinstance(v, list | tuple) else v is not None for n, v in operation.inputs.items()
    }
    return operation.op_type, tuple(sorted(counts.items())), len(operation.outputs)
