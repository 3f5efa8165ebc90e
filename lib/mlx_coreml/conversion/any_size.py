"""One program for all sizes of flexible axes: lowered at a few sizes, and merged.

The first attempt folds every constant. Where a constant is no part of the largest one, the nodes that make it
are kept; where sizes are divided, more sizes are looked at; where one list of sizes is allowed, all of them.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from coremltools.converters.mil import mil

from mlx_coreml.backends.mil.flexible import axes as shapes
from mlx_coreml.backends.mil.flexible.general_sizes import every, general_sizes, unseen
from mlx_coreml.backends.mil.flexible.merge_lengths import Step, merge
from mlx_coreml.conversion.input_roles import roles
from mlx_coreml.conversion.probes import like
from mlx_coreml.ir.errors import ConversionError, FunctionError
from mlx_coreml.ir.graph import Graph

Capture = Callable[[Sequence[mx.array]], Graph]  # of flat arrays
Lower = Callable[
    [Sequence[Graph], bool, bool], list[mil.Program]
]  # (..., kept, tables): see `simplify_at_sizes`


@dataclass(frozen=True)
class Merged:
    """One program, the sizes at which it was made, and the divisions of sizes in it."""

    program: mil.Program
    seen: Sequence[shapes.Sizes]
    steps: Sequence[Step]
    form: tuple[Hashable, ...]  # of the function at these sizes


@dataclass(frozen=True)
class Subject:
    """What is lowered at several sizes."""

    axes: Sequence[shapes.Axis]
    graph: Graph
    arrays: Sequence[mx.array]
    capture: Capture
    lower: Lower

    def at(self, sizes: shapes.Sizes) -> Graph:
        """The graph at some sizes. Errors: FunctionError where the function does not take them."""
        arrays = shapes.resized(self.arrays, sizes)
        try:
            return self.capture(arrays)
        except FunctionError as error:
            named = zip(self.graph.inputs, arrays, strict=True)
            shown = ", ".join(f"{tensor.name} {tuple(array.shape)}" for tensor, array in named)
            raise FunctionError(str(error).replace("on the example", f"at {shown}", 1)) from error

    def form(self, sizes: shapes.Sizes) -> tuple[Hashable, ...] | None:
        """The form of the function at some sizes; None where it does not take them."""
        try:
            return _form(self.at(sizes))
        except FunctionError:
            return None

    def merged(self, sizes: Sequence[shapes.Sizes], kept: bool, listed: bool = False) -> Merged:
        """The program of some sizes, the largest first. Errors: ConversionError."""
        graphs = [self.at(each) for each in sizes]
        form, axis = _form(graphs[0]), self.axes[0]
        place = (self.graph.inputs[axis.input].name, axis.axis) if listed else None
        tables = all(sizes[0][each.place] >= each.sizes[-1] for each in self.axes)
        program, steps = merge(self.lower(graphs, kept, tables), place, tables)
        return Merged(program, sizes, steps, form)


def any_size(
    axes: Sequence[shapes.Axis], graph: Graph, arrays: Sequence[mx.array], capture: Capture, lower: Lower
) -> tuple[mil.Program, list]:
    """One program for all sizes, and arrays for the check: the least and greatest sizes, and unseen ones."""
    subject = Subject(axes, graph, arrays, capture, lower)
    groups = shapes.independent(axes)
    try:
        subject.at(shapes.apart(groups))
    except FunctionError:  # it takes no sizes that differ: lengths with the same range are one length
        groups = shapes.tied(axes)
    avoid = {n for node in graph.nodes for tensor in (*node.inputs, *node.outputs) for n in tensor.shape}
    merged = _merged(subject, groups, avoid)
    names = [tensor.name for tensor in graph.inputs]
    steps = [((names.index(step.name), step.axis), step) for step in merged.steps]
    rng, kinds = np.random.default_rng(0), roles(graph, arrays)
    more = [shapes.resized(arrays, sizes) for sizes in shapes.extremes(groups)]
    for sizes in unseen(groups, merged.seen, steps):
        resized = shapes.resized(arrays, sizes)
        more.append([like(array, role, rng) for array, role in zip(resized, kinds, strict=True)])
    return merged.program, more


def _merged(subject: Subject, groups: Sequence[Sequence[shapes.Axis]], avoid: set[int]) -> Merged:
    """The first attempt that succeeds. Errors: the last one's ConversionError, which says what is missing."""
    told: list[ConversionError] = []

    def attempt(sizes: Sequence[shapes.Sizes], kept: bool, listed: bool = False) -> Merged | None:
        try:
            return subject.merged(sizes, kept, listed) if sizes else None
        except FunctionError:  # of a size beyond the range
            if not told:
                raise
        except ConversionError as error:
            told.append(error)
        return None

    plain = attempt(shapes.probes(groups, avoid), False) or attempt(shapes.probes(groups, avoid, 1), False)
    if plain and not _cuts_elsewhere(subject, groups, plain):
        return plain
    kept = None if plain else attempt(shapes.probes(groups, avoid), True)
    if kept and not _cuts_elsewhere(subject, groups, kept):
        return kept
    general, mixed = general_sizes(groups, avoid, subject.form)
    made = attempt(mixed, True) or attempt(general, True) or plain or kept
    last = len(told)
    made = made or attempt(every(groups), False, True) or attempt(every(groups), True, True)
    if made is None:
        raise _with_alternative(told[last - 1], subject)
    return made


def _with_alternative(error: ConversionError, subject: Subject) -> ConversionError:
    """The error with the other way to say which sizes there are, where that may help."""
    ranged = next((axis for axis in subject.axes if axis.is_range), None)
    if ranged is None or "has a constant that is" not in str(error):
        return error
    name = subject.graph.inputs[ranged.input].name
    return ConversionError(
        f"{error}; a list of sizes, flexible={{'{name}': {{{ranged.axis}: [...]}}}}, takes any"
    )


def _cuts_elsewhere(subject: Subject, groups: Sequence[Sequence[shapes.Axis]], made: Merged) -> bool:
    """Whether the function pads or cuts at sizes unlike at those that were looked at."""
    sizes = [shapes.extremes(groups)[0], *unseen(groups, made.seen, ())]
    forms = [form for form in map(subject.form, sizes) if form is not None]
    return any(_uncut(form) == _uncut(made.form) and _cuts(form) != _cuts(made.form) for form in forms)


def _uncut(form: Sequence[tuple]) -> list:
    return [part[0] for part in form if part[0] not in ("Pad", "Slice")]


def _cuts(form: Sequence[tuple]) -> list:
    return [part for part in form if part[-1]]


def _form(graph: Graph) -> tuple[Hashable, ...]:
    """What passes look at: kinds of nodes, how many sizes are one, ranges from zero, padding by nothing."""
    return tuple(
        (
            node.kind,
            sum(tensor.shape.count(1) for tensor in node.outputs),
            node.kind == "Arange" and node.arguments[0] == 0,
            node.kind == "Pad" and tuple(n == 0 for widths in node.arguments[1:] for n in widths),
            node.kind in ("Pad", "Slice") and node.inputs[0].value is None,
        )
        for node in graph.nodes
    )
