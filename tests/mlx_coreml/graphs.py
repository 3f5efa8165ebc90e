"""Graphs of small functions, cleaned up, for the tests of passes."""

from collections import Counter
from collections.abc import Callable

from mlx_coreml.capture.tracing import capture
from mlx_coreml.ir.graph import Graph, Node
from mlx_coreml.passes import simplify


def simplified(fn: Callable, *arrays) -> Graph:
    """The graph of a function after every pass."""
    return simplify(capture(fn, *arrays))


def kinds(fn: Callable, *arrays) -> Counter:
    """How many nodes there are of each kind after every pass."""
    return simplified(fn, *arrays).kinds()


def only(graph: Graph, kind: str) -> Node:
    """The one node of a kind."""
    (node,) = [each for each in graph.nodes if each.kind == kind]
    return node
