"""The order in which a captured graph is cleaned up."""

from twins.coreml.graph import Graph
from twins.coreml.passes.broadcasts import drop_broadcasts
from twins.coreml.passes.fold import fold

PASSES = [drop_broadcasts, fold]


def simplify(graph: Graph) -> Graph:
    """Every pass once, in order; the graph is changed in place and returned."""
    for each in PASSES:
        each(graph)
    return graph
