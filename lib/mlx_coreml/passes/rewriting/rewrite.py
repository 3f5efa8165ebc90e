"""Rewriting a graph by rules: a rule sees the last node of a pattern and gives the nodes that replace it.

A rule is `rule(node) -> list[Node] | None`. The last node of the list takes over the outputs of the old one
(the tensors themselves, so no reader changes); what nothing reads any more is swept away.
"""

from collections.abc import Callable, Iterable, Mapping

from mlx_coreml.ir.graph import Graph, Node, Tensor

Rule = Callable[[Node], list[Node] | None]
RESHAPES = ("Reshape", "Flatten", "Unflatten", "Squeeze", "ExpandDims")  # the same numbers in the same order


def rewrite(graph: Graph, rules: Mapping[str, Iterable[Rule]]) -> int:
    """Apply the rules of each node's kind, in order, once through the graph; how many applied."""
    nodes, applied = [], 0
    for node in graph.nodes:
        for rule in rules.get(node.kind, ()):
            made = rule(node)
            if made is not None:
                applied += 1
                nodes += made
                break
        else:
            nodes.append(node)
    graph.nodes = nodes
    graph.sweep()
    return applied


def replaced(node: Node, kind: str, inputs: list[Tensor], *arguments) -> Node:
    """A node of another kind that makes what `node` made."""
    return Node(kind, inputs, node.outputs, arguments, node.path)


def step(node: Node, kind: str, inputs: list[Tensor], shape: Iterable[int], *arguments) -> Node:
    """A node on the way to what `node` makes: its result is a new tensor of the same type."""
    made = Tensor(f"{node.outputs[0].name}_{kind}", tuple(shape), node.outputs[0].dtype)
    return Node(kind, inputs, [made], arguments, node.path)


def made_by(tensor: Tensor, *kinds: str) -> Node | None:
    """The node that makes a tensor, if it is of one of these kinds."""
    return tensor.node if tensor.node is not None and tensor.node.kind in kinds else None


def through(tensor: Tensor, *kinds: str) -> Tensor:
    """The tensor before a chain of nodes of these kinds."""
    while made_by(tensor, *kinds):
        tensor = tensor.node.inputs[0]
    return tensor


def scalar(tensor: Tensor) -> float | None:
    """The number that a constant of one element, or one number broadcast, holds; None for anything else."""
    tensor = through(tensor, "Broadcast")
    return float(tensor.numpy().reshape(-1)[0]) if tensor.value is not None and tensor.size == 1 else None


def with_scalar(node: Node) -> tuple[Tensor, float] | None:
    """The other operand and the number, when one operand of a binary node is one number."""
    for operand, other in (node.inputs[::-1], node.inputs):
        number = scalar(operand)
        if number is not None:
            return other, number
    return None


def with_constant(node: Node) -> tuple[Tensor, Tensor] | None:
    """The other operand and the constant, when one operand of a binary node is a constant."""
    for operand, other in (node.inputs[::-1], node.inputs):
        if operand.value is not None:
            return other, operand
    return None


def substitute(graph: Graph, instead: Mapping[Tensor, Tensor]) -> None:
    """Let every reader of a key read its value, which may be a key in turn; sweep what is left unread."""

    def last(tensor: Tensor) -> Tensor:
        while tensor in instead:
            tensor = instead[tensor]
        return tensor

    for node in graph.nodes:
        node.inputs = [last(tensor) for tensor in node.inputs]
    graph.outputs = [last(tensor) for tensor in graph.outputs]
    graph.sweep()


def readers(graph: Graph) -> dict[Tensor, list[Node]]:
    """The nodes that read each tensor."""
    found: dict[Tensor, list[Node]] = {}
    for node in graph.nodes:
        for tensor in node.inputs:
            found.setdefault(tensor, []).append(node)
    return found


def sort(graph: Graph) -> None:
    """Put the nodes in topological order, those that can stay in place."""
    placed: set[Node] = set()
    ordered: list[Node] = []
    for wanted in graph.nodes:
        stack = [wanted]
        while stack:
            node = stack[-1]
            missing = [t.node for t in node.inputs if t.node is not None and t.node not in placed]
            if missing:
                stack += missing
                continue
            if node not in placed:
                placed.add(node)
                ordered.append(node)
            stack.pop()
    graph.nodes = ordered
