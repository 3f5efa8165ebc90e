"""Merges the programs of one function at several lengths into one program for any length.

The programs have the same operations; their constants differ where they depend on a length. A whole number
that differs must be an affine function of a size that is known when the model runs, and a table that differs
must be the beginning of the one at the largest length. Everything else is refused.
https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import coremltools as ct
import numpy as np
from coremltools.converters.mil import mil
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Operation, Var, get_new_symbol, types
from coremltools.converters.mil.mil.types.symbolic import is_symbolic

from mlx_coreml.backends.mil.flexible.alignment import Operations, form, side_by_side
from mlx_coreml.backends.mil.flexible.formulas import Near
from mlx_coreml.backends.mil.flexible.normal_forms import (
    CUTS,
    NORMAL,
    agree,
    begin_of,
    full_pads,
    is_constant,
    refusal,
    shown,
    strided,
    value_of,
)
from mlx_coreml.backends.mil.flexible.symbolic_sizes import Listed, Series, Sizes
from mlx_coreml.backends.mil.lowering.types import at_least
from mlx_coreml.backends.mil.size_dependent import hide_value
from mlx_coreml.ir.errors import ConversionError


@dataclass(frozen=True)
class Step:
    """(times * size of an input's axis + plus) // by, which changes where that is a multiple."""

    name: str
    axis: int
    plus: int
    by: int
    times: int


def merge(
    programs: Sequence[mil.Program], listed: tuple[str, int] | None = None, tables: bool = True
) -> tuple[mil.Program, list[Step]]:
    """The program of symbolic lengths that the programs agree with, and the divisions of inputs' sizes in it.

    The first of the programs is the one at the largest lengths; without `tables` there may be larger ones.

    `listed` is an input's axis that has one size in each program and no other: then what no formula gives is
    looked up. Errors: ConversionError naming the operation where they do not agree, or one of its constants.
    """
    functions = [program.functions["main"] for program in programs]
    first, symbols = functions[0], {}
    inputs = {tuple(f.inputs[name] for f in functions): name for name in first.inputs}
    placeholders = {name: _placeholder(each, symbols) for each, name in inputs.items()}
    with Function(placeholders, opset_version=first.opset_version) as function:
        given = {each: function.inputs[name] for each, name in inputs.items()}
        merged = Merged(given, _listed(listed, given, inputs), tables)
        for operations in side_by_side(functions):
            merged.add(operations)
        results = zip(*(f.outputs for f in functions), strict=True)
        function.set_outputs([merged.made[each] for each in results])
    program = mil.Program()
    program.add_function("main", function)
    names = {variable: name for name, variable in function.inputs.items()}
    return program, [
        Step(names[q.size.variable], q.size.axes[0], q.plus, q.by, q.times)
        for q in merged.sizes.quotients
        if q.size.variable in names and len(q.size.axes) == 1
    ]


def _listed(
    place: tuple[str, int] | None, given: Mapping[Series, Var], names: Mapping[Series, str]
) -> Listed | None:
    if place is None:
        return None
    each = next(each for each, name in names.items() if name == place[0])
    return Listed(given[each], place[1], tuple(v.shape[place[1]] for v in each))


def _placeholder(series: Series, symbols: dict[tuple, object]):
    """An input's declaration; sizes that vary together have one symbol."""
    first = series[0]
    if types.is_state(first.sym_type):
        shapes = {tuple(v.sym_type.wrapped_type().get_shape()) for v in series}
        if len(shapes) > 1:
            raise ConversionError(f"state '{first.name}' has a flexible shape; allowed are fixed shapes")
        return mb.state_tensor_placeholder(shapes.pop(), dtype=first.dtype)
    shape = [
        sizes[0] if len(set(sizes)) == 1 else symbols.setdefault(sizes, get_new_symbol())
        for sizes in zip(*(v.shape for v in series), strict=True)
    ]
    return mb.placeholder(shape=shape, dtype=first.dtype)


class Merged:
    """The variables of the merged program, by the variables they stand for in each of the programs."""

    def __init__(self, inputs: dict[Series, Var], listed: Listed | None, tables: bool):
        self.made = dict(inputs)
        self.lengths = [each for each in inputs if not types.is_state(each[0].sym_type)]
        self.constants: dict[Var, Var] = {}
        self.sizes = Sizes(listed, tables)
        self.seen = {c for each in self.lengths for c in zip(*(v.shape for v in each), strict=True)}
        self.others: dict[tuple[int, ...], Series] = {}  # the first tensor with these sizes

    def add(self, operations: Operations) -> None:
        """Build the operation that is the same in all programs."""
        first = next((o for o in operations if isinstance(o, Operation)), None)
        other = next((o for o in operations if form(o) != form(first)), first)
        if other is not first:
            raise ConversionError(
                f"the model differs between sizes: where the largest has {_told(first)}, "
                f"a smaller one has {_told(other)}"
            )
        if first.blocks:
            raise refusal(first, "contains a loop, whose size must be fixed; a GRU needs none from iOS18")
        given = {n: [o.inputs[n] for o in operations] for n, v in first.inputs.items() if v is not None}
        NORMAL.get(first.op_type, lambda given: None)(given)
        changing = {name for name, each in given.items() if _changes(each)}
        near = self._near(given, bool(changing))
        kind = first.op_type
        if changing & CUTS.get(kind, set()) and not (kind == "slice_by_index" and strided(first)):
            results = self._cut(operations, given, near)
        elif kind == "resize_bilinear" and changing:
            results = self._resized(operations, given, near)
        elif kind == "clip" and changing:
            results = self._clipped(first, given, near)
        else:
            if kind == "pad" and "pad" in changing:
                given["pad"] = [
                    full_pads(v, o.inputs["x"].rank) for v, o in zip(given["pad"], operations, strict=True)
                ]
            results = self._built(first, {n: self._input(first, each, near, n) for n, each in given.items()})
        for variables, result in zip(
            zip(*(o.outputs for o in operations), strict=True), results, strict=True
        ):
            if not types.is_list(result.sym_type) and result.rank != variables[0].rank:
                raise refusal(first, "has another rank when its size is flexible")
            if not types.is_list(result.sym_type):
                _refine(result, variables)
                self._remember(variables)
            result.set_name(variables[operations.index(first)].name)
            self.made[variables] = result

    def _near(self, given: dict[str, list], changing: bool) -> Near:
        """Tensors on whose sizes a constant may depend: the program's inputs, those of the operation, others
        that have sizes of their own.
        """
        if not changing:
            return []
        own = [tuple(each) for each in given.values() if all(isinstance(v, Var) for v in each)]
        known = [each for each in dict.fromkeys([*self.lengths, *own]) if each in self.made]
        return [(self.made[each], [v.shape for v in each]) for each in [*known, *self.others.values()]]

    def _remember(self, variables: Series) -> None:
        """A tensor with a size that no tensor before it has."""
        columns = {c for c in zip(*(v.shape for v in variables), strict=True) if len(set(c)) > 1}
        for column in columns - self.seen:
            self.seen.add(column)
            self.others[column] = variables

    def _input(self, operation: Operation, each: list, near: Near, name: str = "") -> Var | list[Var]:
        if isinstance(each[0], list | tuple):
            return [self._input(operation, list(part), near) for part in zip(*each, strict=True)]
        if all(isinstance(v, Var) for v in each) and tuple(each) in self.made:
            return self.made[tuple(each)]
        if not is_constant(each):
            raise refusal(operation, "reads other values at another size")
        if not agree(each):
            arrays = [np.asarray(value_of(v)) for v in each]
            open_shape = (operation.op_type, name) == ("reshape", "shape")
            exact = [getattr(v.op, "exact", None) for v in each if isinstance(v, Var)]
            made = self.sizes.of(arrays, near, open_shape, None if any(e is None for e in exact) else exact)
            if made is None:
                one, other = (shown(v) for v in each[:2])
                raise refusal(
                    operation,
                    f"has a constant that is {one} at one size and {other} at another; allowed are "
                    "functions of the size (affine, quotients, products, roots) and parts of one table",
                )
            if open_shape:
                hide_value(made)  # from sizes with names coremltools solves equations, which may take minutes
            return made
        first = each[0]
        if not isinstance(first, Var):
            return mb.const(val=first)
        if first not in self.constants:
            self.constants[first] = mb.const(val=first.val, name=first.name)
        return self.constants[first]

    def _cut(self, operations: Operations, given: dict[str, list], near: Near) -> list[Var]:
        """A split or slice at places that change, piece by piece: where each starts and how large it is."""
        first = operations[0]
        x, pieces = self._input(first, given["x"], near), []
        for outputs in zip(*(o.outputs for o in operations), strict=True):
            sizes = [np.array(v.shape, np.int32) for v in outputs]
            begins = [begin_of(o, v) for o, v in zip(operations, outputs, strict=True)]
            begin, size = (self._input(first, each, near) for each in (begins, sizes))
            pieces.append(mb.slice_by_size(x=x, begin=begin, size=size))
        return pieces

    def _clipped(self, first: Operation, given: dict[str, list], near: Near) -> list[Var]:
        """MIL's clip takes constants only."""
        x, low, high = (self._input(first, given[name], near) for name in ("x", "alpha", "beta"))
        return [mb.minimum(x=mb.maximum(x=x, y=low), y=high)]

    def _resized(self, operations: Operations, given: dict[str, list], near: Near) -> list[Var]:
        """Bilinear interpolation to a size that changes; iOS17's `resize` takes it as a tensor."""
        first = operations[0]
        if not at_least(ct.target.iOS17):
            raise refusal(
                first, "has a target size that changes, which needs deployment_target iOS17 or later"
            )
        targets = [
            np.array([o.target_size_height.val, o.target_size_width.val], np.int32) for o in operations
        ]
        return [
            mb.resize(
                x=self._input(first, given["x"], near),
                shape=self._input(first, targets, near),
                resized_dims=np.uint32(2),
                interpolation_mode="LINEAR",
                sampling_mode=first.sampling_mode.val,
            )
        ]

    def _built(self, operation: Operation, inputs: dict) -> list[Var]:
        try:
            made = getattr(mb, operation.op_type)(**inputs)
        except (ValueError, TypeError) as error:
            told = " ".join(str(error.args[0] if error.args else error).split())
            raise refusal(operation, f"cannot have a flexible size: {told}") from error
        return [made] if isinstance(made, Var) else list(made)


def _told(operation: Operation | None) -> str:
    if operation is None:
        return "nothing"
    count = f" with {len(operation.outputs)} results" if len(operation.outputs) > 1 else ""
    return f"'{operation.op_type}' ('{operation.outputs[0].name}'){count}"


def _changes(each: Sequence) -> bool:
    """Whether an input, or one of its parts, is a constant that differs between the programs."""
    if isinstance(each[0], list | tuple):
        return any(_changes(part) for part in zip(*each, strict=True))
    return is_constant(each) and not agree(each)


def _refine(result: Var, variables: Series) -> None:
    """Declare the sizes that are equal in every program, where coremltools has lost sight of them."""
    columns = list(zip(*(v.shape for v in variables), strict=True))
    if any(is_symbolic(n) and len(set(c)) == 1 for n, c in zip(result.shape, columns, strict=True)):
        shape = [c[0] if len(set(c)) == 1 else n for n, c in zip(result.shape, columns, strict=True)]
        result._sym_type = types.tensor(result.dtype, tuple(shape))  # it has no public setter
