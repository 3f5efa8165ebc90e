"""Builds the MIL program of a graph, and compares every result with what MLX captured.

https://apple.github.io/coremltools/docs-guides/source/model-intermediate-language.html
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import coremltools as ct
import numpy as np
from coremltools.converters.mil import mil
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Var, types

from mlx_coreml.backends.mil.lowering import arithmetic, layers, tensors  # noqa: F401  (file their rules)
from mlx_coreml.backends.mil.lowering import types as kinds
from mlx_coreml.backends.mil.lowering.refused import REASONS
from mlx_coreml.backends.mil.lowering.registry import RULES
from mlx_coreml.backends.mil.lowering.wide_integers import warn_of_wide
from mlx_coreml.backends.mil.precision import in_fp32
from mlx_coreml.backends.mil.size_dependent import hide_value, of_sizes
from mlx_coreml.backends.supported import check_supported
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor

RANK_LIMIT = 5
UNNAMED = ("const", "read_state", "coreml_update_state")  # what is made by these cannot be an output
ADVICE = "add one with @mlx_coreml.lowering(name)"
EXACT_LIMIT = 16  # numbers of a constant that a formula of sizes may stand for


def build(
    graph: Graph,
    precision: str,
    target: ct.target,
    states: Mapping[int, int] | None = None,
    exact: Collection[Node] | None = None,
) -> mil.Program:
    """The MIL program of a graph; `states` says which output replaces which input, by index.

    `exact` nodes compute in fp32; by default, those that need it under the precision.

    Errors: UnsupportedError for kinds without a rule; ConversionError.
    """
    check_supported(graph, RULES, REASONS, ADVICE)
    warn_of_wide(graph)
    states = states or {}
    half = precision != "float32" and target >= ct.target.iOS16  # earlier models take and return fp32
    lowered = Lowered(half, {t.name for t in graph.inputs} | set(graph.output_names))
    placeholders = {t.name: lowered.placeholder(t, i in states) for i, t in enumerate(graph.inputs)}
    lowered.exact = in_fp32([graph], precision) if exact is None else exact
    lowered.sized = of_sizes(graph)
    with Function(placeholders, opset_version=target) as function:
        for i, tensor in enumerate(graph.inputs):
            lowered.receive(tensor, function.inputs[tensor.name], i in states)
        lowered.states = {graph.outputs[o]: function.inputs[graph.inputs[i].name] for i, o in states.items()}
        for node in graph.nodes:
            lowered.lower(node)
        for tensor in list(lowered.states):  # inputs and constants, which no node makes
            lowered.keep(tensor)
        function.set_outputs(lowered.results(graph, set(states.values())))
    program = mil.Program()
    program.add_function("main", function)
    return program


class Lowered:
    """The MIL variables of a graph's tensors, made node by node."""

    def __init__(self, half: bool, reserved: Iterable[str]):
        self.half = half  # whether MLX's half types go in and out as fp16
        self.variables: dict[tuple[Tensor, str], Var] = {}
        self.made: dict[Tensor, Var] = {}
        self.taken: Counter = Counter(reserved)
        self.exact: Collection[Node] = ()  # nodes that compute in fp32
        self.sized: set[Node] = set()  # nodes that depend on sizes alone
        self.states: dict[Tensor, Var] = {}  # the state that each of these values is still to replace

    def placeholder(self, tensor: Tensor, is_state: bool):
        """An input's declaration, of rank 1 or more; fp16 for MLX's half types, int32 for its integers."""
        shape = tensor.shape or (1,)
        if is_state:
            return mb.state_tensor_placeholder(shape, dtype=kinds.MIL["fp16"])
        return mb.placeholder(shape=shape, dtype=kinds.MIL[self._outside(tensor)])

    def receive(self, tensor: Tensor, variable: Var, is_state: bool) -> None:
        """Take a tensor's variable as an input of the program."""
        if is_state:
            variable = mb.read_state(input=variable)
        if not tensor.shape:
            variable = mb.squeeze(x=variable, axes=[0])
        if tensor.dtype == "bool":
            variable = mb.cast(x=variable, dtype="bool")
        self.made[tensor] = variable

    def _outside(self, tensor: Tensor) -> str:
        """The type in which a tensor goes into or comes out of a model."""
        half = tensor.dtype in ("float16", "bfloat16") and self.half
        kind = kinds.word(tensor, "fp16" if half else "fp32")
        return "int32" if kind == "bool" else kind

    def read(self, tensor: Tensor, kind: str) -> Var:
        """A tensor's variable in a MIL type; constants and casts are made once."""
        key = tensor, kind
        if key not in self.variables:
            if tensor.value is not None:
                name = self.name(tensor.name)
                self.variables[key] = mb.const(val=kinds.array(tensor, kind), name=name)
                if tensor.size <= EXACT_LIMIT:
                    self.variables[key].op.exact = tensor.numpy()  # for a formula of it (symbolic_sizes.py)
            else:
                made = self.made[tensor]
                same = types.builtin_to_string(made.dtype) == kind
                if kind == "fp16" and tensor.node in self.sized and tensor.peak > kinds.FP16_LIMIT:
                    made = mb.clip(
                        x=made, alpha=np.float32(-kinds.FP16_LIMIT), beta=np.float32(kinds.FP16_LIMIT)
                    )
                self.variables[key] = made if same else mb.cast(x=made, dtype=kind)
        return self.variables[key]

    def lower(self, node: Node) -> None:
        """Make a node's outputs by its rule. Errors: ConversionError when one is not what MLX captured."""
        sized = node in self.sized
        computes = "fp32" if sized or node in self.exact else "fp16"
        inputs = [self.read(tensor, kinds.word(tensor, computes)) for tensor in node.inputs]
        made = _built(node, inputs)
        for tensor, variable in zip(node.outputs, made, strict=True):
            _check(node, tensor, variable)
            if variable.op is not None and variable not in inputs:
                variable.set_name(self.name(".".join(filter(None, (node.path, node.kind)))))
                if sized:
                    hide_value(variable)
            self.made[tensor] = variable
        for tensor in node.outputs:
            self.keep(tensor)

    def keep(self, tensor: Tensor) -> None:
        """Write a value into the state that it replaces; what comes after reads it from the state.

        Right after the operation that makes the value, as Core ML's in-place pattern has it: coremltools'
        own passes for this order fail with two states.
        """
        if tensor not in self.states:
            return
        value = self.lifted(tensor, "fp16")
        updated = mb.coreml_update_state(state=self.states.pop(tensor), value=value)
        if value is self.made.get(tensor) and value.op.op_type != "read_state":
            self.made[tensor] = self.variables[tensor, "fp16"] = updated

    def name(self, wanted: str) -> str:
        """A new variable name of letters, digits and underscores."""
        word = re.sub(r"\W", "_", wanted)
        self.taken[word] += 1
        return word if self.taken[word] == 1 else self.name(f"{word}_{self.taken[word] - 1}")

    def lifted(self, tensor: Tensor, kind: str) -> Var:
        """A tensor's variable in a MIL type, of rank 1 or more."""
        variable = self.read(tensor, kind)
        return variable if tensor.shape else mb.expand_dims(x=variable, axes=[0])

    def results(self, graph: Graph, left_out: Collection[int]) -> list[Var]:
        """The graph's outputs as the program returns them, except those at the indices left out."""
        results: list[Var] = []
        for i, (tensor, name) in enumerate(zip(graph.outputs, graph.output_names, strict=True)):
            if i not in left_out:
                variable = self.lifted(tensor, self._outside(tensor))
                own = variable.op is not None and variable.op.op_type not in UNNAMED
                if own and variable not in results:
                    variable.set_name(name)
                else:
                    variable = mb.identity(x=variable, name=name)
                results.append(variable)
        return results


def _built(node: Node, inputs: Sequence[Var]) -> list[Var]:
    """The result of a node's rule; MIL's error about it becomes a ConversionError."""
    try:
        made = RULES[node.kind](node, *inputs)
    except ConversionError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        told = " ".join(str(error).split())
        raise ConversionError(f"{node.where} cannot be lowered: {told}") from error
    return [made] if isinstance(made, Var) else list(made)


def _check(node: Node, tensor: Tensor, variable: Var) -> None:
    """Errors: ConversionError unless a result has the captured shape and a type that stands for MLX's."""
    found = types.builtin_to_string(variable.dtype)
    allowed = ("fp16", "fp32") if tensor.is_float else (kinds.word(tensor, "fp32"),)
    if tuple(variable.shape) != tensor.shape or found not in allowed:
        raise ConversionError(
            f"{node.where} was lowered to {found}{list(variable.shape)}, "
            f"expected is {' or '.join(allowed)}{list(tensor.shape)}"
        )
    if tensor.rank > RANK_LIMIT:
        raise ConversionError(
            f"{node.where} has rank {tensor.rank}; Core ML allows rank {RANK_LIMIT} at most"
        )
