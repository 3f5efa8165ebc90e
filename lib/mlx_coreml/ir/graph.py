"""The graph of a captured MLX function: tensors, and the nodes that compute them.

A node's `kind` is the name of an MLX primitive with the arguments that MLX exports for it, or, after
`passes` have fused primitives, a lower-case name of our own ("linear", "layer_norm").
https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.export_function.html
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(eq=False)
class Tensor:
    """One value of a graph: a constant holds its `value`, an intermediate knows the `node` that makes it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    value: mx.array | None = None
    node: "Node | None" = None
    sized: bool = False  # whether it depends on a size: a number is one example, a node is computed
    peak: float = 0.0  # the largest magnitude seen, of what depends on sizes alone

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return int(np.prod(self.shape))

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype in FLOATS

    def numpy(self) -> np.ndarray:
        """The value of a constant; bfloat16, which NumPy lacks, as float32."""
        if self.value is None:
            raise ValueError(f"{self} is no constant, so it has no value")
        return np.array(self.value.astype(mx.float32) if self.value.dtype == mx.bfloat16 else self.value)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{list(self.shape)}"


def constant(value: mx.array | np.ndarray, name: str = "constant") -> Tensor:
    """A tensor that holds a value."""
    value = value if isinstance(value, mx.array) else mx.array(value)
    return Tensor(name, tuple(value.shape), dtype_name(value.dtype), value)


def dtype_name(dtype: mx.Dtype) -> str:
    """MLX's data type as a word: float32."""
    return str(dtype).rpartition(".")[2]


@dataclass(eq=False)
class Node:
    """One operation: its kind, what goes in and comes out, its arguments, and the module it belongs to."""

    kind: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    arguments: tuple = ()
    path: str = ""

    def __post_init__(self) -> None:
        for output in self.outputs:
            output.node = self

    @property
    def output(self) -> Tensor:
        """The only output; ValueError when there are several."""
        (only,) = self.outputs
        return only

    def unpack(self, *counts: int) -> tuple:
        """The arguments, when there are as many as one of `counts`; ValueError otherwise.

        Releases of MLX differ in their arguments, and a rule must not read an unknown list.
        """
        if len(self.arguments) not in counts:
            expected = " or ".join(map(str, counts))
            raise ValueError(
                f"{self.where}: MLX gives {len(self.arguments)} arguments {self.arguments}, "
                f"known are {expected}; supported are mlx 0.31 and later"
            )
        return self.arguments

    @property
    def where(self) -> str:
        """The node in an error message: kind, result and module."""
        made = ", ".join(map(str, self.outputs))
        return f"primitive '{self.kind}' ({made}{f', in {self.path}' if self.path else ''})"

    def __str__(self) -> str:
        made = ", ".join(map(str, self.outputs))
        told = ", ".join([t.name for t in self.inputs] + [str(a) for a in self.arguments])
        return f"{made} = {self.kind}({told})" + (f"  # {self.path}" if self.path else "")


@dataclass
class Graph:
    """Nodes in topological order, with the named inputs and outputs of the captured function."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    nodes: list[Node]
    output_names: list[str] = field(default_factory=list)
    input_keys: list[str] = field(default_factory=list)  # argument, then the places in it: "cache.0.1"
    output_keys: list[str] = field(default_factory=list)  # places in what the function returns: "1.0"

    def uses(self) -> Counter:
        """How often each tensor is read, by nodes and as an output."""
        read = Counter(t for node in self.nodes for t in node.inputs)
        read.update(self.outputs)
        return read

    def sweep(self) -> None:
        """Drop the nodes that no output depends on."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if any(output in needed for output in node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]

    def kinds(self) -> Counter:
        """How many nodes there are of each kind."""
        return Counter(node.kind for node in self.nodes)

    def constants(self) -> list[Tensor]:
        """The constants that nodes read, each once, in order of use."""
        return list(dict.fromkeys(t for node in self.nodes for t in node.inputs if t.value is not None))

    def __str__(self) -> str:
        lines = [f"{len(self.nodes)} nodes, {len(self.constants())} constants"]
        lines += _column("in  ", self.inputs)
        lines += [f"  {node}" for node in self.nodes]
        return "\n".join(lines + _column("out ", self.outputs))


def _column(label: str, tensors: Iterable[Tensor]) -> list[str]:
    return [f"{label}{tensor}" for tensor in tensors]
