"""Nodes that depend on sizes alone, which are left in a graph that is captured at several sizes.

Their values at one size must not become numbers of the program, and they are computed in fp32: positions and
distances exceed what fp16 counts exactly.
"""

from coremltools.converters.mil.mil import Var

from mlx_coreml.ir.graph import Graph, Node, Tensor


def of_sizes(graph: Graph) -> set[Node]:
    """The nodes whose results depend on sizes and on no input."""
    known: set[Tensor] = set()
    found: set[Node] = set()
    for node in graph.nodes:
        sized = any(tensor in known for tensor in node.inputs) or any(t.sized for t in node.outputs)
        if sized and all(tensor.value is not None or tensor in known for tensor in node.inputs):
            found.add(node)
            known.update(node.outputs)
    return found


def hide_value(variable: Var) -> None:
    """Let coremltools forget the value of a variable that it inferred from constants."""
    if variable.op is not None and variable.op.op_type != "const":
        variable._sym_val = None  # it has no public setter
        variable.is_descendant_of_const = False
