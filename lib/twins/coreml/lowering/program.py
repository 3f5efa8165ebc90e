"""Builds the MIL program of a graph, and compares every result with what MLX captured.

https://apple.github.io/coremltools/docs-guides/source/model-intermediate-language.html
"""

import re
from collections import Counter
from collections.abc import Sequence

import coremltools as ct
from coremltools.converters.mil import mil
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Var, types

from twins.coreml.errors import ConversionError, UnsupportedError
from twins.coreml.graph import Graph, Node, Tensor
from twins.coreml.lowering import types as kinds
from twins.coreml.lowering.precision import floating
from twins.coreml.lowering.registry import RULES

RANK_LIMIT = 5


def build(graph: Graph, precision: str, target: ct.target) -> mil.Program:
    """The MIL program of a graph. Errors: UnsupportedError for kinds without a rule; ConversionError."""
    check_supported(graph)
    lowered = Lowered(precision)
    placeholders = {t.name: _placeholder(t, precision) for t in graph.inputs}
    with Function(placeholders, opset_version=target) as function:
        for tensor in graph.inputs:
            lowered.receive(tensor, function.inputs[tensor.name])
        for node in graph.nodes:
            lowered.lower(node)
        function.set_outputs(lowered.results(graph))
    program = mil.Program()
    program.add_function("main", function)
    return program


def check_supported(graph: Graph) -> None:
    """Errors: UnsupportedError with the number and the modules of every kind of node that has no rule."""
    missing: dict[str, Counter] = {}
    for node in graph.nodes:
        if node.kind not in RULES:
            missing.setdefault(node.kind, Counter())[node.path or "the function itself"] += 1
    if missing:
        told = "; ".join(f"{kind} ({_listed(paths)})" for kind, paths in sorted(missing.items()))
        raise UnsupportedError(
            f"no lowering for {told}; add one with twins.coreml.lowering.lowering(name), "
            f"known are {', '.join(sorted(RULES))}"
        )


def _listed(paths: Counter, most: int = 3) -> str:
    """How often, and in which modules."""
    more = ", ..." if len(paths) > most else ""
    return f"{sum(paths.values())} times, in {', '.join(list(paths)[:most])}{more}"


def _placeholder(tensor: Tensor, precision: str):
    """An input's declaration, of rank 1 or more: fp32, fp16 for MLX's half types, int32 for the others."""
    half = tensor.dtype in ("float16", "bfloat16") and precision != "float32"
    kind = kinds.word(tensor, "fp16" if half else "fp32")
    shape = tensor.shape or (1,)
    return mb.placeholder(shape=shape, dtype=kinds.MIL["int32" if kind == "bool" else kind])


class Lowered:
    """The MIL variables of a graph's tensors, made node by node."""

    def __init__(self, precision: str):
        self.precision = precision
        self.variables: dict[tuple[Tensor, str], Var] = {}
        self.made: dict[Tensor, Var] = {}
        self.taken: Counter = Counter()

    def receive(self, tensor: Tensor, variable: Var) -> None:
        """Take a tensor's variable as an input of the program."""
        if not tensor.shape:
            variable = mb.squeeze(x=variable, axes=[0])
        if tensor.dtype == "bool":
            variable = mb.cast(x=variable, dtype="bool")
        self.made[tensor] = variable

    def read(self, tensor: Tensor, kind: str) -> Var:
        """A tensor's variable in a MIL type; constants and casts are made once."""
        key = tensor, kind
        if key not in self.variables:
            if tensor.value is not None:
                name = self.name(tensor.name)
                self.variables[key] = mb.const(val=kinds.array(tensor, kind), name=name)
            else:
                made = self.made[tensor]
                same = types.builtin_to_string(made.dtype) == kind
                self.variables[key] = made if same else mb.cast(x=made, dtype=kind)
        return self.variables[key]

    def lower(self, node: Node) -> None:
        """Make a node's outputs by its rule. Errors: ConversionError when one is not what MLX captured."""
        computes = floating(node, self.precision)
        inputs = [self.read(tensor, kinds.word(tensor, computes)) for tensor in node.inputs]
        made = RULES[node.kind](node, *inputs)
        made = [made] if isinstance(made, Var) else list(made)
        for tensor, variable in zip(node.outputs, made, strict=True):
            _check(node, tensor, variable)
            if variable.op is not None and variable not in inputs:
                variable.set_name(self.name(".".join(filter(None, (node.path, node.kind)))))
            self.made[tensor] = variable

    def name(self, wanted: str) -> str:
        """A name no variable has, made of letters, digits and underscores."""
        word = re.sub(r"\W", "_", wanted)
        self.taken[word] += 1
        return word if self.taken[word] == 1 else self.name(f"{word}_{self.taken[word] - 1}")

    def results(self, graph: Graph) -> Sequence[Var]:
        """The graph's outputs as the program returns them: fp32, fp16 or int32, of rank 1 or more."""
        return [self._result(t, name) for t, name in zip(graph.outputs, graph.output_names, strict=True)]

    def _result(self, tensor: Tensor, name: str) -> Var:
        half = tensor.dtype in ("float16", "bfloat16") and self.precision != "float32"
        kind = kinds.word(tensor, "fp16" if half else "fp32")
        variable = self.read(tensor, "int32" if kind == "bool" else kind)
        if not tensor.shape:
            return mb.expand_dims(x=variable, axes=[0], name=name)
        return mb.identity(x=variable, name=name)


def _check(node: Node, tensor: Tensor, variable: Var) -> None:
    """A result has the shape that MLX captured and a type that stands for MLX's."""
    found = types.builtin_to_string(variable.dtype)
    allowed = ("fp16", "fp32") if tensor.is_float else (kinds.word(tensor, "fp32"),)
    if tuple(variable.shape) != tensor.shape or found not in allowed:
        raise ConversionError(
            f"{node.where} was lowered to {found}{list(variable.shape)}, "
            f"expected is {' or '.join(allowed)}{list(tensor.shape)}"
        )
    if tensor.rank > RANK_LIMIT:
        raise ConversionError(
            f"{node.where} has rank {tensor.rank}; Core ML has tensors up to rank {RANK_LIMIT}"
        )
