"""Merges the programs of one function at several lengths into one program for any length.

The programs have the same operations; their constants differ where they depend on a length. A whole number
that differs must be an affine function of a size that is known when the model runs, and a table that differs
must be the beginning of the one at the largest length. Everything else is refused.
https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from coremltools.converters.mil import mil
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Operation, Var, get_new_symbol, types

from mlx_coreml.backends.mil.symbolic_sizes import Near, Series, Sizes, same
from mlx_coreml.ir.errors import ConversionError

Operations = Sequence[Operation]  # one operation, in every program


def merge(programs: Sequence[mil.Program]) -> mil.Program:
    """The program of symbolic lengths that the programs, the one at the largest lengths first, agree with.

    Errors: ConversionError naming the operation where they do not agree, or one of its constants.
    """
    functions = [program.functions["main"] for program in programs]
    first, symbols = functions[0], {}
    inputs = {tuple(f.inputs[name] for f in functions): name for name in first.inputs}
    placeholders = {name: _placeholder(each, symbols) for each, name in inputs.items()}
    with Function(placeholders, opset_version=first.opset_version) as function:
        merged = Merged({each: function.inputs[name] for each, name in inputs.items()})
        for operations in zip_longest(*(_operations(f) for f in functions)):
            merged.add(operations)
        results = zip(*(f.outputs for f in functions), strict=True)
        function.set_outputs([merged.made[each] for each in results])
    program = mil.Program()
    program.add_function("main", function)
    return program


def _operations(function: Function) -> list[Operation]:
    return [operation for operation in function.operations if operation.op_type != "const"]


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

    def __init__(self, inputs: dict[Series, Var]):
        self.made = dict(inputs)
        self.lengths = [each for each in inputs if not types.is_state(each[0].sym_type)]
        self.constants: dict[Var, Var] = {}
        self.sizes = Sizes()

    def add(self, operations: Operations) -> None:
        """Build the operation that is the same in all programs."""
        first = operations[0]
        other = next((o for o in operations if _form(o) != _form(first)), first)
        if other is not first:
            raise ConversionError(
                f"the model differs between sizes: where the largest has {_told(first)}, "
                f"a smaller one has {_told(other)}"
            )
        if first.blocks:
            raise _refusal(first, "contains a loop, whose size must be fixed; a GRU needs none from iOS18")
        given = {n: [o.inputs[n] for o in operations] for n, v in first.inputs.items() if v is not None}
        NORMAL.get(first.op_type, lambda given: None)(given)
        near = self._near(given)
        changing = {name for name, each in given.items() if _is_constant(each) and not _agree(each)}
        if changing & CUTS.get(first.op_type, set()):
            results = self._cut(operations, given, near)
        else:
            results = self._built(first, {n: self._input(first, each, near) for n, each in given.items()})
        for variables, result in zip(
            zip(*(o.outputs for o in operations), strict=True), results, strict=True
        ):
            if not types.is_list(result.sym_type) and result.rank != variables[0].rank:
                raise _refusal(first, "has another rank when its size is flexible")
            result.set_name(variables[0].name)
            self.made[variables] = result

    def _near(self, given: dict[str, list]) -> Near:
        """Tensors on whose sizes a constant may depend: the program's inputs, then those of the operation."""
        own = [tuple(each) for each in given.values() if isinstance(each[0], Var)]
        known = [each for each in dict.fromkeys([*self.lengths, *own]) if each in self.made]
        return [(self.made[each], [v.shape for v in each]) for each in known]

    def _input(self, operation: Operation, each: list, near: Near) -> Var | list[Var]:
        if isinstance(each[0], list | tuple):
            return [self._input(operation, list(part), near) for part in zip(*each, strict=True)]
        if isinstance(each[0], Var) and tuple(each) in self.made:
            return self.made[tuple(each)]
        if not _is_constant(each):
            raise _refusal(operation, "reads other values at another size")
        if not _agree(each):
            made = self.sizes.of([np.asarray(_value(v)) for v in each], near)
            if made is None:
                one, other = (_shown(v) for v in each[:2])
                raise _refusal(
                    operation,
                    f"has a constant that is {one} at one size and {other} at another; only affine functions "
                    "of a size, and tables that are cut off with it, may change",
                )
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
            begins = [_begin(o, v) for o, v in zip(operations, outputs, strict=True)]
            begin, size = (self._input(first, each, near) for each in (begins, sizes))
            pieces.append(mb.slice_by_size(x=x, begin=begin, size=size))
        return pieces

    def _built(self, operation: Operation, inputs: dict) -> list[Var]:
        try:
            made = getattr(mb, operation.op_type)(**inputs)
        except (ValueError, TypeError) as error:
            told = " ".join(str(error.args[0] if error.args else error).split())
            raise _refusal(operation, f"cannot have a flexible size: {told}") from error
        return [made] if isinstance(made, Var) else list(made)


