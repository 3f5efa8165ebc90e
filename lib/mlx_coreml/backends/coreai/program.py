"""Builds the Core AI program of a graph, and compares every result with what MLX captured.

The public interface is what `coreai.authoring` and `coreai.runtime` list; `coreai._compiler` is unversioned.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Collection, Sequence
from typing import Annotated

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering import (  # noqa: F401  (file their rules)
    functions,
    indexing,
    layers,
    products,
    recurrent,
    reductions,
    tensors,
)
from mlx_coreml.backends.coreai.lowering import values as of
from mlx_coreml.backends.coreai.lowering.registry import RULES
from mlx_coreml.backends.coreai.native_output import kept
from mlx_coreml.backends.coreai.refused import REASONS
from mlx_coreml.backends.supported import check_supported
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor

FP16_LIMIT = float(np.finfo(np.float16).max)
ADVICE = "to='coreml' has rules of its own"
ON_CONSTANTS = ("bounded", "dequantized")  # rules that compute with the numbers themselves


def build(graph: Graph, half: bool, exact: Collection[Node]) -> ca.AIProgram:
    """The program of a graph; `half` computes in fp16 except in the `exact` nodes, and its ends are fp16 then
    where MLX's are half types.

    Errors: UnsupportedError for kinds without a rule; ConversionError.
    """
    check_supported(graph, RULES, REASONS, ADVICE)
    refuse_keywords(graph)
    with kept() as said:
        lowered = Lowered(half, exact, said)
        return _program(graph, lowered)


def _program(graph: Graph, lowered: Lowered) -> ca.AIProgram:
    """The program of a graph whose values are made by `lowered`."""
    names = [tensor.name for tensor in graph.inputs]

    def main(*given: ca.Value) -> tuple[ca.Value, ...]:
        return lowered.results(graph, given)

    kinds = [_annotated(lowered, tensor, tensor.name) for tensor in graph.inputs]
    ends = zip(graph.outputs, graph.output_names, strict=True)
    made = tuple(_annotated(lowered, tensor, name) for tensor, name in ends)
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    main.__signature__ = inspect.Signature([inspect.Parameter(name, place) for name in names])
    main.__annotations__ = dict(zip(names, kinds, strict=True)) | {"return": tuple[made]}
    module = ca.Module.create()
    try:
        with module:
            ca.graph(main)
        module.verify()
        return ca.AIProgram(module)
    except ConversionError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConversionError(f"Core AI refuses the program: {lowered.said() or told(error)}") from error


def refuse_keywords(graph: Graph) -> None:
    """Errors: ConversionError for an input whose name the public interface cannot declare."""
    for tensor in graph.inputs:
        if keyword.iskeyword(tensor.name):
            raise ConversionError(
                f"input '{tensor.name}' has the name of a word of Python, which Core AI's interface does not "
                "take; rename the argument"
            )


def _annotated(lowered: Lowered, tensor: Tensor, name: str) -> object:
    kind = ca.TensorType(tensor.shape or (1,), lowered.outside(tensor).type, name=name)
    return Annotated[ca.Value, kind]


def told(error: BaseException) -> str:
    """An error of Core AI in one line."""
    return " ".join(str(error).split())


class Lowered:
    """The values of a graph's tensors, made node by node."""

    def __init__(self, half: bool, exact: Collection[Node], said: Callable[[], str]):
        self.half = half
        self.said = said  # what Core AI wrote
        self.exact = exact
        self.made: dict[Tensor, of.Value] = {}
        self.casts: dict[tuple[Tensor, np.dtype], of.Value] = {}

    def outside(self, tensor: Tensor) -> np.dtype:
        """The type in which a tensor goes into or comes out of a program."""
        return kind_of(tensor, self.half and tensor.dtype in ("float16", "bfloat16"))

    def read(self, tensor: Tensor, kind: np.dtype) -> of.Value:
        """A tensor's value in a type; constants and casts are made once."""
        key = tensor, kind
        if key not in self.casts:
            self.casts[key] = constant(tensor, kind) if tensor.value is not None else self._cast(tensor, kind)
        return self.casts[key]

    def _cast(self, tensor: Tensor, kind: np.dtype) -> of.Value:
        made = self.made[tensor]
        return constant(tensor, kind, made) if of.is_constant(made) else of.cast(made, kind)

    def lower(self, node: Node) -> None:
        """Make a node's outputs by its rule. Errors: ConversionError when one is not what MLX captured."""
        half = self.half and node not in self.exact
        inputs = [self.read(tensor, kind_of(tensor, half)) for tensor in node.inputs]
        for tensor, value in zip(node.outputs, self._built(node, inputs), strict=True):
            _check(node, tensor, value)
            self.made[tensor] = value

    def _built(self, node: Node, inputs: list[of.Value]) -> list[of.Value]:
        """The result of a node's rule; Core AI's error about it becomes a ConversionError."""
        if inputs and node.kind not in ON_CONSTANTS and all(map(of.is_constant, inputs)):
            inputs = [of.computed(inputs[0]), *inputs[1:]]
        try:
            made = RULES[node.kind](node, *inputs)
        except ConversionError:
            raise
        except (ValueError, TypeError, RuntimeError) as error:
            why = self.said() or told(error)
            raise ConversionError(f"{node.where} cannot be lowered: {why}") from error
        return list(made) if isinstance(made, tuple | list) else [made]

    def results(self, graph: Graph, given: Sequence[ca.Value]) -> tuple[ca.Value, ...]:
        """The graph's outputs, of rank 1 or more, made of its inputs."""
        for tensor, value in zip(graph.inputs, given, strict=True):
            self.made[tensor] = of.reshape(value, tensor.shape)
        for node in graph.nodes:
            self.lower(node)
        found = [of.computed(self.read(tensor, self.outside(tensor))) for tensor in graph.outputs]
        return tuple(of.reshape(value, of.shape(value) or (1,)) for value in found)


def kind_of(tensor: Tensor, half: bool) -> np.dtype:
    """The type that stands for MLX's: fp16 or fp32 for floating-point numbers, its own for any other.

    Errors: ConversionError for complex numbers.
    """
    if tensor.is_float:
        return np.dtype(np.float16 if half else np.float32)
    if tensor.dtype.startswith("complex"):
        raise ConversionError(f"{tensor.name} is {tensor.dtype}; allowed are real numbers, integers and bool")
    return np.dtype(tensor.dtype)


def constant(tensor: Tensor, kind: np.dtype, value: np.ndarray | None = None) -> np.ndarray:
    """The numbers of a constant in a type; what lies beyond fp16's range becomes its bound."""
    value = tensor.numpy() if value is None else value
    if kind == np.float16:
        value = np.clip(value, -FP16_LIMIT, FP16_LIMIT)
    return np.asarray(value).astype(kind)


def _check(node: Node, tensor: Tensor, value: of.Value) -> None:
    """Errors: ConversionError unless a result has the captured shape and a type that stands for MLX's."""
    found, shape = of.dtype(value), of.shape(value)
    same = of.is_float(value) if tensor.is_float else found == np.dtype(tensor.dtype)
    if shape != tensor.shape or not same:
        raise ConversionError(
            f"{node.where} was lowered to {found}{list(shape)}, "
            f"expected is {tensor.dtype}{list(tensor.shape)}"
        )
