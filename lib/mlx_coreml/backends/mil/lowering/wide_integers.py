"""Warns of arithmetic on integer types that Core ML lacks: all of its integers are signed, with 32 bits."""

import warnings

from mlx_coreml.ir.graph import Graph

# what leaves the range of int32 where MLX's own type holds or wraps it
LEAVING = {
    "uint32": ("Subtract", "Negative"),
    "uint64": ("Subtract", "Negative"),
    "int64": ("Multiply", "Power"),
}


def warn_of_wide(graph: Graph) -> None:
    """Warn of arithmetic whose results differ from MLX's when they leave the range of int32."""
    found = [n for n in graph.nodes if n.kind in LEAVING.get(n.outputs[0].dtype, ())]
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        warnings.warn(
            f"{found[0].where}{more}: Core ML computes whole numbers as int32, so results below zero of "
            "unsigned types, or beyond 32 bits of int64, differ from MLX's",
            stacklevel=2,
        )