def _form(operation: Operation | None) -> tuple:
    """What must be equal in all programs: the operation's type, and the numbers of its inputs and outputs."""
    if operation is None:
        return ()
    counts = {
        n: len(v) if isinstance(v, list | tuple) else v is not None for n, v in operation.inputs.items()
    }
    return operation.op_type, counts, len(operation.outputs)


def _told(operation: Operation | None) -> str:
    if operation is None:
        return "nothing"
    count = f" with {len(operation.outputs)} results" if len(operation.outputs) > 1 else ""
    return f"'{operation.op_type}' ('{operation.outputs[0].name}'){count}"


def _refusal(operation: Operation, told: str) -> ConversionError:
    return ConversionError(f"operation '{operation.op_type}' ('{operation.outputs[0].name}') {told}")


def _is_constant(each: Sequence) -> bool:
    """Whether an input is one constant in every program."""
    if isinstance(each[0], list | tuple):
        return False
    return all(v.op is not None and v.op.op_type == "const" for v in each if isinstance(v, Var))


def _value(given):
    return given.val if isinstance(given, Var) else given


def _shown(given) -> str:
    """A constant's first numbers."""
    flat = np.asarray(_value(given)).reshape(-1)
    return f"[{' '.join(f'{number:.4g}' for number in flat[:4])}{' ...' if flat.size > 4 else ''}]"


def _agree(each: Sequence) -> bool:
    return all(same(_value(each[0]), _value(other)) for other in each[1:])


def _reshape(given: dict[str, list]) -> None:
    """A reshape, whose one varying size becomes -1."""
    if not _is_constant(given["shape"]):
        return
    shapes = [np.array(_value(v)) for v in given["shape"]]
    changing = [i for i, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1]
    if len(changing) == 1:
        given["shape"] = [np.where(np.arange(len(s)) == changing[0], -1, s).astype(np.int32) for s in shapes]


def _slice_by_index(given: dict[str, list]) -> None:
    """Places at, or at a constant distance from, the end of the tensor in every program are told so."""
    if not (_is_constant(given["begin"]) and _is_constant(given["end"])):
        return
    sizes = np.array([v.shape for v in given["x"]])
    begins, ends = (np.array([_value(v) for v in given[name]]) for name in ("begin", "end"))
    none = np.zeros(sizes.shape[1], bool)
    masks = {n: none | _value(given[n][0]) if n in given else none for n in ("begin_mask", "end_mask")}
    changing = np.any(sizes != sizes[0], axis=0)
    whole = changing & np.all(ends == sizes, axis=0)
    given["begin_mask"] = [masks["begin_mask"] | whole & np.all(begins == 0, axis=0)] * len(sizes)
    given["end_mask"] = [masks["end_mask"] | whole] * len(sizes)
    given["begin"], given["end"] = _from_end(begins, sizes), _from_end(ends, sizes)


def _from_end(places: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Places in programs, as negative numbers from the end where only that makes them agree; 0 at the end."""
    back, differ = places - sizes, np.any(places != places[0], axis=0)
    counted = differ & np.all(back == back[0], axis=0) & (back[0] <= 0)
    return list(np.where(counted, back, places).astype(np.int32))


def _conv_transpose(given: dict[str, list]) -> None:
    """The size of the result follows from the padding."""
    if not _agree(given.get("output_shape", [])):
        del given["output_shape"]


def _begin(operation: Operation, output: Var) -> np.ndarray:
    """Where an output of a split, or of a slice without strides, starts in its input."""
    if operation.op_type == "split":
        before = operation.outputs[: operation.outputs.index(output)]
        axis = int(operation.axis.val) % output.rank
        start = sum(v.shape[axis] for v in before)
        return np.where(np.arange(output.rank) == axis, start, 0).astype(np.int32)
    begin, size = np.array(operation.begin.val), np.array(operation.x.shape)
    if operation.begin.val is None:
        raise _refusal(operation, "starts at a place, and ends at another, that change with the size")
    strided = operation.stride is not None and np.any(operation.stride.val != 1)
    if strided or output.rank != len(size):
        raise _refusal(operation, "is cut with strides at places that change with the size")
    masked = False if operation.begin_mask is None else operation.begin_mask.val
    return np.where(masked, 0, np.where(begin < 0, begin + size, begin)).astype(np.int32)


CUTS = {"split": {"split_sizes"}, "slice_by_index": {"begin", "end"}}  # changing, they need another operation
NORMAL = {"reshape": _reshape, "slice_by_index": _slice_by_index, "conv_transpose": _conv_transpose}
